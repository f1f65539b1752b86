//! Decoding of dictionary and run-length columns to plain values.

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::cast,
    datatypes::DataType,
    error::ArrowError,
};

/// Returns the plain type of a column: for dictionaries and runs, the type of their values.
pub(in crate::dataset) fn plain(kind: &DataType) -> &DataType {
    match kind {
        DataType::Dictionary(_, values) => plain(values),
        DataType::RunEndEncoded(_, values) => plain(values.data_type()),
        kind => kind,
    }
}

/// Decodes a column to plain values.
pub(in crate::dataset) fn spelled(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let kind = plain(column.data_type());
    if kind == column.data_type() {
        return Ok(column.clone());
    }
    match column.data_type() {
        DataType::Dictionary(..) => {
            let dictionary = column.as_any_dictionary();
            let keys = cast(dictionary.keys(), &DataType::UInt64)?;
            spelled(&arrow::compute::take(dictionary.values(), &keys, None)?)
        }
        _ => cast(column, kind),
    }
}
