//! Conversion between times with a zone (instants) and times without (shown by the zone's clocks at the instant).
//!
//! The engine takes a time's zone off by showing the clocks of UTC, and has no time where a zone's clocks show a time twice or
//! never.

use std::sync::Arc;

use arrow::{
    array::{Array as _, ArrayRef, AsArray, BooleanArray, Int64Array, StringArrayType, timezone::Tz},
    compute::{cast, nullif},
    datatypes::{DataType, Int64Type, TimeUnit, TimestampSecondType},
    temporal_conversions::as_datetime_with_timezone,
};
use datafusion::{common::ScalarValue, logical_expr::Expr};

use super::literal::ticks;
use crate::{
    RunError,
    sql::own::{own, within_calendar},
};

/// Time shown by the clocks of a time's zone.
pub(in crate::sql) const CLOCK: &str = "what clocks show";
/// Instant at which the clocks of a zone, given by the first argument's type, show a time.
pub(in crate::sql) const INSTANT: &str = "when clocks show";

/// Text without a zone.
pub(in crate::sql) const UNZONED: &str = "text without a zone";

const A_DAY: i64 = 86_400;
/// Seconds of the years 1 to 9999 and a day before: no zone's clocks leave the engine's calendar, beyond which it would panic.
const CALENDAR: std::ops::Range<i64> = -62_135_683_200..253_402_300_800;
/// Number of characters of a date.
const DATE: usize = 10;

/// Builds a cast between a time with a zone and a time without; `None` for others. The unit of the result may differ from `to`.
pub(super) fn moved(time: &Expr, from: &DataType, to: &DataType) -> Option<Expr> {
    match (from, to) {
        (DataType::Timestamp(unit, Some(_)), DataType::Timestamp(_, None)) => {
            Some(own(CLOCK, 1, Some(DataType::Timestamp(*unit, None)), |args| clock(&args[0])).call(vec![time.clone()]))
        }
        (DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, None), DataType::Timestamp(_, Some(_))) => {
            let zone = ScalarValue::try_from(to).ok()?;
            if let Expr::Literal(value, _) = time {
                let made = value.to_array().ok().and_then(|value| instant(&value, to).ok())?;
                return Some(Expr::Literal(ScalarValue::try_from_array(&made, 0).ok()?, None));
            }
            let made = own(INSTANT, 2, None, |args| instant(&args[1], args[0].data_type()));
            Some(made.call(vec![Expr::Literal(zone, None), time.clone()]))
        }
        _ => None,
    }
}

/// Returns the ticks of a second.
fn a_second(kind: &DataType) -> i64 {
    ticks(kind).map_or(1, |tick| (1_000_000_000 / tick) as i64)
}

/// Computes [`CLOCK`]; times beyond the calendar, and at the end of a type's range, stay.
pub(in crate::sql) fn clock(times: &ArrayRef) -> Result<ArrayRef, RunError> {
    let DataType::Timestamp(unit, Some(zone)) = times.data_type() else { return Ok(times.clone()) };
    let zone: Tz = zone.parse()?;
    let second = a_second(times.data_type());
    let offset = |v: i64| {
        let at = Some(v.div_euclid(second)).filter(|at| CALENDAR.contains(at))?;
        let time = as_datetime_with_timezone::<TimestampSecondType>(at, zone)?;
        Some((time.naive_local() - time.naive_utc()).num_seconds())
    };
    let shown = |v: i64| v.saturating_add(offset(v).unwrap_or(0).saturating_mul(second));
    let ticks = cast(times, &DataType::Int64)?;
    let made = ticks.as_primitive::<Int64Type>().unary::<_, Int64Type>(shown);
    Ok(cast(&(Arc::new(made) as ArrayRef), &DataType::Timestamp(*unit, None))?)
}

/// Computes [`INSTANT`], NULL beyond the calendar.
///
/// A time that clocks show twice gives the first instant; a time that they skip is read by the clocks as they were before the
/// change, as in PostgreSQL.
pub(in crate::sql) fn instant(times: &ArrayRef, kind: &DataType) -> Result<ArrayRef, RunError> {
    let DataType::Timestamp(unit, Some(_)) = kind else { return Ok(times.clone()) };
    // The engine multiplies the milliseconds of dates unchecked, but not those of timestamps.
    let times = match times.data_type() {
        DataType::Date64 => &cast(times, &DataType::Timestamp(TimeUnit::Millisecond, None))?,
        _ => times,
    };
    let local = within_calendar(&cast(times, &DataType::Timestamp(*unit, None))?)?;
    let found = cast(&local, kind)?;
    if found.null_count() == local.null_count() {
        return Ok(found);
    }
    let day = A_DAY * a_second(kind);
    let local = cast(&local, &DataType::Int64)?;
    let before = local.as_primitive::<Int64Type>().unary::<_, Int64Type>(|v| v.saturating_sub(day));
    let before = cast(&cast(&(Arc::new(before) as ArrayRef), &DataType::Timestamp(*unit, None))?, kind)?;
    let [found, before] = [cast(&found, &DataType::Int64)?, cast(&before, &DataType::Int64)?];
    let pairs = found.as_primitive::<Int64Type>().iter().zip(before.as_primitive::<Int64Type>());
    let made: Int64Array = pairs.map(|(at, before)| at.or(before.map(|v| v.saturating_add(day)))).collect();
    Ok(cast(&(Arc::new(made) as ArrayRef), kind)?)
}

/// Builds a text without a zone; NULL for a text with a zone, which would be another time without its zone.
pub(super) fn unzoned(text: Expr) -> Expr {
    let compute = |args: &[ArrayRef]| {
        let none = match args[0].data_type() {
            DataType::Utf8 => says(args[0].as_string::<i32>()),
            DataType::LargeUtf8 => says(args[0].as_string::<i64>()),
            DataType::Utf8View => says(args[0].as_string_view()),
            _ => return Ok(args[0].clone()),
        };
        Ok(if none.true_count() == 0 { args[0].clone() } else { nullif(&args[0], &none)? })
    };
    own(UNZONED, 1, None, compute).call(vec![text])
}

/// Returns which texts have parts of a zone in its place, after the date.
fn says<'a>(texts: impl StringArrayType<'a>) -> BooleanArray {
    let zone = |text: &str| {
        let after = text.trim().bytes().take(64).skip(DATE);
        after
            .enumerate()
            .any(|(i, b)| matches!(b, b'+' | b'-') || b.is_ascii_alphabetic() && !(i == 0 && matches!(b, b'T' | b't')))
    };
    texts.iter().map(|text| Some(text.is_some_and(zone))).collect()
}

/// Returns whether a text, read as a time, says its zone.
pub(in crate::sql) fn has_zone(text: &str) -> bool {
    let read = |zone: &str| {
        let value = ScalarValue::Utf8(Some(text.to_owned()));
        let kind = DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into()));
        value.cast_to(&kind).and_then(|value| value.cast_to(&DataType::Int64)).ok().filter(|value| !value.is_null())
    };
    let [here, there] = ["+00:00", "+01:00"].map(read);
    here.is_some() && here == there
}
