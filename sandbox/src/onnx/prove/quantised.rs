//! Quantised numbers: scales and zero points are stored in the model, or computed from all rows.

use super::{
    call::{Call, Done, axis},
    tensor::{Dim, Elem, Tensor, count, show},
};

/// Follows QuantizeLinear.
pub(super) fn quantize(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let to = match (call.public(2)?, call.elem("output_dtype")?) {
        (Some(zero), _) => zero.elem,
        (None, said) => said.unwrap_or(Elem::U8),
    };
    scaled(call, to)
}

/// Follows DequantizeLinear.
pub(super) fn dequantize(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let to = call.constant(1)?.elem;
    scaled(call, to)
}

/// Follows scaling by a scale and a zero point, shared by all values or given for each index of an axis.
fn scaled(call: &Call<'_>, to: Elem) -> Result<Done, String> {
    let x = call.data(0)?;
    if call.int_or("block_size", 0)? != 0 {
        return Err("attribute block_size is not taken".into());
    }
    let scale = call.constant(1)?;
    let one = |t: &Tensor| count(&t.dims) == Ok(Dim::ONE);
    if !one(scale) {
        let along = axis(call.int_or("axis", 1)?, x.rank())?;
        if scale.dims != [x.dims[along]] {
            return Err(format!("scales {} do not fit axis {along} of {}", show(&scale.dims), show(&x.dims)));
        }
    }
    if call.public(2)?.is_some_and(|zero| zero.dims != scale.dims) {
        return Err("its zero points are not as many as its scales".into());
    }
    Done::one(Tensor::new(to, x.dims.clone(), x.flow), 2)
}

/// Follows DynamicQuantizeLinear, with the same scale for all values of a run.
pub(super) fn dynamic(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(3)?;
    let x = call.data(0)?;
    let flow = if x.axis().is_some() { call.mixes() } else { x.flow };
    let scalar = |elem| Tensor::new(elem, vec![], flow);
    let done = Done::one(Tensor::new(Elem::U8, x.dims.clone(), flow), 4)?;
    let first = done.outputs.clone();
    Ok(Done { outputs: first.into_iter().chain([scalar(Elem::F32), scalar(Elem::U8)]).collect(), ..done })
}
