//! Operators along axes: rows stay apart unless their axis is among these.

use super::{
    call::{Call, Done, axes, axis},
    known,
    tensor::{Dim, Elem, Flow, Int, Tensor, Work, count, show},
    window::by_first,
};

/// Returns the flow through an operator along the axes given by `looked`; all axes are kept.
fn along(call: &Call<'_>, x: &Tensor, looked: impl Fn(usize) -> bool) -> Flow {
    match x.axis() {
        Some(rows) if looked(rows) => call.mixes(),
        _ => x.flow,
    }
}

/// Follows Softmax, LogSoftmax and Hardmax along an axis, by default the last.
pub(super) fn softmax(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.data(0)?;
    let along_axis = axis(call.int_or("axis", -1)?, x.rank())?;
    Done::one(Tensor::new(x.elem, x.dims.clone(), along(call, x, |rows| rows == along_axis)), 16)
}

/// Follows LpNormalization.
pub(super) fn lp_normalization(call: &Call<'_>) -> Result<Done, String> {
    softmax(call)
}

/// Follows CumSum along a known axis.
pub(super) fn cumsum(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.data(0)?;
    let given = call.numbers(1)?.ok_or("its axis is missing")?;
    let [given] = given.as_slice() else { return Err("takes one axis".into()) };
    let along_axis = axis(*given, x.rank())?;
    Done::one(Tensor::new(x.elem, x.dims.clone(), along(call, x, |rows| rows == along_axis)), 1)
}

/// Follows LayerNormalization and RMSNormalization over all axes from `axis` on, by default the last.
///
/// The former also outputs its statistics.
pub(super) fn layer_norm(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(3)?;
    let x = call.data(0)?;
    let from = axis(call.int_or("axis", -1)?, x.rank())?;
    for i in [1, 2] {
        if let Some(given) = call.public(i)?
            && call.broadcast(&[x, given])?.0 != x.dims
        {
            return Err(format!("input {i} {} does not fit {}", show(&given.dims), show(&x.dims)));
        }
    }
    let flow = along(call, x, |rows| rows >= from);
    let mut done = Done::one(Tensor::new(x.elem, x.dims.clone(), flow), 8)?;
    let found = x.dims.iter().enumerate().map(|(at, dim)| if at < from { *dim } else { Dim::ONE }).collect();
    done.outputs.resize(3, Tensor::new(Elem::F32, found, flow));
    Ok(done)
}

/// Follows MeanVarianceNormalization, by default over axes 0, 2 and 3, and so over rows.
pub(super) fn mean_variance(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.data(0)?;
    let over = axes(&call.ints("axes")?.unwrap_or_else(|| vec![0, 2, 3]), x.rank())?;
    Done::one(Tensor::new(x.elem, x.dims.clone(), along(call, x, |rows| over.contains(&rows))), 8)
}

/// Follows BatchNormalization with statistics stored in the model; statistics of a batch would depend on several rows.
pub(super) fn batch_norm(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    if call.int_or("training_mode", 0)? != 0 {
        return Err("is in training mode: its statistics are of all rows".into());
    }
    per_channel(call, 1..5)
}

/// Follows InstanceNormalization, for each channel of each image.
pub(super) fn instance_norm(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let mut done = per_channel(call, 1..3)?;
    if let Some(output) = done.outputs.first_mut() {
        output.flow = by_first(call, output);
    }
    Ok(done)
}

/// Follows GroupNormalization, for each group of channels of each image.
pub(super) fn group_norm(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.data(0)?;
    for i in 1..3 {
        if call.constant(i)?.rank() != 1 {
            return Err(format!("input {i} must be a list"));
        }
    }
    let groups = call.int("num_groups")?.ok_or("attribute num_groups is missing")?;
    if groups < 1 || !x.fixed(1)?.is_multiple_of(groups as u64) {
        return Err("attribute num_groups does not divide the channels".into());
    }
    Done::one(Tensor::new(x.elem, x.dims.clone(), by_first(call, x)), 8)
}

