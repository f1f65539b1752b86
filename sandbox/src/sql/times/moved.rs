//! Times moved by an interval, or a date by days: of months as calendars have them, the last day where a month has no such day.

use std::sync::Arc;

use arrow::{
    array::{Array as _, ArrayRef, AsArray, Int64Array, IntervalMonthDayNanoArray},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit},
};
use datafusion::{
    common::ScalarValue,
    logical_expr::{Expr, lit},
};
use tidegate_protocol::Refusal;

use super::{
    super::{exact, expr::constant, refuse},
    What,
    arithmetic::{BACK, ON, TIMES},
    calendar::{A_DAY, as_times, by_clock, civil, day_of, days_in, micros},
    call,
};
use crate::RunError;

/// The type of a moved time: a date stays one, others have microseconds.
pub(super) fn gives(time: &DataType) -> DataType {
    match time {
        DataType::Date32 => DataType::Date32,
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => DataType::Timestamp(TimeUnit::Nanosecond, zone.clone()),
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        _ => DataType::Timestamp(TimeUnit::Microsecond, None),
    }
}

/// Intervals; of whole numbers, so many days.
fn intervals(array: &ArrayRef) -> Result<IntervalMonthDayNanoArray, RunError> {
    if matches!(array.data_type(), DataType::Interval(_) | DataType::Duration(_) | DataType::Null) {
        let array = cast(array, &DataType::Interval(IntervalUnit::MonthDayNano))?;
        return Ok(array.as_primitive::<IntervalMonthDayNanoType>().clone());
    }
    let days = cast(array, &DataType::Int64)?;
    let days = days.as_primitive::<Int64Type>();
    Ok(days.unary_opt(|days| Some(IntervalMonthDayNano::new(0, i32::try_from(days).ok()?, 0))))
}

/// The day, so many months and days from another.
fn on(day: i64, months: i64, days: i64) -> Option<i64> {
    let (year, month, of_month) = civil(day);
    let all = year * 12 + month - 1 + months;
    let (year, month) = (all.div_euclid(12), all.rem_euclid(12) + 1);
    (-10_000..20_000).contains(&year).then(|| day_of(year, month, of_month.min(days_in(year, month))) + days)
}

/// Times with intervals added, or taken, as `sign` says; NULL beyond all calendars. Months and days go by clocks, hours by what has gone by.
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
            let naive = as_times(calendar, &super::micro())?;
            let again = micros(&exact::instant(&naive, &DataType::Timestamp(TimeUnit::Microsecond, zone(&kind)))?)?;
            // What has not moved is not looked for again.
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
    // Of nanoseconds, those below a microsecond.
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

/// Intervals, so many times; NULL where there are more than an interval has.
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

/// A call of [`moved`] or [`times`]: worked out once where nothing of it is a row's.
pub(super) fn total(what: &What, name: &str, args: Vec<Expr>) -> Result<Expr, Refusal> {
    let name = [ON, BACK, TIMES].into_iter().find(|known| *known == name).unwrap_or(ON);
    let constants: Option<Vec<ScalarValue>> = args.iter().map(constant).collect();
    let Some(values) = constants.filter(|_| *what != What::Times) else { return Ok(call(what.clone(), name, args)) };
    let arrays: Vec<ArrayRef> = values.iter().filter_map(|value| value.to_array().ok()).collect();
    let made = match arrays.as_slice() {
        [time, by] => moved(time, by, if *what == What::On { 1 } else { -1 }).ok(),
        _ => None,
    };
    let made = made.filter(|made| made.null_count() == 0 || values.iter().any(ScalarValue::is_null));
    let made = made.and_then(|made| ScalarValue::try_from_array(&made, 0).ok());
    made.map(lit).ok_or_else(|| {
        refuse("the date is beyond the years 1 to 9999")
            .fix("Write the interval beside a date that stays within them, as in DATE '2024-03-31' - INTERVAL '30 days'")
    })
}
