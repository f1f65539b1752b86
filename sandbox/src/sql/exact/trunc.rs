//! Beginning of the year, month or day of a time, in every year: the engine's own function uses nanoseconds, which end in 2262.

use std::sync::Arc;

use arrow::{
    array::{Array as _, ArrayRef, AsArray, Int64Array},
    compute::{binary, cast},
    datatypes::{DataType, Int64Type},
};
use datafusion::logical_expr::Expr;

use super::{literal::ticks, zone};
use crate::{RunError, sql::own::own};

/// Days from 0000-03-01 to 1970-01-01. Years begin in March here, and leap days end them.
const EPOCH: i64 = 719_468;
/// Days in 400 years.
const ERA: i64 = 146_097;

/// Builds the beginning of `part` of `time`, a timestamp of this type, by the clocks of its zone; `None` for an unknown part.
pub(super) fn cut(part: &str, time: Expr, kind: &DataType) -> Option<Expr> {
    let DataType::Timestamp(unit, zone) = kind else { return None };
    let shown = zone.as_ref().and_then(|_| zone::moved(&time, kind, &DataType::Timestamp(*unit, None)));
    type Compute = fn(&[ArrayRef]) -> Result<ArrayRef, RunError>;
    let (name, compute): (_, Compute) = match part {
        "year" => ("the year of", |args| each(&args[0], |day| first_of(day, 12))),
        "quarter" => ("the quarter of", |args| each(&args[0], |day| first_of(day, 3))),
        "month" => ("the month of", |args| each(&args[0], |day| first_of(day, 1))),
        // 1970-01-01 is a Thursday, and weeks begin on Monday.
        "week" => ("the week of", |args| each(&args[0], |day| day - (day + 3).rem_euclid(7))),
        "day" => ("the day of", |args| each(&args[0], |day| day)),
        "hour" => ("the hour of", |args| within_day(args, 3600, 1)),
        "minute" => ("the minute of", |args| within_day(args, 60, 1)),
        "second" => ("the second of", |args| within_day(args, 1, 1)),
        "millisecond" => ("the millisecond of", |args| within_day(args, 1, 1000)),
        "microsecond" => ("the microsecond of", |args| within_day(args, 1, 1_000_000)),
        _ => return None,
    };
    if matches!(part, "year" | "quarter" | "month" | "week" | "day") {
        let zoned = shown.is_some();
        let made = own(name, 1, None, compute).call(vec![shown.unwrap_or(time)]);
        return if zoned { zone::moved(&made, &DataType::Timestamp(*unit, None), kind) } else { Some(made) };
    }
    // Clocks tell where an hour begins, but not which of two hours shown alike is meant.
    let args: Vec<Expr> = std::iter::once(time).chain(shown).collect();
    Some(own(name, args.len(), None, compute).call(args))
}

/// Returns whether a function is made by [`cut`].
pub(in crate::sql) fn is_cut(name: &str) -> bool {
    name.starts_with("the ") && name.ends_with(" of")
}

/// Moves times to the beginning of the day returned by `first` for theirs.
fn each(times: &ArrayRef, first: fn(i64) -> i64) -> Result<ArrayRef, RunError> {
    let a_day = 86_400 * a_second(times);
    let ticks = cast(times, &DataType::Int64)?;
    // The value under a NULL is never read.
    let made = ticks.as_primitive::<Int64Type>().unary::<_, Int64Type>(|v| first(v.div_euclid(a_day)).wrapping_mul(a_day));
    Ok(cast(&(Arc::new(made) as ArrayRef), times.data_type())?)
}

/// Moves times to the beginning of so many seconds, or of a part of a second, by the clock times in the last argument.
fn within_day(args: &[ArrayRef], seconds: i64, parts: i64) -> Result<ArrayRef, RunError> {
    let [times, .., shown] = args else {
        let [times] = args else { return Err(RunError::Engine("no time to cut".into())) };
        return within_day(&[times.clone(), times.clone()], seconds, parts);
    };
    let part = (seconds * a_second(times) / parts).max(1);
    let [at, shown] = [cast(times, &DataType::Int64)?, cast(shown, &DataType::Int64)?];
    let [at, shown] = [&at, &shown].map(|ticks| ticks.as_primitive::<Int64Type>());
    let made: Int64Array = binary(at, shown, |at, shown| at.wrapping_sub(shown.rem_euclid(part)))?;
    Ok(cast(&(Arc::new(made) as ArrayRef), times.data_type())?)
}

/// Returns the ticks of a second.
fn a_second(times: &ArrayRef) -> i64 {
    ticks(times.data_type()).map_or(1, |tick| (1_000_000_000 / tick) as i64)
}

/// Returns the first day of the `months`-long period of a day since 1970 (Hinnant, chrono-Compatible Low-Level Date Algorithms).
fn first_of(day: i64, months: i64) -> i64 {
    let shifted = day + EPOCH;
    let (era, of_era) = (shifted.div_euclid(ERA), shifted.rem_euclid(ERA));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    // Months since the beginning of year 0.
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
