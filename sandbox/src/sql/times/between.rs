//! Differences of two times.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, DurationMicrosecondArray, Float64Array, Int32Array, Int64Array},
    compute::{binary, cast},
    datatypes::{DataType, DurationMicrosecondType},
};
use datafusion::logical_expr::ColumnarValue;
use tidegate_protocol::Refusal;

use super::{
    super::{exact::instant, own::within_calendar, refuse},
    calendar::{A_DAY, A_SECOND, by_clock, civil, micros},
    what::{SpanPart, micro},
};
use crate::RunError;

/// Unit of time to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
}

/// Units and their names.
const UNITS: [(&str, Unit); 10] = [
    ("year", Unit::Year),
    ("quarter", Unit::Quarter),
    ("month", Unit::Month),
    ("week", Unit::Week),
    ("day", Unit::Day),
    ("hour", Unit::Hour),
    ("minute", Unit::Minute),
    ("second", Unit::Second),
    ("millisecond", Unit::Millisecond),
    ("microsecond", Unit::Microsecond),
];

impl Unit {
    /// Parses a unit's name, in singular or plural.
    ///
    /// # Errors
    /// Returns a [`Refusal`] for an unknown name.
    pub(super) fn of(name: &str) -> Result<Self, Refusal> {
        let lower = name.to_lowercase();
        let found = UNITS.iter().find(|(known, _)| *known == lower || lower.strip_suffix('s') == Some(known));
        found.map(|(_, unit)| *unit).ok_or_else(|| {
            let names: Vec<&str> = UNITS.iter().map(|(name, _)| *name).collect();
            refuse(format!("'{name}' is no unit of time")).fix(format!("Write one of {}", names.join(", ")))
        })
    }

    /// Returns the unit's name.
    pub(super) fn name(self) -> &'static str {
        UNITS.iter().find(|(_, unit)| *unit == self).map_or("day", |(name, _)| name)
    }

    /// Returns the unit's length in microseconds, if constant.
    fn micros(self) -> Option<i64> {
        Some(match self {
            Self::Hour => 3600 * A_SECOND,
            Self::Minute => 60 * A_SECOND,
            Self::Second => A_SECOND,
            Self::Millisecond => 1000,
            Self::Microsecond => 1,
            _ => return None,
        })
    }

    /// Returns the number of the unit in which a day lies.
    fn number(self, day: i64) -> i64 {
        match (self, civil(day)) {
            (Self::Year, (year, ..)) => year,
            (Self::Quarter, (year, month, _)) => year * 4 + (month - 1) / 3,
            (Self::Month, (year, month, _)) => year * 12 + month,
            // Weeks begin on Monday, such as 1969-12-29.
            (Self::Week, _) => (day + 3).div_euclid(7),
            _ => day,
        }
    }
}

/// Evaluates a call `date_diff(unit, a, b)` or `datediff(b, a)`.
pub(super) fn called(args: &[ColumnarValue]) -> Result<ArrayRef, RunError> {
    let engine = |e: String| RunError::Engine(e);
    let (unit, times) = match args {
        [ColumnarValue::Scalar(unit), a, b] => {
            (unit.try_as_str().flatten().unwrap_or_default().to_owned(), vec![a.clone(), b.clone()])
        }
        [b, a] => ("day".to_owned(), vec![a.clone(), b.clone()]),
        _ => return Err(engine("date_diff has no literal unit".to_owned())),
    };
    let unit = Unit::of(&unit).map_err(|e| engine(e.to_string()))?;
    let arrays = ColumnarValue::values_to_arrays(&times).map_err(|e| engine(e.to_string()))?;
    let typed = |a: &ArrayRef| if a.data_type().is_null() { Ok(cast(a, &micro())?) } else { Ok::<_, RunError>(a.clone()) };
    diff(unit, &typed(&arrays[0])?, &typed(&arrays[1])?)
}

/// Counts the beginnings of a unit after `a` and not after `b`.
fn diff(unit: Unit, a: &ArrayRef, b: &ArrayRef) -> Result<ArrayRef, RunError> {
    let Some(length) = unit.micros() else {
        let [a, b] = [local(a)?, local(b)?];
        let made: Int64Array = binary(&a, &b, |a, b| unit.number(b.div_euclid(A_DAY)) - unit.number(a.div_euclid(A_DAY)))?;
        return Ok(Arc::new(made));
    };
    // Clocks tell where an hour begins, but they may not tell how many hours have passed.
    let begins = |at: &Int64Array, shown: &Int64Array| binary(at, shown, |at, shown| at.wrapping_sub(shown.rem_euclid(length)));
    let [x, y] = instants(a, b)?;
    let [x, y]: [Int64Array; 2] = [begins(&x, &local(a)?)?, begins(&y, &local(b)?)?];
    let made: Int64Array = binary(&x, &y, |x, y| y.wrapping_sub(x) / length)?;
    Ok(Arc::new(made))
}

/// Returns the microseconds shown by clocks.
fn local(times: &ArrayRef) -> Result<Int64Array, RunError> {
    micros(&by_clock(times)?)
}

/// Returns instants in microseconds; a time without a zone is read in the zone of the other time, if any.
fn instants(a: &ArrayRef, b: &ArrayRef) -> Result<[Int64Array; 2], RunError> {
    let zoned = |a: &ArrayRef| matches!(a.data_type(), DataType::Timestamp(_, Some(_)));
    let read = |time: &ArrayRef, beside: &ArrayRef| match (zoned(time), beside.data_type()) {
        (false, DataType::Timestamp(_, zone @ Some(_))) => {
            let kind = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, zone.clone());
            micros(&instant(&within_calendar(time)?, &kind)?)
        }
        _ => micros(time),
    };
    Ok([read(a, b)?, read(b, a)?])
}

/// Returns the days from `b` to `a`, both dates.
pub(super) fn days(a: &ArrayRef, b: &ArrayRef) -> Result<ArrayRef, RunError> {
    diff(Unit::Day, b, a)
}

/// Returns the length of time from `b` to `a`.
pub(super) fn span(a: &ArrayRef, b: &ArrayRef) -> Result<ArrayRef, RunError> {
    let [a, b] = instants(a, b)?;
    let made: DurationMicrosecondArray = binary::<_, _, _, DurationMicrosecondType>(&a, &b, i64::wrapping_sub)?;
    Ok(Arc::new(made))
}

/// Extracts a part of lengths of time: whole days, the remaining hours, minutes or seconds, or the total in seconds.
pub(super) fn of_span(part: SpanPart, spans: &ArrayRef) -> Result<ArrayRef, RunError> {
    let spans = cast(spans, &DataType::Duration(arrow::datatypes::TimeUnit::Microsecond))?;
    let spans = spans.as_primitive::<DurationMicrosecondType>();
    let every = |length: i64, of: i64| -> ArrayRef {
        let made: Int32Array = spans.iter().map(|v| i32::try_from(v? / length % of).ok()).collect();
        Arc::new(made)
    };
    Ok(match part {
        SpanPart::Day => every(A_DAY, i64::MAX),
        SpanPart::Hour => every(3600 * A_SECOND, 24),
        SpanPart::Minute => every(60 * A_SECOND, 60),
        SpanPart::Second => every(A_SECOND, 60),
        SpanPart::Epoch => {
            let made: Float64Array = spans.unary::<_, arrow::datatypes::Float64Type>(|v| v as f64 / A_SECOND as f64);
            Arc::new(made)
        }
    })
}
