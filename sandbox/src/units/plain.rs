//! Conversion of columns into the few types passed to programs.

use std::sync::Arc;

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, BooleanArray, Float64Array, Int64Array},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type},
};

use crate::RunError;

/// Bytes of a text in a column made [`plain`], beside its characters.
pub(crate) const PLAIN_TEXT: u64 = 5;
/// Maximum length of the text form of a time of any kind.
const TIME: u64 = 48;

/// Returns the maximum bytes of a value of a column made [`plain`]; `None` for texts and bytes, which have their own length.
pub(crate) fn plain_width(kind: &DataType) -> Option<u64> {
    match kind {
        DataType::Boolean => Some(1),
        kind if kind.is_numeric() => Some(9),
        kind if kind.is_temporal() => Some(PLAIN_TEXT + TIME),
        _ => None,
    }
}

/// Converts a column into a guest's type: flags, whole numbers, floats, texts or bytes.
///
/// The slot of a missing value always has the same content, so that nothing shows through.
pub(crate) fn plain(array: &ArrayRef) -> Result<ArrayRef, RunError> {
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
