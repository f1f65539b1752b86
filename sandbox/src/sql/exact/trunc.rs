//! The beginning of the year, month or day that a time is in, in every year: the engine's own goes by nanoseconds, which end in 2262.

use std::sync::Arc;

use arrow::{
    array::{Array as _, ArrayRef, AsArray},
    compute::cast,
    datatypes::{DataType, Int64Type, TimeUnit},
};
use datafusion::logical_expr::Expr;

use super::literal::ticks;
use crate::{RunError, sql::own::own};

/// Days from 0000-03-01 to 1970-01-01, of the calendar that begins its years in March, where leap days end them.
const EPOCH: i64 = 719_468;
/// Days of 400 years.
const ERA: i64 = 146_097;

/// Whether a time of this type is cut here: one without a time zone, and not of nanoseconds.
pub(super) fn cut_here(kind: &DataType) -> bool {
    matches!(kind, DataType::Timestamp(unit, None) if *unit != TimeUnit::Nanosecond)
}

/// The beginning of `part` of `time`; `None` where there is no such part.
pub(super) fn cut(part: &str, time: Expr) -> Option<Expr> {
    let compute: fn(&[ArrayRef]) -> Result<ArrayRef, RunError> = match part {
        "year" => |args| each(&args[0], |day| first_of(day, 12)),
        "quarter" => |args| each(&args[0], |day| first_of(day, 3)),
        "month" => |args| each(&args[0], |day| first_of(day, 1)),
        // 1970-01-01 is a Thursday, and weeks begin on Monday.
        "week" => |args| each(&args[0], |day| day - (day + 3).rem_euclid(7)),
        "day" => |args| each(&args[0], |day| day),
        "hour" => |args| within_day(&args[0], 3600),
        "minute" => |args| within_day(&args[0], 60),
        "second" => |args| within_day(&args[0], 1),
        _ => return None,
    };
    let name = match part {
        "year" => "the year of",
        "quarter" => "the quarter of",
        "month" => "the month of",
        "week" => "the week of",
        "day" => "the day of",
        "hour" => "the hour of",
        "minute" => "the minute of",
        _ => "the second of",
    };
    Some(own(name, 1, None, compute).call(vec![time]))
}

/// Whether a function is one of [`cut`]'s.
pub(in crate::sql) fn is_cut(name: &str) -> bool {
    name.starts_with("the ") && name.ends_with(" of")
}

/// Times at the beginning of the day that `first` makes of theirs.
fn each(times: &ArrayRef, first: fn(i64) -> i64) -> Result<ArrayRef, RunError> {
    let a_day = 86_400 * a_second(times);
    map(times, |v| first(v.div_euclid(a_day)) * a_day)
}

fn within_day(times: &ArrayRef, seconds: i64) -> Result<ArrayRef, RunError> {
    let part = seconds * a_second(times);
    map(times, |v| v - v.rem_euclid(part))
}

/// Ticks of a second.
fn a_second(times: &ArrayRef) -> i64 {
    ticks(times.data_type()).map_or(1, |tick| (1_000_000_000 / tick) as i64)
}

fn map(times: &ArrayRef, of: impl Fn(i64) -> i64) -> Result<ArrayRef, RunError> {
    let ticks = cast(times, &DataType::Int64)?;
    let made = ticks.as_primitive::<Int64Type>().unary::<_, Int64Type>(of);
    Ok(cast(&(Arc::new(made) as ArrayRef), times.data_type())?)
}

/// The first day of the months, so many together, that a day since 1970 is in (Hinnant, chrono-Compatible Low-Level Date Algorithms).
fn first_of(day: i64, months: i64) -> i64 {
    let shifted = day + EPOCH;
    let (era, of_era) = (shifted.div_euclid(ERA), shifted.rem_euclid(ERA));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    // Months since the first of the year 0.
    let month = (era * 400 + year) * 12 + march + 2;
    let (year, month) = ((month - month.rem_euclid(months)).div_euclid(12), (month - month.rem_euclid(months)).rem_euclid(12));
    let (year, march) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let of_year = (153 * march + 2) / 5;
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every day of some centuries: a month begins where the day of the month is one, by counting.
    #[test]
    fn months_and_years_begin_where_they_begin() {
        let leap = |y: i64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
        let lengths = |y| [31, if leap(y) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        // 0001-01-01.
        let mut day = -719_162;
        for year in 1..=2500 {
            let (new_year, mut quarter) = (day, day);
            for (month, length) in lengths(year).into_iter().enumerate() {
                let first = day;
                if month % 3 == 0 {
                    quarter = day;
                }
                for _ in 0..length {
                    assert_eq!(
                        (first_of(day, 1), first_of(day, 3), first_of(day, 12)),
                        (first, quarter, new_year),
                        "{year}, {day}"
                    );
                    day += 1;
                }
            }
        }
        assert_eq!(first_of(2_932_896, 1), 2_932_866);
    }
}
