//! Texts and bytes of bounded length.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, OffsetSizeTrait},
    buffer::OffsetBuffer,
    compute::{
        cast,
        kernels::substring::{substring, substring_by_char},
    },
    datatypes::DataType,
};

use crate::RunError;

/// `array` with no text longer than `chars` characters, and no bytes longer than such a text may be; other arrays as they are.
pub(crate) fn shorten(array: &ArrayRef, chars: usize) -> Result<ArrayRef, RunError> {
    // No text of fewer bytes has more characters.
    let long = |bytes: usize| bytes > chars;
    let kept = Some(chars as u64);
    Ok(match array.data_type() {
        DataType::Utf8View => shorten(&cast(array, &DataType::Utf8)?, chars)?,
        DataType::BinaryView | DataType::FixedSizeBinary(_) => shorten(&cast(array, &DataType::Binary)?, chars)?,
        DataType::Binary if lengths(array.as_binary::<i32>().offsets()).any(|bytes| bytes > 4 * chars) => {
            substring(array, 0, kept.map(|chars| 4 * chars))?
        }
        DataType::LargeBinary if lengths(array.as_binary::<i64>().offsets()).any(|bytes| bytes > 4 * chars) => {
            substring(array, 0, kept.map(|chars| 4 * chars))?
        }
        DataType::Utf8 if lengths(array.as_string::<i32>().offsets()).any(long) => {
            Arc::new(substring_by_char(array.as_string::<i32>(), 0, kept)?)
        }
        DataType::LargeUtf8 if lengths(array.as_string::<i64>().offsets()).any(long) => {
            Arc::new(substring_by_char(array.as_string::<i64>(), 0, kept)?)
        }
        _ => array.clone(),
    })
}

/// How many bytes each takes, from the offsets alone.
fn lengths<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> impl Iterator<Item = usize> {
    offsets.windows(2).map(|ends| (ends[1] - ends[0]).as_usize())
}