/// Follows an operator with constants of a number per channel (axis 1), over all other axes.
fn per_channel(call: &Call<'_>, constants: std::ops::Range<usize>) -> Result<Done, String> {
    let x = call.data(0)?;
    if x.rank() < 2 {
        return Err(format!("takes channels, not {}", show(&x.dims)));
    }
    for i in constants {
        let given = call.constant(i)?;
        if given.dims != [x.dims[1]] {
            return Err(format!("input {i} {} is not one number a channel of {}", show(&given.dims), show(&x.dims)));
        }
    }
    Done::one(Tensor::new(x.elem, x.dims.clone(), x.flow), 2)
}

/// Follows LRN, over neighbouring channels.
pub(super) fn lrn(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.data(0)?;
    let size = call.int("size")?.filter(|n| (1..=1024).contains(n)).ok_or("attribute size must be 1 to 1024")?;
    if x.rank() < 2 {
        return Err(format!("takes channels, not {}", show(&x.dims)));
    }
    Done::one(Tensor::new(x.elem, x.dims.clone(), along(call, x, |rows| rows == 1)), 2 * size as u64)
}

/// Multiplies known integers, if no step of it can leave the type: a runtime multiplies in an order of its own.
fn product_of(ints: &[Int], elem: Elem) -> Option<Int> {
    // Where no factor is 0, the product of any of them is no larger than that of all.
    if ints.iter().any(|int| int.known() == Some(0)) {
        return None;
    }
    ints.iter().try_fold(Int::of(1), |product, int| known::mul(product, *int)).filter(|product| known::fits(*product, elem))
}

/// Follows ReduceSum and its like.
pub(super) fn reduce(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let keep = call.int_or("keepdims", 1)? != 0;
    // The number of values in a shape: exporters flatten with it.
    if call.node.op_type.as_deref() == Some("ReduceProd")
        && call.int_or("noop_with_empty_axes", 0)? == 0
        && let Some(ints) = call.maybe(0).and_then(|x| x.ints.as_ref())
        && let Some(x) = call.maybe(0).filter(|x| x.rank() == 1)
        && let Some(product) = product_of(ints, x.elem)
    {
        return Ok(Done::known(Tensor::known(x.elem, !keep, vec![product])));
    }
    let x = call.data(0)?;
    let listed = call.list("axes", 1)?.unwrap_or_default();
    let over = match axes(&listed, x.rank())? {
        none if none.is_empty() && call.int_or("noop_with_empty_axes", 0)? != 0 => vec![],
        none if none.is_empty() => (0..x.rank()).collect(),
        some => some,
    };
    reduced(call, x, &over, keep, x.elem)
}

/// Follows ArgMax and ArgMin.
pub(super) fn arg(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let x = call.data(0)?;
    let over = axis(call.int_or("axis", 0)?, x.rank())?;
    reduced(call, x, &[over], call.int_or("keepdims", 1)? != 0, Elem::I64)
}

fn reduced(call: &Call<'_>, x: &Tensor, over: &[usize], keep: bool, to: Elem) -> Result<Done, String> {
    let mut dims = Vec::new();
    let mut flow = x.flow;
    for (at, dim) in x.dims.iter().enumerate() {
        let looked = over.contains(&at);
        if x.axis() == Some(at) {
            flow = if looked { call.mixes() } else { Flow::Rows(dims.len()) };
        }
        match (looked, keep) {
            (false, _) => dims.push(*dim),
            (true, true) => dims.push(Dim::ONE),
            (true, false) => {}
        }
    }
    let work = Work::of(count(&x.dims)?, 2);
    Ok(Done { outputs: vec![Tensor::new(to, dims, flow)], work, ..Done::default() })
}

/// Follows TopK for a known number of values, along an axis.
pub(super) fn top(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(2)?;
    let x = call.data(0)?;
    let over = axis(call.int_or("axis", -1)?, x.rank())?;
    let k = call.numbers(1)?.ok_or("the number of values is missing")?;
    let [k] = k.as_slice() else { return Err("the number of values must be one number".into()) };
    let length = x.fixed(over)?;
    let k = u64::try_from(*k).ok().filter(|k| (1..=length).contains(k)).ok_or("takes more values than there are")?;
    let mut dims = x.dims.clone();
    dims[over] = Dim::fixed(k);
    let flow = along(call, x, |rows| rows == over);
    let work = Work::of(count(&x.dims)?, 32);
    let outputs = vec![Tensor::new(x.elem, dims.clone(), flow), Tensor::new(Elem::I64, dims, flow)];
    Ok(Done { outputs, work, ..Done::default() })
}
