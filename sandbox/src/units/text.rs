//! Texts and bytes of bounded length.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryViewArray, OffsetSizeTrait, StringViewArray},
    buffer::OffsetBuffer,
    compute::{
        cast,
        kernels::substring::{substring, substring_by_char},
    },
    datatypes::DataType,
};

use crate::RunError;

/// `array` with no text longer than `chars` characters, and no bytes longer than such a text may be; other arrays as they are. Its type stays, but of bytes
/// that all have one length.
pub(crate) fn shorten(array: &ArrayRef, chars: usize) -> Result<ArrayRef, RunError> {
    // No text of fewer bytes has more characters.
    let long = |bytes: usize| bytes > chars;
    let kept = Some(chars as u64);
    Ok(match array.data_type() {
        DataType::Utf8View if array.as_string_view().lengths().any(|bytes| long(bytes as usize)) => {
            Arc::new(array.as_string_view().iter().map(|text| text.map(|text| first(text, chars))).collect::<StringViewArray>())
        }
        DataType::BinaryView if array.as_binary_view().lengths().any(|bytes| bytes as usize > 4 * chars) => {
            let cut = |bytes: Option<&'_ [u8]>| bytes.map(|bytes| bytes[..bytes.len().min(4 * chars)].to_vec());
            Arc::new(array.as_binary_view().iter().map(cut).collect::<BinaryViewArray>())
        }
        DataType::FixedSizeBinary(_) => shorten(&cast(array, &DataType::Binary)?, chars)?,
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

/// `array`, as it was read, as type `kind`, with no text longer than `chars` characters: of a longer one no more is copied.
pub(super) fn taken(array: &ArrayRef, kind: &DataType, chars: usize) -> Result<ArrayRef, RunError> {
    let short = shorten(array, chars)?;
    Ok(if short.data_type() == kind { short } else { cast(&short, kind)? })
}

/// The first `chars` characters.
fn first(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).map_or(text, |(end, _)| &text[..end])
}

/// How many bytes each takes, from the offsets alone.
fn lengths<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> impl Iterator<Item = usize> {
    offsets.windows(2).map(|ends| (ends[1] - ends[0]).as_usize())
}
