//! Linear models and their preprocessing, of domain `ai.onnx.ml`: a row of features at a time.

use super::{
    call::{Call, Done},
    memory,
    tensor::{Dim, Elem, Flow, Tensor, Work, show},
};

/// Returns the features, how many a row has, and their flow; rows come first.
pub(super) fn features<'a>(call: &Call<'a>) -> Result<(&'a Tensor, u64, Flow), String> {
    let x = call.data(0)?;
    if x.rank() != 2 {
        return Err(format!("takes [rows, features], not {}", show(&x.dims)));
    }
    Ok((x, x.fixed(1)?, super::window::by_first(call, x)))
}

/// Returns the number of classes; names of text are refused.
pub(super) fn classes(call: &Call<'_>, ints: &str, texts: &str) -> Result<u64, String> {
    if call.texts(texts)?.is_some_and(|names| !names.is_empty()) {
        return Err("names its classes by text").map_err(|e| format!("{e}: number them"));
    }
    let classes = call.ints(ints)?.filter(|c| !c.is_empty()).ok_or_else(|| format!("attribute {ints} is missing"))?;
    Ok(classes.len() as u64)
}

/// Checks the final transformation of scores.
///
/// With PROBIT, ONNX Runtime writes one score of two and leaves the other as it was in memory: another row's.
pub(super) fn post_transform(call: &Call<'_>) -> Result<(), String> {
    match call.text("post_transform")?.unwrap_or("NONE") {
        "NONE" | "SOFTMAX" | "LOGISTIC" | "SOFTMAX_ZERO" => Ok(()),
        "PROBIT" => Err("attribute post_transform is PROBIT, with which the runtime leaves scores unwritten".into()),
        _ => Err("attribute post_transform is not known".into()),
    }
}

/// Returns labels and scores of a classifier.
pub(super) fn labelled(x: &Tensor, classes: u64, flow: Flow, work: Work) -> Done {
    let label = Tensor::new(Elem::I64, vec![x.dims[0]], flow);
    let scores = Tensor::new(Elem::F32, vec![x.dims[0], Dim::fixed(classes)], flow);
    Done { outputs: vec![label, scores], work, ..Done::default() }
}

/// Follows LinearClassifier.
pub(super) fn linear_classifier(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(2)?;
    post_transform(call)?;
    let (x, width, flow) = features(call)?;
    let classes = classes(call, "classlabels_ints", "classlabels_strings")?;
    let scores = weights(call, width)?;
    if scores != classes && !(scores == 1 && classes == 2) {
        return Err(format!("has weights of {scores} classes, names {classes}"));
    }
    // A single score of two classes is output as two.
    Ok(labelled(x, classes, flow, Work::of(x.dims[0], 2 * width.saturating_mul(classes))))
}

/// Follows LinearRegressor.
pub(super) fn linear_regressor(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    post_transform(call)?;
    let (x, width, flow) = features(call)?;
    let targets = weights(call, width)?;
    if call.int_or("targets", 1)? != targets as i64 {
        return Err("attribute targets is not what its coefficients are for".into());
    }
    let output = Tensor::new(Elem::F32, vec![x.dims[0], Dim::fixed(targets)], flow);
    Ok(Done { work: Work::of(x.dims[0], 2 * width.saturating_mul(targets)), ..Done::known(output) })
}

/// Returns the number of rows of weights, with an intercept each.
fn weights(call: &Call<'_>, width: u64) -> Result<u64, String> {
    let held = call.floats("coefficients")?.unwrap_or_default().len() as u64;
    if held == 0 || !held.is_multiple_of(width) {
        return Err(format!("has {held} coefficients for rows of {width} features"));
    }
    let scores = held / width;
    if call.floats("intercepts")?.is_some_and(|i| !i.is_empty() && i.len() as u64 != scores) {
        return Err("has another number of intercepts than of weights".into());
    }
    Ok(scores)
}

/// Follows Scaler and Imputer, with a number for all features or for each.
pub(super) fn by_feature(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let (x, width, flow) = features(call)?;
    for name in ["offset", "scale", "imputed_value_floats"] {
        if call.floats(name)?.is_some_and(|list| !list.is_empty() && list.len() != 1 && list.len() as u64 != width) {
            return Err(format!("attribute {name} does not fit {width} features"));
        }
    }
    if call.ints("imputed_value_int64s")?.is_some_and(|list| list.len() != 1 && list.len() as u64 != width) {
        return Err(format!("attribute imputed_value_int64s does not fit {width} features"));
    }
    if call.floats("offset")?.map(<[f32]>::len) != call.floats("scale")?.map(<[f32]>::len) {
        return Err("has another number of offsets than of scales".into());
    }
    let to = if call.node.op_type.as_deref() == Some("Scaler") { Elem::F32 } else { x.elem };
    Done::one(Tensor::new(to, x.dims.clone(), flow), 2)
}

/// Follows Normalizer, for each row by itself.
pub(super) fn normalizer(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let (x, _, flow) = features(call)?;
    if !matches!(call.text("norm")?.unwrap_or("MAX"), "MAX" | "L1" | "L2") {
        return Err("attribute norm is not known".into());
    }
    Done::one(Tensor::new(Elem::F32, x.dims.clone(), flow), 2)
}

/// Follows LabelEncoder, from number to number by a table; texts are refused.
pub(super) fn label_encoder(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.data(0)?;
    // A runtime for which NaN equals no key searches all NaN keys for it, and none for other numbers.
    if call.floats("keys_floats")?.is_some_and(|keys| keys.iter().filter(|key| key.is_nan()).count() > 1) {
        return Err("attribute keys_floats has NaN twice".into());
    }
    let keys = match x.elem {
        Elem::I64 => call.ints("keys_int64s")?.map(|k| k.len()),
        Elem::F32 => call.floats("keys_floats")?.map(<[f32]>::len),
        _ => None,
    };
    let (ints, floats) = (call.ints("values_int64s")?.map(|v| v.len()), call.floats("values_floats")?.map(<[f32]>::len));
    let (to, values) = match (ints, floats) {
        (Some(n), None) => (Elem::I64, n),
        (None, Some(n)) => (Elem::F32, n),
        _ => return Err("its values must be whole numbers or floats".into()),
    };
    if keys != Some(values) {
        return Err("its keys are not as many as its values, or of another type than its input".into());
    }
    // A hash table with about 64 bytes a key: a lookup at a place of the table and another at the key's.
    let each = 128 + 2 * memory::wait(64 * values as u64);
    Done::one(Tensor::new(to, x.dims.clone(), x.flow), each)
}
