//! Times moved by an interval, or dates by days: months follow the calendar, ending on the last day of a month that is too short.

use std::sync::Arc;

use arrow::{
    array::{Array as _, ArrayRef, AsArray, Int64Array, IntervalMonthDayNanoArray},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit},
};

use super::{
    super::exact::instant,
    calendar::{A_DAY, as_times, by_clock, civil, day_of, days_in, micros},
    what::micro,
};
use crate::RunError;

/// Returns the type of a moved time: dates stay dates, nanoseconds stay, and all others get microseconds.
pub(super) fn gives(time: &DataType) -> DataType {
    match time {
        DataType::Date32 => DataType::Date32,
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => DataType::Timestamp(TimeUnit::Nanosecond, zone.clone()),
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        _ => DataType::Timestamp(TimeUnit::Microsecond, None),
    }
}

/// Converts an array to intervals; whole numbers are days.
fn intervals(array: &ArrayRef) -> Result<IntervalMonthDayNanoArray, RunError> {
    if matches!(array.data_type(), DataType::Interval(_) | DataType::Duration(_) | DataType::Null) {
        let array = cast(array, &DataType::Interval(IntervalUnit::MonthDayNano))?;
        return Ok(array.as_primitive::<IntervalMonthDayNanoType>().clone());
    }
    let days = cast(array, &DataType::Int64)?;
    let days = days.as_primitive::<Int64Type>();
    Ok(days.unary_opt(|days| Some(IntervalMonthDayNano::new(0, i32::try_from(days).ok()?, 0))))
}

/// Adds months and days to a day.
fn on(day: i64, months: i64, days: i64) -> Option<i64> {
    let (year, month, of_month) = civil(day);
    let all = year * 12 + month - 1 + months;
    let (year, month) = (all.div_euclid(12), all.rem_euclid(12) + 1);
    (-10_000..20_000).contains(&year).then(|| day_of(year, month, of_month.min(days_in(year, month))) + days)
}

/// Adds intervals to times, or subtracts them, by `sign`; NULL beyond the calendar.
///
/// Months and days follow clocks, hours follow elapsed time.
pub(super) fn moved(times: &ArrayRef, by: &ArrayRef, sign: i64) -> Result<ArrayRef, RunError> {
    let kind = gives(times.data_type());
    let by = intervals(by)?;
    let shown = micros(&by_clock(times)?)?;
    let calendar: Int64Array = shown
        .iter()
        .zip(&by)
        .map(|(at, by)| {
            let (at, by) = (at?, by?);
            let day = on(at.div_euclid(A_DAY), sign * i64::from(by.months), sign * i64::from(by.days))?;
            day.checked_mul(A_DAY)?.checked_add(at.rem_euclid(A_DAY))
        })
        .collect();
    let calendar = match times.data_type() {
        DataType::Timestamp(_, Some(_)) => {
            let naive = as_times(calendar, &micro())?;
            let again = micros(&instant(&naive, &DataType::Timestamp(TimeUnit::Microsecond, zone(&kind)))?)?;
            // A time that did not move by months or days is not mapped back from its clock time.
            let still = micros(times)?;
            let pairs = again.iter().zip(&still).zip(&by);
            pairs
                .map(|((again, still), by)| if by.is_some_and(|by| by.months == 0 && by.days == 0) { still } else { again })
                .collect()
        }
        _ => calendar,
    };
    let made: Int64Array = calendar.iter().zip(&by).map(|(at, by)| at?.checked_add(sign * (by?.nanoseconds / 1000))).collect();
    let coarse = as_times(made, &kind)?;
    // For nanoseconds, the part below a microsecond is added.
    if kind == DataType::Date32 || !matches!(times.data_type(), DataType::Timestamp(TimeUnit::Nanosecond, _)) {
        return Ok(coarse);
    }
    let [coarse, was] = [&coarse, times].map(|times| cast(times, &DataType::Int64));
    let (coarse, was) = (coarse?, was?);
    let pairs = coarse.as_primitive::<Int64Type>().iter().zip(was.as_primitive::<Int64Type>()).zip(&by);
    let made: Int64Array = pairs
        .map(|((coarse, was), by)| coarse?.checked_add(was?.rem_euclid(1000))?.checked_add(sign * (by?.nanoseconds % 1000)))
        .collect();
    Ok(cast(&(Arc::new(made) as ArrayRef), &kind)?)
}

fn zone(kind: &DataType) -> Option<Arc<str>> {
    if let DataType::Timestamp(_, zone) = kind { zone.clone() } else { None }
}

/// Multiplies intervals by numbers; NULL beyond the range of intervals.
pub(super) fn times(intervals: &ArrayRef, numbers: &ArrayRef) -> Result<ArrayRef, RunError> {
    let intervals = self::intervals(intervals)?;
    let numbers = cast(numbers, &DataType::Float64)?;
    let pairs = intervals.iter().zip(numbers.as_primitive::<Float64Type>());
    let made: IntervalMonthDayNanoArray = pairs
        .map(|(by, number)| {
            let (by, number) = (by?, number.filter(|n| n.fract() == 0.0 && n.abs() < 1e9)? as i64);
            let narrow = |v: i32| i32::try_from(i64::from(v).checked_mul(number)?).ok();
            Some(IntervalMonthDayNano::new(narrow(by.months)?, narrow(by.days)?, by.nanoseconds.checked_mul(number)?))
        })
        .collect();
    Ok(Arc::new(made))
}
