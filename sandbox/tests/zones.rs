//! Times with a zone: dates and times beside them are read in the column's zone, as they are shown.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Date32Array, Int64Array, TimestampMicrosecondArray, TimestampSecondArray},
    compute::cast,
    datatypes::{DataType, TimeUnit},
};

use crate::values::{counts, world};

/// 2024-03-01 00:00 and 2024-10-27 00:00 in UTC, in seconds since 1970.
const MARCH: i64 = 1_709_251_200;
const AUTUMN: i64 = 1_729_987_200;
const HOUR: i64 = 3600;

/// An hour each of the day before and of the day that begins in New York at five o'clock UTC, in every unit.
#[tokio::test]
async fn dates_beside_times_of_a_zone_are_days_of_the_zone() {
    let seconds = TimestampSecondArray::from_iter_values((0..48).map(|h| MARCH + h * HOUR)).with_timezone("America/New_York");
    let seconds: ArrayRef = Arc::new(seconds);
    let day: ArrayRef = Arc::new(Date32Array::from(vec![19_783; 48]));
    let naive: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![MARCH * 1_000_000; 48]));
    for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
        let at = cast(&seconds, &DataType::Timestamp(unit, Some("America/New_York".into()))).unwrap();
        let world = world(vec![("at", at), ("day", day.clone()), ("naive", naive.clone())]);
        counts(
            &world,
            &[
                ("at >= DATE '2024-03-01'", 43.0),
                ("at < DATE '2024-03-01'", 5.0),
                ("DATE '2024-03-02' <= at", 19.0),
                ("at = DATE '2024-03-02'", 1.0),
                ("at <> DATE '2024-03-02'", 47.0),
                ("at BETWEEN DATE '2024-03-01' AND DATE '2024-03-02'", 25.0),
                ("at NOT BETWEEN DATE '2024-03-01' AND DATE '2024-03-02'", 23.0),
                ("at IN (DATE '2024-03-01', DATE '2024-03-02', DATE '9999-12-31')", 2.0),
                ("at NOT IN (DATE '2024-03-01', DATE '2024-03-02')", 46.0),
                ("CASE at WHEN DATE '2024-03-02' THEN true ELSE false END", 1.0),
                ("nullif(at, DATE '2024-03-02') IS NULL", 1.0),
                ("at IS NOT DISTINCT FROM DATE '2024-03-02'", 1.0),
                ("date_trunc('day', at) = DATE '2024-03-01'", 24.0),
                ("CAST(at AS DATE) = DATE '2024-03-01'", 24.0),
                ("date_part('day', at) = 1", 24.0),
                ("CAST(at AS TIMESTAMP) = TIMESTAMP '2024-03-01 00:00:00'", 1.0),
                ("at < DATE '9999-12-31' AND at > DATE '0001-01-01'", 48.0),
                ("at >= day", 43.0),
                ("day = at", 1.0),
                ("at >= naive", 43.0),
                ("at >= TIMESTAMP '2024-03-01 00:00:00'", 43.0),
                ("at >= '2024-03-01'", 43.0),
                ("at >= '2024-03-01T00:00:00Z'", 48.0),
                ("at >= TIMESTAMPTZ '2024-03-01T00:00:00Z'", 48.0),
                ("at >= TIMESTAMPTZ '2024-03-01T00:00:00+01:00'", 48.0),
                ("at > TIMESTAMPTZ '2024-03-01T01:00:00+01:00'", 47.0),
            ],
        )
        .await;
    }
}

/// What clocks show twice is the first time, and what they pass over is read by what they showed before: no comparison is lost.
#[tokio::test]
async fn times_that_clocks_show_twice_or_never_have_a_place() {
    let autumn = TimestampMicrosecondArray::from_iter_values((0..4).map(|h| (AUTUMN - HOUR + h * HOUR) * 1_000_000));
    let at: ArrayRef = Arc::new(autumn.with_timezone("Europe/Berlin"));
    // 02:30 on 2024-10-27, which comes twice, and on 2024-03-31, which never comes.
    let local: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(
        [AUTUMN, 1_711_843_200, AUTUMN, 1_711_843_200].map(|day| (day + 5 * HOUR / 2) * 1_000_000),
    ));
    let world = world(vec![("at", at), ("local", local), ("k", Arc::new(Int64Array::from(vec![1; 4])))]);
    counts(
        &world,
        &[
            // At 01:00, 02:00, 02:00 and 03:00 by the clock.
            ("at >= TIMESTAMP '2024-10-27 02:00:00'", 3.0),
            ("at >= TIMESTAMP '2024-10-27 02:30:00'", 2.0),
            ("at = TIMESTAMP '2024-10-27 02:00:00'", 1.0),
            ("at >= TIMESTAMP '2024-03-31 02:30:00'", 4.0),
            ("at >= local", 3.0),
            ("CAST(at AS TIMESTAMP) = TIMESTAMP '2024-10-27 02:00:00'", 2.0),
        ],
    )
    .await;
}

/// A literal without a zone says none.
#[tokio::test]
async fn a_zone_that_would_be_passed_over_is_refused() {
    let at: ArrayRef = Arc::new(TimestampSecondArray::from(vec![MARCH]).with_timezone("America/New_York"));
    let naive: ArrayRef = Arc::new(TimestampSecondArray::from(vec![MARCH]));
    let world = world(vec![("at", at), ("naive", naive)]);
    for (condition, says) in [
        ("at >= TIMESTAMP '2024-03-01T00:00:00Z'", ["says its zone", "TIMESTAMPTZ '2024-03-01T00:00:00Z'"]),
        ("naive >= TIMESTAMP '2024-03-01 00:00:00+02:00'", ["says its zone", "TIMESTAMPTZ"]),
        ("naive >= '2024-03-01T00:00:00Z'", ["without a zone", "Leave the zone out"]),
    ] {
        let refused = world.rows(&format!("SELECT COUNT(*) AS n FROM dataset WHERE {condition}")).await.unwrap_err();
        assert!(says.iter().all(|word| refused.contains(word)), "{condition}: {refused}");
    }
}
