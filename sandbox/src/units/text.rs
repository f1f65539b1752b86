//! Texts and bytes of bounded length.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, OffsetSizeTrait, StringViewArray},
    buffer::OffsetBuffer,
    compute::{
        cast,
        kernels::substring::{substring, substring_by_char},
        nullif,
    },
    datatypes::DataType,
};

use tidegate_protocol::limits;

use crate::RunError;

/// Cuts texts to `chars` characters, and bytes to the maximum size of such a text; returns other arrays as they are.
///
/// The type stays the same except for fixed-size binaries.
pub(crate) fn shorten(array: &ArrayRef, chars: usize) -> Result<ArrayRef, RunError> {
    // A text has at most as many characters as bytes.
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

/// Converts `array`, as read, to type `kind`, with texts cut to `chars` characters; the rest is not copied.
pub(super) fn taken(array: &ArrayRef, kind: &DataType, chars: usize) -> Result<ArrayRef, RunError> {
    let short = match array.data_type() {
        // Row by row: a dictionary may have many more values than there are rows.
        DataType::Dictionary(_, value) => shorten(&cast(array, value)?, chars)?,
        _ => shorten(array, chars)?,
    };
    Ok(if short.data_type() == kind { short } else { cast(&short, kind)? })
}

/// Returns the units named in rows, with NULL for a name of more than [`limits::UNIT_NAME_BYTES`].
///
/// No dataset published under this limit has such a name. Names are not cut, as two of them could become one.
pub(super) fn named(units: &ArrayRef) -> Result<ArrayRef, RunError> {
    fn long(lengths: impl Iterator<Item = usize>) -> BooleanArray {
        lengths.map(|bytes| Some(bytes > limits::UNIT_NAME_BYTES)).collect()
    }
    let long = match units.data_type() {
        DataType::Utf8 => long(lengths(units.as_string::<i32>().offsets())),
        DataType::LargeUtf8 => long(lengths(units.as_string::<i64>().offsets())),
        DataType::Binary => long(lengths(units.as_binary::<i32>().offsets())),
        DataType::LargeBinary => long(lengths(units.as_binary::<i64>().offsets())),
        DataType::Utf8View => long(units.as_string_view().lengths().map(|bytes| bytes as usize)),
        DataType::BinaryView => long(units.as_binary_view().lengths().map(|bytes| bytes as usize)),
        _ => return Ok(units.clone()),
    };
    Ok(if long.has_true() { nullif(units, &long)? } else { units.clone() })
}

/// Returns the first `chars` characters.
fn first(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).map_or(text, |(end, _)| &text[..end])
}

/// Returns the byte length of each value, from the offsets alone.
fn lengths<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> impl Iterator<Item = usize> {
    offsets.windows(2).map(|ends| (ends[1] - ends[0]).as_usize())
}
