//! Texts of bounded length.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, GenericStringArray, OffsetSizeTrait},
    compute::{cast, kernels::substring::substring_by_char},
    datatypes::DataType,
};

use crate::RunError;

/// `array` with no text longer than `chars` characters; other arrays as they are.
pub(crate) fn shorten(array: &ArrayRef, chars: usize) -> Result<ArrayRef, RunError> {
    // No text of fewer bytes has more characters.
    let long = |bytes: usize| bytes > chars;
    let kept = Some(chars as u64);
    Ok(match array.data_type() {
        DataType::Utf8View => shorten(&cast(array, &DataType::Utf8)?, chars)?,
        DataType::Utf8 if lengths(array.as_string::<i32>()).any(long) => {
            Arc::new(substring_by_char(array.as_string::<i32>(), 0, kept)?)
        }
        DataType::LargeUtf8 if lengths(array.as_string::<i64>()).any(long) => {
            Arc::new(substring_by_char(array.as_string::<i64>(), 0, kept)?)
        }
        _ => array.clone(),
    })
}

/// How many bytes each text takes, from the offsets alone.
fn lengths<O: OffsetSizeTrait>(texts: &GenericStringArray<O>) -> impl Iterator<Item = usize> {
    texts.value_offsets().windows(2).map(|ends| (ends[1] - ends[0]).as_usize())
}
