//! Group keys: one form for each value, so that no two groups can have one key; and as people and JSON see them.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, NullArray, StringArray, new_null_array},
    compute::{cast, concat, nullif},
    datatypes::{DataType, Float32Type, Float64Type, Int64Type, TimeUnit},
};
use tidegate_protocol::{job::Key, limits};

use crate::{RunError, units::shorten};

/// One array of keys in one form: a single NaN, a single zero, texts no longer than [`limits::KEY_CHARS`].
///
/// NaN has many bit patterns that all read "NaN": were they groups of their own, two of them would look like one key that came twice.
pub(super) fn canonical(array: &ArrayRef) -> Result<ArrayRef, RunError> {
    Ok(match array.data_type() {
        DataType::Float32 => {
            let one = |v: f32| if v.is_nan() { f32::NAN } else { v + 0.0 };
            Arc::new(array.as_primitive::<Float32Type>().unary::<_, Float32Type>(one)) as ArrayRef
        }
        DataType::Float64 => {
            let one = |v: f64| if v.is_nan() { f64::NAN } else { v + 0.0 };
            Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float64Type>(one)) as ArrayRef
        }
        DataType::Date32 => within_calendar(array, 1.0 / 86_400.0)?,
        DataType::Timestamp(unit, _) => {
            let ticks = match unit {
                TimeUnit::Second => 1.0,
                TimeUnit::Millisecond => 1e3,
                TimeUnit::Microsecond => 1e6,
                TimeUnit::Nanosecond => 1e9,
            };
            within_calendar(array, ticks)?
        }
        _ => shorten(array, limits::KEY_CHARS)?,
    })
}

/// Dates from year 0 to 9999, the others NULL: they have no text that people or other tools would read. `ticks` are a second's.
fn within_calendar(array: &ArrayRef, ticks: f64) -> Result<ArrayRef, RunError> {
    const FIRST: f64 = -62_167_219_200.0;
    const END: f64 = 253_402_300_800.0;
    let kind = if *array.data_type() == DataType::Date32 { DataType::Int32 } else { DataType::Int64 };
    let seconds = cast(&cast(array, &kind)?, &DataType::Float64)?;
    // A day from each end, for time zones.
    let outside = |v: f64| !(FIRST + 86_400.0..END - 86_400.0).contains(&(v / ticks));
    let outside = BooleanArray::from_unary(seconds.as_primitive::<Float64Type>(), outside);
    Ok(if outside.true_count() == 0 { array.clone() } else { nullif(array, &outside)? })
}

/// Declared keys as arrays of the key columns' types, column by column.
pub(super) fn declared(keys: &[Vec<Key>], columns: &[ArrayRef]) -> Result<Vec<ArrayRef>, RunError> {
    columns
        .iter()
        .enumerate()
        .map(|(i, column)| {
            let kind = column.data_type();
            let values = keys.iter().map(|key| Ok(cast(&one(&key[i]), kind)?)).collect::<Result<Vec<_>, RunError>>()?;
            if values.is_empty() {
                return Ok(new_null_array(kind, 0));
            }
            canonical(&concat(&values.iter().map(AsRef::as_ref).collect::<Vec<_>>())?)
        })
        .collect()
}

/// Whether keys of this type are shown, and declared, as text.
pub(super) fn is_shown_as_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Date32 | DataType::Timestamp(..) | DataType::Decimal128(..))
}

/// The one text form of a key of such a type; `None` where it is not of that type.
pub(super) fn canonical_text(key: &Key, kind: &DataType) -> Option<Key> {
    let typed = cast(&one(key), kind).ok()?;
    value(&typed, 0).ok().filter(|key| *key != Key::Null)
}

/// A key as an array of one.
pub(super) fn one(key: &Key) -> ArrayRef {
    match key {
        Key::Null => Arc::new(NullArray::new(1)),
        Key::Bool(v) => Arc::new(BooleanArray::from(vec![*v])),
        Key::Int(v) => Arc::new(Int64Array::from(vec![*v])),
        Key::Float(v) => Arc::new(Float64Array::from(vec![*v])),
        Key::Text(v) => Arc::new(StringArray::from(vec![v.as_str()])),
    }
}

/// A key's value for people and for JSON.
pub(super) fn value(array: &ArrayRef, row: usize) -> Result<Key, RunError> {
    if array.is_null(row) {
        return Ok(Key::Null);
    }
    let one = array.slice(row, 1);
    let kind = one.data_type();
    Ok(if kind.is_integer() {
        Key::Int(cast(&one, &DataType::Int64)?.as_primitive::<Int64Type>().value(0))
    } else if kind.is_floating() {
        // JSON has no NaN and no infinity: they are shown as text, and are groups of their own.
        let value = cast(&one, &DataType::Float64)?.as_primitive::<Float64Type>().value(0);
        if value.is_finite() { Key::Float(value) } else { Key::Text(value.to_string()) }
    } else if *kind == DataType::Boolean {
        Key::Bool(one.as_boolean().value(0))
    } else {
        Key::Text(cast(&one, &DataType::Utf8)?.as_string::<i32>().value(0).to_owned())
    })
}
