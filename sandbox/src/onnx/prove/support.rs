//! Support vector machines: a row against vectors stored in the model.
//!
//! The lengths of attributes must match, as a runtime that trusts them reads out of bounds.

use super::{
    call::{Call, Done},
    classic::{classes, features, labelled, post_transform},
    tensor::{Dim, Elem, Tensor, Work, count},
};

/// Operations per product or distance for a kernel function: a power with any exponent takes 25 ns, an exponential 4
/// (`bench/onnx_cost.py`).
const KERNEL: u64 = 128;
/// Maximum number of rounds to turn probabilities of pairs into probabilities of classes; early agreement needs fewer.
const ROUNDS: u64 = 100;

/// Checks the kernel and its three numbers.
fn kernel(call: &Call<'_>) -> Result<(), String> {
    if !matches!(call.text("kernel_type")?.unwrap_or("LINEAR"), "LINEAR" | "POLY" | "RBF" | "SIGMOID") {
        return Err("attribute kernel_type is not known".into());
    }
    match call.floats("kernel_params")?.map(<[f32]>::len) {
        Some(0 | 3) => Ok(()),
        _ => Err("attribute kernel_params must have three numbers".into()),
    }
}

fn length(call: &Call<'_>, name: &str) -> Result<u64, String> {
    Ok(call.floats(name)?.map_or(0, <[f32]>::len) as u64)
}

/// Follows SVMClassifier.
pub(super) fn classifier(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(2)?;
    post_transform(call)?;
    kernel(call)?;
    let (x, width, flow) = features(call)?;
    let classes = classes(call, "classlabels_ints", "classlabels_strings")?;
    let per_class = call.ints("vectors_per_class")?.unwrap_or_default();
    let vectors = per_class.iter().try_fold(0u64, |sum, n| sum.checked_add(u64::try_from(*n).ok()?));
    let vectors = vectors.ok_or("attribute vectors_per_class is none")?;
    if !(2..=1024).contains(&classes) {
        return Err(format!("names {classes} classes, 2 to 1024 are taken"));
    }
    let pairs = classes * (classes - 1) / 2;
    let (coefficients, rho) = (length(call, "coefficients")?, length(call, "rho")?);
    let (a, b) = (length(call, "prob_a")?, length(call, "prob_b")?);
    let sound = if vectors == 0 {
        Some(coefficients) == classes.checked_mul(width) && rho >= 1 && length(call, "support_vectors")? == 0
    } else {
        per_class.len() as u64 == classes
            && Some(length(call, "support_vectors")?) == vectors.checked_mul(width)
            && Some(coefficients) == vectors.checked_mul(classes - 1)
            && rho == pairs
    };
    if !sound || a != b || (a != 0 && a != pairs) {
        return Err("its vectors, coefficients and offsets do not fit together".into());
    }
    let scores = if vectors == 0 || a != 0 || classes == 2 { classes } else { pairs };
    let each = vectors.saturating_mul(2 * width + KERNEL + 2 * classes) + 2 * classes * width + pairs * KERNEL;
    let probabilities = if a == 0 { 0 } else { ROUNDS.max(classes) * 4 * classes * classes };
    let mut done = labelled(x, scores, flow, Work::of(x.dims[0], each.saturating_add(probabilities)));
    let rows = count(&x.dims[..1])?;
    done.scratch = Work::of(rows, 4 * (width + vectors + pairs + classes * classes) + 8 * classes);
    Ok(done)
}

/// Follows SVMRegressor.
pub(super) fn regressor(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    post_transform(call)?;
    kernel(call)?;
    let (x, width, flow) = features(call)?;
    let vectors = u64::try_from(call.int_or("n_supports", 0)?).map_err(|_| "attribute n_supports is none")?;
    let (coefficients, held) = (length(call, "coefficients")?, length(call, "support_vectors")?);
    let sound = if vectors == 0 {
        coefficients == width && held == 0
    } else {
        coefficients == vectors && Some(held) == vectors.checked_mul(width)
    };
    if !sound || length(call, "rho")? != 1 {
        return Err("its vectors, coefficients and offset do not fit together".into());
    }
    let each = vectors.saturating_mul(2 * width + KERNEL + 2) + 2 * width;
    let output = Tensor::new(Elem::F32, vec![x.dims[0], Dim::ONE], flow);
    let scratch = Work::of(count(&x.dims[..1])?, 4 * vectors);
    Ok(Done { work: Work::of(x.dims[0], each), scratch, ..Done::known(output) })
}
