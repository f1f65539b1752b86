//! Group keys: a single form for each value, so no two groups can have the same key; and the forms for people and JSON.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, StringArray, new_null_array, timezone::Tz},
    compute::{cast, concat, kernels::cast_utils::string_to_datetime, nullif},
    datatypes::{DataType, Float32Type, Float64Type, Int64Type, TimeUnit, UInt64Type},
};
use tidegate_protocol::{job::Key, limits};

use super::own::settle;
use crate::{RunError, units::shorten};

/// Brings an array of keys to canonical form: a single zero, NULL for NaN, texts no longer than [`limits::KEY_CHARS`].
pub(super) fn canonical(array: &ArrayRef) -> Result<ArrayRef, RunError> {
    Ok(match array.data_type() {
        DataType::Float32 | DataType::Float64 => settle(array)?,
        DataType::Date32 => within_calendar(array, 1.0 / 86_400.0)?,
        DataType::Timestamp(unit, _) => within_calendar(array, f64::from(ticks(*unit)))?,
        _ => shorten(array, limits::KEY_CHARS)?,
    })
}

/// Returns the ticks of a second.
fn ticks(unit: TimeUnit) -> u32 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// Replaces dates outside the years 0 to 9999 by NULL: no people or other tools would read their text. `ticks` are per second.
fn within_calendar(array: &ArrayRef, ticks: f64) -> Result<ArrayRef, RunError> {
    const FIRST: f64 = -62_167_219_200.0;
    const END: f64 = 253_402_300_800.0;
    let kind = if *array.data_type() == DataType::Date32 { DataType::Int32 } else { DataType::Int64 };
    let seconds = cast(&cast(array, &kind)?, &DataType::Float64)?;
    // A day less at each end if there is a time zone.
    let day = if matches!(array.data_type(), DataType::Timestamp(_, Some(_))) { 86_400.0 } else { 0.0 };
    let outside = |v: f64| !(FIRST + day..END - day).contains(&(v / ticks));
    let outside = BooleanArray::from_unary(seconds.as_primitive::<Float64Type>(), outside);
    Ok(if outside.true_count() == 0 { array.clone() } else { nullif(array, &outside)? })
}

/// Converts declared keys to arrays of the key columns' types, column by column.
pub(super) fn declared(keys: &[Vec<Key>], columns: &[ArrayRef]) -> Result<Vec<ArrayRef>, RunError> {
    columns.iter().enumerate().map(|(i, column)| typed(keys.iter().map(|key| &key[i]), column.data_type())).collect()
}

/// Converts keys to an array of this type.
///
/// # Errors
/// Returns [`RunError::Engine`] naming the first key that is no value of the type.
pub(super) fn typed<'k>(keys: impl Iterator<Item = &'k Key>, kind: &DataType) -> Result<ArrayRef, RunError> {
    let one = |key: &Key| {
        let value = exact(key, kind).ok_or_else(|| RunError::Engine(format!("{key} is no value of type {kind}")))?;
        // Texts have one layout in canonical form.
        Ok(cast(&value, kind)?)
    };
    let values = keys.map(one).collect::<Result<Vec<_>, RunError>>()?;
    if values.is_empty() {
        return Ok(new_null_array(kind, 0));
    }
    Ok(concat(&values.iter().map(AsRef::as_ref).collect::<Vec<_>>())?)
}

/// Returns whether values of a type can be keys: each needs a single form readable by people and as JSON.
pub(super) fn may_be_key(kind: &DataType) -> bool {
    kind.is_integer()
        || kind.is_string()
        || matches!(kind, DataType::Float32 | DataType::Float64 | DataType::Boolean)
        || matches!(kind, DataType::Date32 | DataType::Timestamp(..))
        // Text is not parsed as a decimal of negative scale.
        || matches!(kind, DataType::Decimal128(_, scale) if *scale >= 0)
}

/// Converts a key to a value of type `kind` in canonical form, as an array of length 1.
///
/// `None` if the type has no such value: nothing is rounded or cut. Values of a REAL are identified by their shortest decimals,
/// as SQL writes them, so 0.1 is such a value.
pub(super) fn exact(key: &Key, kind: &DataType) -> Option<ArrayRef> {
    if *key == Key::Null {
        return Some(new_null_array(kind, 1));
    }
    let array = match (key, kind) {
        (Key::Bool(value), DataType::Boolean) => Arc::new(BooleanArray::from(vec![*value])) as ArrayRef,
        (Key::Text(text), kind) if kind.is_string() && text.chars().count() <= limits::KEY_CHARS => of_text(text, kind)?,
        (_, kind) if kind.is_integer() => of_text(&whole(key)?.to_string(), kind)?,
        (_, DataType::Float64) => Arc::new(Float64Array::from(vec![float(key)?])),
        (_, DataType::Float32) => {
            let wide = float(key)?;
            let value = wide as f32;
            let same = wide.is_nan() || f64::from(value) == wide || shortest(value) == wide;
            same.then(|| Arc::new(Float32Array::from(vec![value])))?
        }
        (Key::Int(_) | Key::Float(_) | Key::Text(_), DataType::Decimal128(..)) => {
            let text = match key {
                Key::Text(text) => text.clone(),
                Key::Float(value) => value.to_string(),
                _ => whole(key)?.to_string(),
            };
            let array = of_text(&text, kind)?;
            (plain_decimal(&text)? == plain_decimal(&shown(&array, 0).ok()?)?).then_some(array)?
        }
        (Key::Text(text), DataType::Date32) => of_text(text, kind).filter(|array| shown(array, 0).is_ok_and(|t| t == *text))?,
        (Key::Text(text), DataType::Timestamp(unit, zone)) => {
            let zone: Tz = zone.as_deref().unwrap_or("+00:00").parse().ok()?;
            let nanos = string_to_datetime(&zone, text).ok()?.timestamp_subsec_nanos();
            (nanos < 1_000_000_000 && nanos % (1_000_000_000 / ticks(*unit)) == 0).then(|| of_text(text, kind))??
        }
        _ => return None,
    };
    canonical(&array).ok().filter(|array| array.is_valid(0))
}

