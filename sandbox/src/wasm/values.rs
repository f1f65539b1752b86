//! Rows in the world's types.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, Float64Type, Int64Type},
};

use super::host::bindings::tidegate::job::types::{Column, Rows, Values};

/// Converts rows in parts, of the same columns made [`plain`](crate::units::plain).
///
/// Validity is passed beside the values.
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

/// Collects the values added by `add` for each array, in a vector for `len` rows.
fn gathered<'a, T>(len: usize, arrays: impl Iterator<Item = &'a ArrayRef>, add: impl Fn(&ArrayRef, &mut Vec<T>)) -> Vec<T> {
    let mut all = Vec::with_capacity(len);
    arrays.for_each(|array| add(array, &mut all));
    all
}
