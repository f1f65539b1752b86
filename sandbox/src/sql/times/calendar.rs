//! Days of the calendar, and arrays of times as numbers.

use std::sync::Arc;

use arrow::{
    array::{Array as _, ArrayRef, AsArray, Int64Array},
    compute::cast,
    datatypes::{DataType, Int64Type},
};

use super::super::{
    exact::{clock, ticks},
    own::within_calendar,
};
use crate::RunError;

/// Days from 0000-03-01 to 1970-01-01. Years begin in March here, and leap days end them.
const EPOCH: i64 = 719_468;
/// Days in 400 years.
const ERA: i64 = 146_097;

/// Microseconds of a second and of a day.
pub(super) const A_SECOND: i64 = 1_000_000;
pub(super) const A_DAY: i64 = 86_400 * A_SECOND;

/// Returns year, month and day of a day since 1970 (Hinnant, chrono-Compatible Low-Level Date Algorithms).
pub(super) fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + EPOCH;
    let (era, of_era) = (shifted.div_euclid(ERA), shifted.rem_euclid(ERA));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (year + era * 400 + i64::from(month <= 2), month, of_year - (153 * march + 2) / 5 + 1)
}

/// Returns the day since 1970 of a date.
pub(super) fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let march = if month > 2 { month - 3 } else { month + 9 };
    era * ERA + of_era * 365 + of_era / 4 - of_era / 100 + (153 * march + 2) / 5 + day - 1 - EPOCH
}

/// Returns the number of days in a month.
pub(super) fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Returns the day of the year, from 1.
pub(super) fn of_year(day: i64) -> i64 {
    day - day_of(civil(day).0, 1, 1) + 1
}

/// Returns the day of the week, 1 for Monday to 7.
pub(super) fn weekday(day: i64) -> i64 {
    (day + 3).rem_euclid(7) + 1
}

/// Returns year and week of ISO 8601: weeks begin on Monday, and belong to the year of their Thursday.
pub(super) fn iso_week(day: i64) -> (i64, i64) {
    let thursday = day - weekday(day) + 4;
    (civil(thursday).0, (of_year(thursday) - 1) / 7 + 1)
}

/// Returns times as shown by the clocks of their zone; times without a zone stay.
pub(super) fn by_clock(times: &ArrayRef) -> Result<ArrayRef, RunError> {
    match times.data_type() {
        DataType::Timestamp(_, Some(_)) => clock(times),
        _ => Ok(times.clone()),
    }
}

/// Converts times to microseconds, rounded down; NULL beyond the years of the calendar.
pub(super) fn micros(times: &ArrayRef) -> Result<Int64Array, RunError> {
    let times = within_calendar(times)?;
    let whole = match times.data_type() {
        DataType::Date32 => cast(&times, &DataType::Int32)?,
        _ => times.clone(),
    };
    let whole = cast(&whole, &DataType::Int64)?;
    let values = whole.as_primitive::<Int64Type>();
    Ok(match ticks(times.data_type()) {
        // The value under a NULL is never read.
        Some(tick) if tick >= 1000 => {
            let by = (tick / 1000) as i64;
            values.unary(|v| v.wrapping_mul(by))
        }
        Some(_) => values.unary(|v| v.div_euclid(1000)),
        None => Int64Array::new_null(times.len()),
    })
}

/// Converts microseconds to times of this type; NULL beyond the type's years.
pub(super) fn as_times(micros: Int64Array, kind: &DataType) -> Result<ArrayRef, RunError> {
    let made: ArrayRef = match kind {
        DataType::Date32 => {
            let days: Int64Array = micros.unary(|v| v.div_euclid(A_DAY));
            cast(&cast(&(Arc::new(days) as ArrayRef), &DataType::Int32)?, kind)?
        }
        kind => {
            let tick = ticks(kind).unwrap_or(1000);
            let ticks: Int64Array = match tick {
                tick if tick >= 1000 => micros.unary(|v| v.div_euclid((tick / 1000) as i64)),
                _ => micros.unary_opt(|v| v.checked_mul(1000)),
            };
            cast(&(Arc::new(ticks) as ArrayRef), kind)?
        }
    };
    within_calendar(&made)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every day of the years 1 to 2500, by counting.
    #[test]
    fn every_day_has_its_date() {
        // 0001-01-01, a Monday.
        let (mut day, mut week) = (-719_162, 1);
        for year in 1..=2500 {
            let first = day;
            for month in 1..=12 {
                for of_month in 1..=days_in(year, month) {
                    assert_eq!((civil(day), day_of(year, month, of_month)), ((year, month, of_month), day));
                    assert_eq!((of_year(day), weekday(day)), (day - first + 1, week));
                    (day, week) = (day + 1, week % 7 + 1);
                }
            }
        }
        // As `date +%G-%V` has them.
        for (date, week) in
            [((2021, 1, 3), (2020, 53)), ((2021, 1, 4), (2021, 1)), ((2024, 12, 30), (2025, 1)), ((2024, 1, 31), (2024, 5))]
        {
            assert_eq!(iso_week(day_of(date.0, date.1, date.2)), week);
        }
    }
}
