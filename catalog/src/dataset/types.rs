//! Common types for columns of several files, or tables, under the same name.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, new_null_array},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, Float64Type, TimeUnit},
    error::ArrowError,
};

use super::read::{in_sql, plain, spelled};

/// Whole numbers below this are exact floats of 64 bits.
const EXACT: f64 = (1u64 << 53) as f64;

/// Returns the power of two below which whole numbers are exact floats of this type.
fn exact_power(kind: &DataType) -> u32 {
    match kind {
        DataType::Float16 => 11,
        DataType::Float32 => 24,
        _ => 53,
    }
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_bytes(kind: &DataType) -> bool {
    kind.is_binary() || matches!(kind, DataType::FixedSizeBinary(_))
}

/// Returns the number of digits before and after the point.
fn digits(kind: &DataType) -> Option<(u8, u8)> {
    Some(match kind {
        DataType::Int8 | DataType::UInt8 => (3, 0),
        DataType::Int16 | DataType::UInt16 => (5, 0),
        DataType::Int32 | DataType::UInt32 => (10, 0),
        DataType::Int64 => (19, 0),
        DataType::UInt64 => (20, 0),
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) | DataType::Decimal256(p, s) => {
            let after = u8::try_from(*s).ok()?;
            (p.checked_sub(after)?, after)
        }
        _ => return None,
    })
}

fn bits(kind: &DataType) -> Option<usize> {
    kind.is_integer().then(|| kind.primitive_width()).flatten()
}

/// Returns a type for the values of both, if any.
pub(super) fn common(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::*;
    let (a, b) = (plain(a), plain(b));
    Some(match (a, b) {
        _ if a == b => a.clone(),
        (Null, other) | (other, Null) => other.clone(),
        _ if a.is_signed_integer() && b.is_signed_integer() || a.is_unsigned_integer() && b.is_unsigned_integer() => {
            if bits(a) >= bits(b) { a.clone() } else { b.clone() }
        }
        (UInt64, other) | (other, UInt64) if other.is_integer() => Decimal128(20, 0),
        _ if a.is_integer() && b.is_integer() => Int64,
        _ if a.is_numeric() && b.is_numeric() && (a.is_floating() || b.is_floating()) => Float64,
        _ if is_text(a) && is_text(b) => Utf8,
        _ if is_bytes(a) && is_bytes(b) => Binary,
        (Date32, Date64) | (Date64, Date32) => Date64,
        (Date32, Timestamp(unit, None)) | (Timestamp(unit, None), Date32) => Timestamp(*unit, None),
        (Timestamp(one, zone), Timestamp(other, of)) if zone.is_some() == of.is_some() => {
            let finest = [TimeUnit::Nanosecond, TimeUnit::Microsecond, TimeUnit::Millisecond, TimeUnit::Second];
            let unit = finest.into_iter().find(|unit| unit == one || unit == other)?;
            Timestamp(unit, if zone == of { zone.clone() } else { Some("UTC".into()) })
        }
        _ => {
            let ((before, after), (others_before, others_after)) = (digits(a)?, digits(b)?);
            let (before, after) = (before.max(others_before), after.max(others_after));
            if before + after > 38 {
                return None;
            }
            Decimal128(before + after, i8::try_from(after).ok()?)
        }
    })
}

/// Returns the type of units' names for values of this type in the files, so that equal units are equal whatever wrote them.
///
/// # Errors
/// Returns the problem of the type.
pub(super) fn unit(kind: &DataType) -> Result<DataType, String> {
    Ok(match kind {
        kind if kind.is_integer() || is_text(kind) => kind.clone(),
        kind if is_bytes(kind) => DataType::Binary,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => DataType::Int64,
        DataType::Decimal256(p, _) if *p <= 38 => DataType::Decimal128(38, 0),
        kind => match digits(kind) {
            Some((before, _)) if before <= 18 => DataType::Int64,
            Some(_) => DataType::Decimal128(38, 0),
            None => {
                return Err(format!(
                    "is {}: the id of a privacy unit must be an integer, a text, bytes or a whole number",
                    in_sql(kind)
                ));
            }
        },
    })
}

