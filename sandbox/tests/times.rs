//! Functions and arithmetic of dates: as PostgreSQL 16 and DuckDB 1.1 have them where both agree, and as docs/reference/sql.md
//! says where they do not.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Date32Array, Int64Array, StringArray, TimestampMicrosecondArray, TimestampSecondArray},
    compute::cast,
    datatypes::{DataType, TimeUnit},
};

use crate::{
    differential::World,
    values::{counts, number, world},
};

/// 2024-01-31, in days since 1970.
const DAY: i32 = 19_753;

/// Dates 2024-01-31, 2024-02-29, 2023-12-31 and 9999-12-31, with times at 10:30:15.25 of them, and texts.
fn dates() -> World {
    let days = [DAY, 19_782, 19_722, 2_932_896];
    let day: ArrayRef = Arc::new(Date32Array::from_iter_values(days));
    let at = days.map(|day| i64::from(day) * 86_400_000_000 + 37_815_250_000);
    let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(at));
    let texts = StringArray::from(vec!["31.01.2024", "29.02.2024", "30.02.2024", "1.3.2024 x"]);
    let iso = StringArray::from(vec!["2024-01-31T10:30:00Z", "2024-01-31 10:30:00", "2024-01-31T10:30:00+02:00", "2024-01-31"]);
    world(vec![
        ("day", day),
        ("at", at),
        ("texts", Arc::new(texts)),
        ("iso", Arc::new(iso)),
        ("n", Arc::new(Int64Array::from(vec![1, 30, -1, 400]))),
    ])
}

#[tokio::test]
async fn parts_and_differences_of_dates_are_those_of_the_calendar() {
    let differences = [
        ("year(day) = 2024", 2.0),
        ("month(day) = 12", 2.0),
        ("day(day) = 31 AND day(at) = 31", 3.0),
        ("quarter(at) = 1 AND dayofyear(at) > 31", 1.0),
        ("hour(at) = 10 AND minute(at) = 30 AND second(at) = 15", 4.0),
        ("week(day) = date_part('week', day)", 4.0),
        ("EXTRACT(YEAR FROM day) = year(at)", 4.0),
        // How many beginnings of a unit there are, as DuckDB counts.
        ("date_diff('day', day, DATE '2024-02-01') = 1", 1.0),
        ("date_diff('day', DATE '2024-02-01', day) = -1", 1.0),
        ("datediff('month', DATE '2023-12-31', day) = 1", 1.0),
        ("date_diff('YEARS', DATE '2023-12-31', day) = 1", 2.0),
        ("date_diff('quarter', day, DATE '2024-04-01') = 1", 2.0),
        ("date_diff('week', DATE '2024-01-28', day) = 1", 1.0),
        ("date_diff('hour', day, at) = 10", 4.0),
        ("date_diff('minute', TIMESTAMP '2024-01-31 10:29:59', at) = 1", 1.0),
        ("datediff(day, day, at) = 0", 4.0),
        ("datediff(DATE '2024-02-01', day) = 1", 1.0),
        ("date_diff('day', NULL, day) IS NULL", 4.0),
        // Of dates a number of days, of times a length of time.
        ("day - DATE '2024-01-01' = 30", 1.0),
        ("DATE '2024-03-01' - day = 1", 1.0),
        ("at - day > INTERVAL '10 hours'", 4.0),
        ("at - day BETWEEN INTERVAL '10 hours' AND INTERVAL '11 hours'", 4.0),
        ("at - TIMESTAMP '2024-01-01 00:00:00' > INTERVAL '1 month'", 3.0),
        ("at - day IN (INTERVAL '10 hours', INTERVAL '37815.25 seconds')", 4.0),
        ("date_part('epoch', at - day) = 37815.25", 4.0),
        ("EXTRACT(HOUR FROM at - day) = 10 AND date_part('minute', at - day) = 30", 4.0),
        ("EXTRACT(DAY FROM at - TIMESTAMP '2024-01-01 00:00:00') = 30", 1.0),
    ];
    counts(&dates(), &differences).await;
    // Bounds follow from what a part is, and need no clamp.
    let query = "SELECT SUM(month(day)) AS s FROM dataset WHERE day < DATE '2024-02-01'";
    assert!((number(&dates(), query).await - 13.0).abs() < 0.01);
}

