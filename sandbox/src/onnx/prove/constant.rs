//! Values stored in the model.

use super::{
    call::{Call, Done},
    layout::uniform,
    spot::Spot,
    spots,
    tensor::{Dim, Elem, Flow, Int, KNOWN, Tensor, count},
};
use crate::onnx::proto::TensorProto;

/// Returns the facts about a tensor of the model: type, shape, and the values if they are few integers.
pub(super) fn tensor(from: &TensorProto) -> Result<Tensor, String> {
    let number = from.data_type.unwrap_or_default();
    let elem = Elem::of(number).ok_or_else(|| format!("type {number} is not taken"))?;
    let dims = from.dims.iter().map(|d| u64::try_from(*d).map(Dim::fixed).map_err(|_| "a dimension is negative"));
    let dims = dims.collect::<Result<Vec<_>, _>>()?;
    let values = count(&dims)?.times;
    if values == 0 && dims.len() != 1 {
        return Err("has a dimension of nothing".into());
    }
    let held = held(from, elem)?;
    if held != values {
        return Err(format!("has {held} values, its shape says {values}"));
    }
    // Runtimes differ on any other byte: one counts it as true, another casts it to its own number.
    let raw = from.raw_data.as_deref().unwrap_or_default();
    if elem == Elem::Bool && (raw.iter().any(|byte| *byte > 1) || from.int32_data.iter().any(|n| !matches!(n, 0 | 1))) {
        return Err("has a truth value other than 0 and 1".into());
    }
    let mut tensor = Tensor::new(elem, dims, Flow::Public);
    if tensor.rank() <= 1 && values <= KNOWN as u64 {
        tensor.ints = ints(from, elem);
    }
    if tensor.rank() > 1 && matches!(elem, Elem::I64 | Elem::I32) && values <= KNOWN as u64 {
        let line = Tensor { ints: ints(from, elem), ..Tensor::new(elem, vec![Dim::fixed(values)], Flow::Public) };
        tensor.spots = spots::of(&line);
    }
    if values == 0 && tensor.ints.is_none() {
        return Err("has a dimension of nothing".into());
    }
    Ok(tensor)
}

/// Returns the number of values held, all in the field for the tensor's type.
fn held(from: &TensorProto, elem: Elem) -> Result<u64, String> {
    let fields = [
        from.float_data.len(),
        from.int32_data.len(),
        from.int64_data.len(),
        from.double_data.len(),
        from.uint64_data.len(),
        from.string_data.len(),
    ];
    let typed: usize = fields.iter().sum();
    let raw = from.raw_data.as_ref().map_or(0, Vec::len) as u64;
    let own = match elem {
        Elem::F32 => fields[0],
        Elem::I64 => fields[2],
        Elem::F64 => fields[3],
        Elem::U32 | Elem::U64 => fields[4],
        _ => fields[1],
    };
    match (typed, raw) {
        (0, raw) if raw.is_multiple_of(elem.bytes()) => Ok(raw / elem.bytes()),
        (typed, 0) if typed == own => Ok(typed as u64),
        _ => Err("holds its values in more than one way, or in another type's".into()),
    }
}

fn ints(from: &TensorProto, elem: Elem) -> Option<Vec<Int>> {
    let raw = from.raw_data.as_deref().unwrap_or_default();
    let wide = |size: usize, read: fn(&[u8]) -> i64| raw.chunks_exact(size).map(read).collect::<Vec<i64>>();
    let values: Vec<i64> = match elem {
        Elem::I64 if raw.is_empty() => from.int64_data.clone(),
        Elem::I64 => wide(8, |b| b.try_into().map_or(0, i64::from_le_bytes)),
        Elem::I32 if raw.is_empty() => from.int32_data.iter().map(|n| i64::from(*n)).collect(),
        Elem::I32 => wide(4, |b| b.try_into().map_or(0, i32::from_le_bytes).into()),
        Elem::Bool if raw.is_empty() => from.int32_data.iter().map(|n| i64::from(*n)).collect(),
        Elem::Bool => wide(1, |b| b[0].into()),
        _ => return None,
    };
    Some(values.into_iter().map(Int::of).collect())
}

/// Returns the integers of a tensor, however many.
pub(in crate::onnx) fn whole(from: &TensorProto) -> Option<Vec<i64>> {
    let elem = Elem::of(from.data_type.unwrap_or_default())?;
    ints(from, elem)?.into_iter().map(Int::known).collect()
}

