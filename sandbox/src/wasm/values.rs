//! Rows in the world's types.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch},
    buffer::BooleanBuffer,
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

/// A batch of columns made [`plain`]. Validity travels beside the values.
pub(super) fn rows(batch: &RecordBatch) -> Rows {
    let flags = |flags: &BooleanBuffer| flags.iter().collect::<Vec<bool>>();
    let column = |(field, array): (&Arc<arrow::datatypes::Field>, &ArrayRef)| {
        let valid = array.nulls().filter(|n| n.null_count() > 0).map(|n| flags(n.inner())).unwrap_or_default();
        let values = match array.data_type() {
            DataType::Boolean => Values::Bools(flags(array.as_boolean().values())),
            DataType::Int64 => Values::S64s(array.as_primitive::<Int64Type>().values().to_vec()),
            DataType::Float64 => Values::F64s(array.as_primitive::<Float64Type>().values().to_vec()),
            DataType::Binary => Values::Bytes(array.as_binary::<i32>().iter().map(|v| v.unwrap_or_default().to_vec()).collect()),
            _ => Values::Texts(array.as_string::<i32>().iter().map(|v| v.unwrap_or_default().to_owned()).collect()),
        };
        Column { name: field.name().clone(), values, valid }
    };
    Rows { len: batch.num_rows() as u32, columns: batch.schema().fields().iter().zip(batch.columns()).map(column).collect() }
}