/// A month has a last day, as PostgreSQL and DuckDB have it, and what leaves the calendar is NULL.
#[tokio::test]
async fn dates_are_moved_by_intervals() {
    counts(
        &dates(),
        &[
            ("day + INTERVAL '1 month' = DATE '2024-02-29'", 1.0),
            ("day - INTERVAL '1 year' = DATE '2023-02-28'", 1.0),
            ("INTERVAL '1 day' + day = DATE '2024-03-01'", 1.0),
            ("at + INTERVAL '13 hours 30 minutes' > TIMESTAMP '2024-02-01 00:00:00'", 2.0),
            ("day + INTERVAL '30 days' >= DATE '2024-03-01'", 2.0),
            ("day + INTERVAL '1 day' IS NULL", 1.0),
            ("day + 1 = DATE '2024-02-01'", 1.0),
            ("day - n = DATE '2024-01-30'", 2.0),
            ("day + INTERVAL '1 day' * n = DATE '2024-02-01'", 1.0),
            ("day + n * INTERVAL '1 month' = DATE '2023-11-30'", 1.0),
            ("day >= DATE '2024-03-31' - INTERVAL '1 month'", 2.0),
            ("TIMESTAMP '2024-01-31 10:00:00' + INTERVAL '30 minutes' < at", 3.0),
            ("date_trunc('month', day + INTERVAL '1 day') = DATE '2024-02-01'", 1.0),
        ],
    )
    .await;
    let groups = dates()
        .rows("SELECT to_char(day + INTERVAL '1 day', 'YYYY-MM') AS m, COUNT(*) AS n FROM dataset GROUP BY 1 ORDER BY 1")
        .await;
    let shown: Vec<String> = groups.unwrap().iter().map(|row| row[0].to_string()).collect();
    assert_eq!(shown.len(), 4, "{shown:?}");
}

/// Formats are PostgreSQL's, or where they have a `%` strftime's.
#[tokio::test]
async fn dates_are_written_and_read_by_a_format() {
    counts(
        &dates(),
        &[
            ("to_char(day, 'YYYY-MM') = '2024-01'", 1.0),
            ("to_char(day, 'yyyy-mm-dd') = '2024-02-29'", 1.0),
            ("to_char(at, 'DD.MM.YYYY HH24:MI:SS.MS') = '31.01.2024 10:30:15.250'", 1.0),
            ("to_char(day, 'Mon YY') = 'Feb 24' OR to_char(day, 'FMMonth') = 'January'", 2.0),
            ("to_char(day, 'Month') = 'January  '", 1.0),
            ("to_char(day, 'DY D ID Q') = 'WED 4 3 1'", 1.0),
            ("to_char(day, 'IYYY-\"W\"IW') = '2024-W05'", 1.0),
            ("to_char(day, 'FMMM/FMDD') = '1/31'", 1.0),
            ("to_char(at, 'HH12:MI am') = '10:30 am'", 4.0),
            ("to_char(day, '%Y-%m') = '2024-01'", 1.0),
            ("strftime(at, '%d/%m/%y %H:%M') = '31/01/24 10:30'", 1.0),
            ("strftime(day, '%A %-d %B') = 'Thursday 29 February'", 1.0),
            ("to_date(texts, 'DD.MM.YYYY') = day", 2.0),
            ("to_date(texts, '%d.%m.%Y') IS NULL", 2.0),
            ("to_date('Jan 31, 2024', 'Mon DD, YYYY') = day", 1.0),
            ("to_date('20240131', 'YYYYMMDD') = day", 1.0),
            ("to_date(iso) = DATE '2024-01-31'", 2.0),
            ("to_timestamp(iso) = TIMESTAMP '2024-01-31 10:30:00'", 1.0),
            ("to_timestamp('31.1.2024 10:30 PM', 'DD.MM.YYYY HH12:MI AM') > at", 2.0),
            ("to_timestamp(1706659200) = TIMESTAMP '2024-01-31 00:00:00'", 4.0),
            ("to_timestamp(n) = TIMESTAMP '1970-01-01 00:00:30'", 1.0),
        ],
    )
    .await;
}

/// A time of a zone is what the clocks of its zone show, and days there may have 23 hours.
#[tokio::test]
async fn times_of_a_zone_go_by_its_clocks() {
    // 2024-03-30 12:00, 2024-03-31 12:00 and 2024-04-01 00:30 in Berlin, between which an hour is passed over.
    let seconds = [1_711_796_400, 1_711_879_200, 1_711_924_200];
    let zoned: ArrayRef = Arc::new(TimestampSecondArray::from_iter_values(seconds).with_timezone("Europe/Berlin"));
    for unit in [TimeUnit::Second, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
        let at = cast(&zoned, &DataType::Timestamp(unit, Some("Europe/Berlin".into()))).unwrap();
        let world = world(vec![("at", at)]);
        counts(
            &world,
            &[
                ("to_char(at, 'YYYY-MM-DD HH24:MI') = '2024-04-01 00:30'", 1.0),
                ("day(at) = 1 AND hour(at) = 0", 1.0),
                ("date_diff('day', at, DATE '2024-04-01') = 1", 1.0),
                ("date_diff('hour', TIMESTAMP '2024-03-30 12:00:00', at) = 23", 1.0),
                ("at - TIMESTAMP '2024-03-30 12:00:00' = INTERVAL '23 hours'", 1.0),
                ("at + INTERVAL '1 day' = TIMESTAMP '2024-03-31 12:00:00'", 1.0),
                ("at + INTERVAL '24 hours' = TIMESTAMP '2024-03-31 13:00:00'", 1.0),
            ],
        )
        .await;
    }
}