/// Parses a text as a value of a type.
fn of_text(text: &str, kind: &DataType) -> Option<ArrayRef> {
    cast(&StringArray::from(vec![text]), kind).ok().filter(|array| array.is_valid(0))
}

/// Returns a key's value if the key is an integer.
fn whole(key: &Key) -> Option<i128> {
    match key {
        Key::Int(value) => Some(i128::from(*value)),
        // JSON has one form for 5.0 and 5.
        Key::Float(value) => {
            Some(*value as i128).filter(|whole| *whole as f64 == *value && Key::integer(*whole) == Key::Int(*value as i64))
        }
        Key::Text(text) => text.parse().ok().filter(|whole: &i128| whole.to_string() == *text),
        _ => None,
    }
}

/// Returns a key's value if the key is a float.
fn float(key: &Key) -> Option<f64> {
    match key {
        Key::Int(value) => Some(*value as f64).filter(|float| *float as i128 == i128::from(*value)),
        Key::Float(value) => Some(*value),
        // Infinities are texts.
        Key::Text(text) => [f64::INFINITY, f64::NEG_INFINITY].into_iter().find(|value| value.to_string() == *text),
        _ => None,
    }
}

/// Returns the decimal number with the fewest digits that reads as this 32-bit float and no other.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::NAN)
}

/// Strips meaningless zeros from a decimal number; `None` for other texts.
fn plain_decimal(text: &str) -> Option<String> {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && part.is_empty()) || !whole.bytes().chain(part.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
    let sign = if whole.is_empty() && part.is_empty() { "" } else { sign };
    Some(format!("{sign}{whole}.{part}"))
}

/// Returns a hint on how a declared key of a type is written, with an example.
pub(super) fn example(kind: &DataType) -> &'static str {
    match kind {
        DataType::Boolean => "Write true or false",
        DataType::Int8 => "Write an integer from -128 to 127, such as 7",
        DataType::UInt8 => "Write an integer from 0 to 255, such as 7",
        DataType::Int16 => "Write an integer from -32768 to 32767, such as 7",
        DataType::UInt16 => "Write an integer from 0 to 65535, such as 7",
        kind if kind.is_unsigned_integer() => "Write an integer without a sign, such as 7; beyond 9007199254740991 as text",
        kind if kind.is_integer() => {
            "Write an integer, such as 7; beyond ±9007199254740991 as text, such as \"9007199254740993\""
        }
        kind if kind.is_floating() => "Write a number of that type, such as 0.5, or \"inf\" or \"-inf\"",
        DataType::Date32 => "Write a date as text, such as \"2024-02-29\"",
        DataType::Timestamp(_, Some(_)) => {
            "Write a time with its offset as text, such as \"2024-02-29T12:00:00Z\", of no finer parts of a second than its type has"
        }
        DataType::Timestamp(..) => {
            "Write a time as text, such as \"2024-02-29T12:00:00\", of no finer parts of a second than its type has"
        }
        DataType::Decimal128(..) => {
            "Write a number, or its digits as text, such as \"12.50\", with no more digits than its type has"
        }
        _ => "Write a text, such as \"north\"",
    }
}

/// Returns a key's value for people and for JSON. No two values of a type have the same.
pub(super) fn value(array: &ArrayRef, row: usize) -> Result<Key, RunError> {
    if array.is_null(row) {
        return Ok(Key::Null);
    }
    let kind = array.data_type();
    // JSON has no infinity, which is shown as text.
    let float = |value: f64| if value.is_finite() { Key::Float(value) } else { Key::Text(value.to_string()) };
    Ok(match kind {
        DataType::UInt64 => Key::integer(array.as_primitive::<UInt64Type>().value(row)),
        kind if kind.is_integer() => {
            Key::integer(cast(&array.slice(row, 1), &DataType::Int64)?.as_primitive::<Int64Type>().value(0))
        }
        DataType::Float32 => {
            let value = array.as_primitive::<Float32Type>().value(row);
            float(if value.is_finite() { shortest(value) } else { f64::from(value) })
        }
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => Key::Bool(array.as_boolean().value(row)),
        _ => Key::Text(shown(array, row)?),
    })
}

/// Returns a value as text.
fn shown(array: &ArrayRef, row: usize) -> Result<String, RunError> {
    Ok(cast(&array.slice(row, 1), &DataType::Utf8)?.as_string::<i32>().value(0).to_owned())
}

#[cfg(test)]
mod tests;
