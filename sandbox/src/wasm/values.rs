//! Rows in the world's types.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type},
};

use super::host::bindings::tidegate::job::types::{Column, Rows, Values};
use crate::RunError;

/// A column as guests take it: flags, whole numbers, floats, texts or bytes. What stands where a value is missing is always the same, so that nothing shows through.
pub(super) fn plain(array: &ArrayRef) -> Result<ArrayRef, RunError> {
    let kind = array.data_type();
    let valid = array.logical_nulls().filter(|n| n.null_count() > 0);
    Ok(if *kind == DataType::Boolean {
        let array = array.as_boolean();
        let Some(valid) = valid else { return Ok(Arc::new(array.clone())) };
        Arc::new(BooleanArray::new(array.values() & valid.inner(), Some(valid)))
    } else if kind.is_integer() {
        let array = cast(array, &DataType::Int64)?;
        let Some(valid) = valid else { return Ok(array) };
        let values = array.as_primitive::<Int64Type>().iter().map(Option::unwrap_or_default);
        Arc::new(Int64Array::new(values.collect::<Vec<_>>().into(), Some(valid)))
    } else if kind.is_numeric() {
        let array = cast(array, &DataType::Float64)?;
        // A cast may add nulls.
        let Some(valid) = array.logical_nulls().filter(|n| n.null_count() > 0) else { return Ok(array) };
        let values = array.as_primitive::<Float64Type>().iter().map(Option::unwrap_or_default);
        Arc::new(Float64Array::new(values.collect::<Vec<_>>().into(), Some(valid)))
    } else if matches!(kind, DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)) {
        cast(array, &DataType::Binary)?
    } else {
        cast(array, &DataType::Utf8)?
    })
}

/// Rows in parts, of the same columns made [`plain`]. Validity travels beside the values.
pub(super) fn rows(parts: &[RecordBatch]) -> Rows {
    let len = parts.iter().map(RecordBatch::num_rows).sum();
    let Some(first) = parts.first() else { return Rows { len: 0, columns: vec![] } };
    let column = |(i, field): (usize, &Arc<arrow::datatypes::Field>)| {
        let arrays = || parts.iter().map(|part| part.column(i));
        let values = match first.column(i).data_type() {
            DataType::Boolean => Values::Bools(gathered(len, arrays(), |a, into| into.extend(a.as_boolean().values()))),
            DataType::Int64 => Values::S64s(gathered(len, arrays(), |a, into| {
                into.extend_from_slice(a.as_primitive::<Int64Type>().values());
            })),
            DataType::Float64 => Values::F64s(gathered(len, arrays(), |a, into| {
                into.extend_from_slice(a.as_primitive::<Float64Type>().values());
            })),
            DataType::Binary => Values::Bytes(gathered(len, arrays(), |a, into| {
                into.extend(a.as_binary::<i32>().iter().map(|v| v.unwrap_or_default().to_vec()));
            })),
            _ => Values::Texts(gathered(len, arrays(), |a, into| {
                into.extend(a.as_string::<i32>().iter().map(|v| v.unwrap_or_default().to_owned()));
            })),
        };
        let all = arrays().all(|a| a.null_count() == 0);
        let flags = |a: &ArrayRef, into: &mut Vec<bool>| match a.nulls() {
            Some(nulls) => into.extend(nulls.inner()),
            None => into.extend(std::iter::repeat_n(true, a.len())),
        };
        let valid = if all { vec![] } else { gathered(len, arrays(), flags) };
        Column { name: field.name().clone(), values, valid }
    };
    Rows { len: len as u32, columns: first.schema().fields().iter().enumerate().map(column).collect() }
}

/// What `add` makes of each array, in one vector for `len` rows.
fn gathered<'a, T>(len: usize, arrays: impl Iterator<Item = &'a ArrayRef>, add: impl Fn(&ArrayRef, &mut Vec<T>)) -> Vec<T> {
    let mut all = Vec::with_capacity(len);
    arrays.for_each(|array| add(array, &mut all));
    all
}