/// What cannot be meant is refused, with what can be.
#[tokio::test]
async fn what_dates_do_not_have_is_refused() {
    let world = dates();
    for (condition, says) in [
        ("date_diff('fortnight', day, at) > 1", ["'fortnight' is no unit of time", "year, quarter, month"]),
        ("date_diff('day', texts, day) > 1", ["date_diff takes dates and times", "to_date(x, 'DD.MM.YYYY')"]),
        ("date_diff(texts, day, at) > 1", ["needs a literal unit", "date_diff('day', earlier, later)"]),
        ("date_diff('day', day) > 1", ["takes dates and times", "CAST"]),
        ("year(texts) = 2024", ["year takes dates and times", "CAST(x AS DATE)"]),
        ("year(n) = 2024", ["year takes dates and times", "whole number"]),
        ("to_char(n, '999') = '1'", ["to_char takes dates and times", "DATE"]),
        ("to_char(day, texts) = 'x'", ["needs a literal format", "to_char(day, 'YYYY-MM')"]),
        ("to_char(day, 'YYYY-MM-DDTHH24') = 'x'", ["TH", "double quotes"]),
        ("to_char(day, '%Y-%Q') = 'x'", ["%Q, which is no pattern", "%Y"]),
        ("to_date(texts, 'IYYY-IW') = day", ["does not describe a date", "weeks"]),
        ("to_date(texts, 'DD') = day", ["does not describe a date", "one year"]),
        ("to_date(n) = day", ["to_date takes a text", "to_date(x, "]),
        ("day + INTERVAL '1 hour' > at", ["day is a DATE, which has no hours", "CAST(day AS TIMESTAMP)"]),
        ("DATE '2024-01-31' + INTERVAL '90 minutes' > at", ["a DATE, which has no hours", "TIMESTAMP"]),
        ("day > DATE '9999-12-31' + INTERVAL '1 day'", ["beyond the years 1 to 9999", "INTERVAL '30 days'"]),
        ("date_part('month', at - day) = 1", ["has no month", "date_diff('month', earlier, later)"]),
        ("TRY_CAST('2024-03-01T00:00:00+02:00' AS TIMESTAMP) = at", ["says its zone", "TIMESTAMPTZ"]),
        ("DATE '2024-03-01T00:00:00Z' = day", ["says its zone", "TIMESTAMPTZ"]),
    ] {
        let refused = world.rows(&format!("SELECT COUNT(*) AS n FROM dataset WHERE {condition}")).await.unwrap_err();
        assert!(says.iter().all(|word| refused.contains(word)), "{condition}: {refused}");
    }
    let sum = world.rows("SELECT SUM(at - day) AS s FROM dataset").await.unwrap_err();
    assert!(sum.contains("date_diff('hour', b, a)"), "{sum}");
}

/// A text that says its zone is no time of none, whatever it comes from; with a type that has one it is read.
#[tokio::test]
async fn no_zone_of_a_text_is_dropped() {
    counts(
        &dates(),
        &[
            ("CAST(iso AS TIMESTAMP) IS NULL", 2.0),
            ("TRY_CAST(iso AS TIMESTAMP) = TIMESTAMP '2024-01-31 10:30:00'", 1.0),
            ("CAST(iso AS DATE) IS NULL", 2.0),
            ("CAST(iso AS TIMESTAMPTZ) = TIMESTAMPTZ '2024-01-31T10:30:00Z'", 2.0),
            ("CAST(iso AS TIMESTAMPTZ) = TIMESTAMPTZ '2024-01-31T08:30:00Z'", 1.0),
        ],
    )
    .await;
    let folded = "SELECT COUNT(*) AS n FROM (SELECT CAST(t AS TIMESTAMP) AS a FROM (SELECT person, '2024-01-31T10:30:00Z' AS t FROM dataset)) WHERE a IS NULL";
    assert_eq!(number(&dates(), folded).await, 4.0);
}

/// Of released keys they say the same.
#[tokio::test]
async fn above_the_aggregate_they_are_the_same() {
    let query = "SELECT year(day) AS y, to_char(day, 'MM') AS m, date_diff('day', day, DATE '2024-02-01') AS d, day + 1 AS next, COUNT(*) AS n \
                 FROM dataset WHERE day < DATE '2024-02-01' GROUP BY day ORDER BY day DESC";
    let rows = dates().rows(query).await.unwrap();
    let shown: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(ToString::to_string).collect()).collect();
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(shown[0].iter().zip(["2024", "01", "1", "2024-02-01"]).all(|(is, right)| is.contains(right)), "{shown:?}");
    let casts =
        "SELECT CAST(SUM(month(day)) / 4e0 AS INT) AS a, CAST(2.5 AS INT) AS b FROM dataset WHERE day < DATE '2024-03-01'";
    let rows = dates().rows(casts).await.unwrap();
    assert_eq!(rows[0].iter().map(ToString::to_string).collect::<Vec<_>>(), ["4", "3"], "{rows:?}");
}