/// Returns a type for units' names of both types, like [`common`], except that numbers with fractions are not names.
pub(super) fn common_unit(a: &DataType, b: &DataType) -> Option<DataType> {
    common(a, b).filter(|kind| !kind.is_floating())
}

/// Checks whether jobs can read a column of this type.
///
/// # Errors
/// Returns the problem of the type.
pub(super) fn readable(kind: &DataType) -> Result<(), String> {
    let kind = plain(kind);
    if kind.is_nested() || matches!(kind, DataType::Interval(_)) {
        return Err(format!(
            "is {}, a type that jobs cannot read. Write its parts as separate columns, or remove it from the policy",
            in_sql(kind)
        ));
    }
    Ok(())
}

/// Describes a failed conversion, with the value if the error has it.
fn unfit(e: &ArrowError) -> String {
    let text = e.to_string();
    let value = text.split_once("Can't cast value ").and_then(|(_, after)| after.split_once(" to type"));
    value.map_or_else(|| "a value does not fit the type".to_owned(), |(value, _)| format!("{value} does not fit the type"))
}

/// Converts a column's decoded values to another type able to hold all of them.
///
/// # Errors
/// Returns a description of a value that the type does not hold.
pub(super) fn convert(column: &ArrayRef, kind: &DataType, is_unit: bool) -> Result<ArrayRef, String> {
    let said = |e: ArrowError| unfit(&e);
    let column = spelled(column).map_err(said)?;
    let from = column.data_type().clone();
    if from == *kind {
        return Ok(column);
    }
    if from == DataType::Null || column.logical_null_count() == column.len() {
        return Ok(new_null_array(kind, column.len()));
    }
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    let cast = |column: &ArrayRef, kind: &DataType| cast_with_options(column, kind, &exact).map_err(said);
    if is_unit && from.is_floating() {
        let floats = cast(&column, &DataType::Float64)?;
        let floats = floats.as_primitive::<Float64Type>();
        // NaN is pandas' notation for a missing number.
        let power = exact_power(&from);
        let most = (1u64 << power) as f64;
        let wrong = floats.iter().flatten().find(|v| !v.is_nan() && (v.fract() != 0.0 || v.abs() >= most));
        if let Some(wrong) = wrong {
            let why = match wrong.fract() == 0.0 {
                true => format!("is beyond 2^{power}, where the type {} cannot represent every whole number", in_sql(&from)),
                false => "has a fraction".to_owned(),
            };
            return Err(format!("{wrong} {why}: the id of a privacy unit must be an integer, a text or a whole number"));
        }
        let whole: arrow::array::Int64Array = floats.iter().map(|v| v.filter(|v| !v.is_nan()).map(|v| v as i64)).collect();
        return cast(&(Arc::new(whole) as ArrayRef), kind);
    }
    if is_unit && from.is_decimal() && is_text(kind) {
        // As other files write it: without a decimal point.
        let whole = convert(&column, &DataType::Decimal128(38, 0), true)?;
        return cast(&whole, kind);
    }
    let converted = cast(&column, kind)?;
    let lost = match (&from, kind) {
        (from, DataType::Float64) if bits(from) == Some(8) => {
            let floats = converted.as_primitive::<Float64Type>();
            floats
                .iter()
                .flatten()
                .find(|v| v.abs() >= EXACT)
                .map(|v| format!("{v} is beyond 2^53, and a 64-bit float cannot represent it exactly"))
        }
        (from, to) if digits(from).is_some_and(|(_, after)| after > 0) && digits(to).is_some_and(|(_, after)| after == 0) => {
            let back = cast(&converted, from)?;
            (back.to_data() != column.to_data()).then(|| "a value has a fraction".to_owned())
        }
        _ => None,
    };
    lost.map_or(Ok(converted), Err)
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{Float64Array, Int64Array, UInt64Array},
        datatypes::Int64Type,
    };

    use super::*;

    #[test]
    fn one_type_holds_both() {
        use DataType::*;
        let dictionary = Dictionary(Box::new(UInt8), Box::new(Utf8View));
        for (a, b, both) in [
            (Int32, Int64, Some(Int64)),
            (Int64, UInt32, Some(Int64)),
            (Int64, UInt64, Some(Decimal128(20, 0))),
            (Int64, Float32, Some(Float64)),
            (Null, Date32, Some(Date32)),
            (dictionary, LargeUtf8, Some(Utf8)),
            (FixedSizeBinary(16), BinaryView, Some(Binary)),
            (Date32, Timestamp(TimeUnit::Millisecond, None), Some(Timestamp(TimeUnit::Millisecond, None))),
            (
                Timestamp(TimeUnit::Second, None),
                Timestamp(TimeUnit::Nanosecond, None),
                Some(Timestamp(TimeUnit::Nanosecond, None)),
            ),
            (Timestamp(TimeUnit::Second, None), Timestamp(TimeUnit::Second, Some("UTC".into())), None),
            (Decimal128(10, 2), Int32, Some(Decimal128(12, 2))),
            (Decimal128(38, 0), Decimal128(38, 10), None),
            (Utf8, Int64, None),
            (Boolean, Int64, None),
        ] {
            assert_eq!(common(&a, &b), both, "{a} {b}");
            assert_eq!(common(&b, &a), both, "{b} {a}");
        }
    }

    #[test]
    fn no_value_is_changed_in_silence() {
        let floats = |v: Vec<Option<f64>>| Arc::new(Float64Array::from(v)) as ArrayRef;
        let ok = convert(&floats(vec![Some(1.0), None, Some(f64::NAN), Some(-3.0)]), &DataType::Int64, true).unwrap();
        assert_eq!(ok.as_primitive::<Int64Type>(), &Int64Array::from(vec![Some(1), None, None, Some(-3)]));
        for bad in [1.5, 1e17, f64::INFINITY] {
            assert!(convert(&floats(vec![Some(bad)]), &DataType::Int64, true).is_err(), "{bad}");
        }
        let large = Arc::new(Int64Array::from(vec![(1 << 53) + 1])) as ArrayRef;
        assert!(convert(&large, &DataType::Float64, false).unwrap_err().contains("2^53"));
        let unsigned = Arc::new(UInt64Array::from(vec![u64::MAX])) as ArrayRef;
        let unfit = convert(&unsigned, &DataType::Int64, false).unwrap_err();
        assert_eq!(unfit, format!("{} does not fit the type", u64::MAX));
        assert!(convert(&unsigned, &DataType::Decimal128(20, 0), false).is_ok());
        let late = Arc::new(arrow::array::Date32Array::from(vec![2_932_896])) as ArrayRef;
        assert!(convert(&late, &DataType::Timestamp(TimeUnit::Nanosecond, None), false).is_err());
    }

    /// A narrow float tells whole numbers apart up to 2^24 or 2^11 alone: beyond, a person whom another file names by an integer would be two units.
    #[test]
    fn a_unit_that_a_narrow_float_cannot_name_is_refused() {
        for (number, kind) in [(16_777_218, DataType::Float32), (2050, DataType::Float16)] {
            let integers = Arc::new(Int64Array::from(vec![number])) as ArrayRef;
            let narrow = arrow::compute::cast(&integers, &kind).unwrap();
            assert!(convert(&narrow, &DataType::Int64, true).is_err(), "{number} as {kind}");
        }
    }

    /// Whatever wrote it, a unit has one name: 1.00 is 1, in text too, and 1.4 is none.
    #[test]
    fn a_decimal_names_a_unit_as_its_whole_number_does() {
        let decimal = |values: Vec<i128>| {
            let made = arrow::array::Decimal128Array::from(values).with_precision_and_scale(10, 2).unwrap();
            Arc::new(made) as ArrayRef
        };
        let text = convert(&decimal(vec![100]), &DataType::Utf8, true).unwrap();
        assert_eq!(text.as_string::<i32>().value(0), "1");
        let wide = arrow::compute::cast(&decimal(vec![140]), &DataType::Decimal256(38, 1)).unwrap();
        assert!(convert(&wide, &DataType::Decimal128(38, 0), true).is_err());
    }
}