/// Returns the four-byte floats of a tensor.
pub(in crate::onnx) fn floats(from: &TensorProto) -> Option<Vec<f32>> {
    let raw = from.raw_data.as_deref().unwrap_or_default();
    match Elem::of(from.data_type.unwrap_or_default())? {
        Elem::F32 if raw.is_empty() => Some(from.float_data.clone()),
        Elem::F32 => Some(raw.chunks_exact(4).map(|b| b.try_into().map_or(0.0, f32::from_le_bytes)).collect()),
        _ => None,
    }
}

/// Follows Constant.
pub(super) fn constant(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    if call.node.attribute.len() != 1 {
        return Err("must have one value".into());
    }
    if let Some(value) = call.tensor("value")? {
        return Ok(Done::known(tensor(value)?));
    }
    Ok(Done::known(if let Some(int) = call.int("value_int")? {
        Tensor::known(Elem::I64, true, vec![Int::of(int)])
    } else if let Some(ints) = call.ints("value_ints")? {
        let known = (ints.len() <= KNOWN).then(|| ints.iter().copied().map(Int::of).collect());
        Tensor { ints: known, ..Tensor::new(Elem::I64, vec![Dim::fixed(ints.len() as u64)], Flow::Public) }
    } else if call.float("value_float")?.is_some() {
        Tensor::new(Elem::F32, vec![], Flow::Public)
    } else if let Some(floats) = call.floats("value_floats")?.filter(|floats| !floats.is_empty()) {
        Tensor::new(Elem::F32, vec![Dim::fixed(floats.len() as u64)], Flow::Public)
    } else {
        return Err("its value is not understood".into());
    }))
}

/// Follows ConstantOfShape: a single value, in a known shape.
pub(super) fn of_shape(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let wanted = call.known(0)?.ok_or("its shape is missing")?;
    let value = call.tensor("value")?;
    let one = value.map(tensor).transpose()?;
    if one.as_ref().is_some_and(|t| count(&t.dims) != Ok(Dim::ONE)) {
        return Err("its value must be one".into());
    }
    let dims =
        wanted.iter().map(|int| int.dim().filter(|d| d.times > 0)).collect::<Option<Vec<_>>>().ok_or("its shape is none")?;
    let mut made = uniform(call, one.as_ref().map_or(Elem::F32, |t| t.elem), dims);
    // A short list of integers is followed further, as it is often a shape.
    let int = value.zip(one).and_then(|(value, one)| ints(value, one.elem)?.first().copied());
    if let (Some(int), [dim]) = (int, made.dims.as_slice())
        && let Some(length) = dim.known().filter(|n| *n <= KNOWN as u64)
    {
        made.ints = Some(vec![int; length as usize]);
    }
    Done::one(made, 1)
}

/// Follows Range: integers between known limits.
pub(super) fn range(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    let one = |i: usize| -> Result<(Int, Elem), String> {
        let [int] = call.known(i)?.ok_or("an end is missing")? else { return Err("its ends must be scalars".into()) };
        Ok((*int, call.maybe(i).map_or(Elem::I64, |t| t.elem)))
    };
    let ((start, elem), (limit, _), (step, _)) = (one(0)?, one(1)?, one(2)?);
    let step = step.known().filter(|n| *n != 0).ok_or("its step is not known, or 0")?;
    if let (Some(start), Some(limit)) = (start.known(), limit.known()) {
        let between = i128::from(limit) - i128::from(start);
        let length = between.unsigned_abs().div_ceil(u128::from(step.unsigned_abs()));
        let length = if between.signum() == i128::from(step.signum()) { u64::try_from(length).unwrap_or(u64::MAX) } else { 0 };
        if length == 0 || length > 1 << 24 {
            return Err(format!("has {length} numbers"));
        }
        let mut made = Tensor::new(elem, vec![Dim::fixed(length)], Flow::Public);
        if length <= KNOWN as u64 {
            made.ints = Some((0..length as i64).map(|i| Int::of(start + i * step)).collect());
        }
        return Done::one(made, 1);
    }
    // A number for each row, by its place.
    match (start.known(), limit.dim(), step) {
        (Some(0), Some(dim), 1) => {
            call.mixed.set(Some(call.mixed.get().unwrap_or(call.at)));
            let spots = (dim == Dim::ROWS).then(|| vec![Spot::ROW]);
            Done::one(Tensor { spots, ..Tensor::new(elem, vec![dim], call.mixes()) }, 1)
        }
        _ => Err("how many numbers it makes is not known".into()),
    }
}
