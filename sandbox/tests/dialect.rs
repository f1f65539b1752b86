//! What queries say as PostgreSQL and DuckDB do: casts that round, and names.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Decimal128Array, Float64Array, Int64Array, StringArray, Time64MicrosecondArray},
    compute::cast,
    datatypes::DataType,
};
use tidegate_gate::Measure;

use crate::values::{counts, number, world};

/// A whole number is the nearest: of a DOUBLE the even one of two, of a DECIMAL the one further from zero.
#[tokio::test]
async fn casts_to_whole_numbers_round() {
    let x: ArrayRef = Arc::new(Float64Array::from(vec![0.5, 1.5, 2.5, -0.5, -1.5, 2.7, f64::NAN, 1e300]));
    let real = cast(&x, &DataType::Float32).unwrap();
    let cents: ArrayRef =
        Arc::new(Decimal128Array::from(vec![50, 150, 250, -50, -150, 270, 249, 99_999]).with_precision_and_scale(20, 2).unwrap());
    let big: ArrayRef = Arc::new(Int64Array::from(vec![(1 << 53) + 1; 8]));
    let seven: ArrayRef = Arc::new(Int64Array::from(vec![7; 8]));
    let world = world(vec![("x", x), ("real", real), ("cents", cents), ("big", big), ("seven", seven)]);
    for (value, counted) in
        [("x", [2.0, 0.0, 2.0, 1.0, 1.0]), ("real", [2.0, 0.0, 2.0, 1.0, 1.0]), ("cents", [0.0, 1.0, 2.0, 2.0, 1.0])]
    {
        for cast in [format!("CAST({value} AS INT)"), format!("{value}::BIGINT"), format!("TRY_CAST({value} AS SMALLINT)")] {
            let whole = [0, 1, 2, 3, -2].map(|whole| format!("{cast} = {whole}"));
            let whole: Vec<(&str, f64)> = whole.iter().map(String::as_str).zip(counted).collect();
            counts(&world, &whole).await;
        }
    }
    counts(
        &world,
        &[
            ("CAST(x AS INT) IS NULL", 2.0),
            ("CAST(cents AS TINYINT) IS NULL", 1.0),
            ("CAST(big AS BIGINT) = 9007199254740993", 8.0),
            ("left('abcdef', seven / 2) = 'abc'", 8.0),
            ("substr('abcdef', seven / 2, seven / 4) = 'c'", 8.0),
            ("CAST('2.7' AS INT) IS NULL", 8.0),
            // A number that is written is a decimal.
            ("CAST(2.5 AS INT) = 3 AND CAST(-2.5 AS BIGINT) = -3 AND TRY_CAST(0.5 AS SMALLINT) = 1", 8.0),
            ("2.5::INT = CAST(CAST(seven AS DECIMAL(5, 2)) - 4.5 AS DECIMAL(5, 2))::INT", 8.0),
            ("CAST(CAST(2.5 AS DOUBLE) AS INT) = 2 AND CAST(300.5 AS TINYINT) IS NULL", 8.0),
            // Nothing is beyond the ends of numbers: a row is no error, and is not evaluated alone.
            ("substr('abcdef', -9223372036854775807 - seven, 3) = ''", 8.0),
            ("substr('abcdef', big * -1000) = 'abcdef'", 8.0),
            ("substr('abcdef', 2, big * 1000) = 'bcdef'", 8.0),
        ],
    )
    .await;
    // Bounds have room for what is rounded up.
    let query = "SELECT SUM(CAST(clamp(x, 0, 2.7) AS INT)) AS s FROM dataset WHERE x = 2.7";
    assert!((number(&world, query).await - 3.0).abs() < 0.01);
}

/// IF is CASE, and texts are padded and cut as PostgreSQL does.
#[tokio::test]
async fn what_other_engines_have_is_spelled_out() {
    let s: ArrayRef = Arc::new(StringArray::from(vec![Some("7"), Some("12345"), Some("1234567"), Some(""), None]));
    let x: ArrayRef = Arc::new(Int64Array::from(vec![7, 12345, 1_234_567, 0, -1]));
    let world = world(vec![("s", s), ("x", x)]);
    let conditions = [
        ("lpad(s, 5, '0') = '00007'", 1.0),
        ("lpad(s, 5, '0') = '12345'", 2.0),
        ("lpad(s, 5) = '     '", 1.0),
        ("lpad(s, 5, '0') IS NULL", 1.0),
        ("rpad(s, 3, '''') = '7'''''", 1.0),
        ("rpad(lpad(s, 2, '-'), 3, '+') = '-7+'", 1.0),
        ("lpad(CAST(x AS TEXT), 3, '0') IN ('007', '123', '000')", 4.0),
        ("IF(x > 100, 'many', IF(x > 0, 'some', 'none')) = 'some'", 1.0),
        ("IF(x > 100, 1, 0) = 0", 3.0),
    ];
    counts(&world, &conditions).await;
    for refused in ["lpad(s, 5, 'ab')", "lpad(s, 300, '0')", "lpad(s, length(s), '0')", "lpad(lpad(s, 5, '0'), 7, '0')"] {
        let said = world.rows(&format!("SELECT COUNT(*) AS n FROM dataset WHERE {refused} = ''")).await.unwrap_err();
        assert!(said.contains("lpad"), "{refused}: {said}");
    }
}

/// A time of day has hours, minutes and seconds as a timestamp has, and no year.
#[tokio::test]
async fn times_of_day_have_parts() {
    let t: ArrayRef = Arc::new(Time64MicrosecondArray::from(vec![Some(3_723_000_000), Some(86_399_000_000), None]));
    let world = world(vec![("t", t)]);
    let conditions =
        [("hour(t) = 1", 1.0), ("minute(t) = 2 AND second(t) = 3", 1.0), ("hour(t) = 23", 1.0), ("hour(t) IS NULL", 1.0)];
    counts(&world, &conditions).await;
    assert!(world.rows("SELECT COUNT(*) AS n FROM dataset WHERE year(t) = 1").await.unwrap_err().contains("year takes"));
}

/// Percentiles of one value share a tree, and each has the name that the query gives it.
#[test]
fn percentiles_have_their_own_names() {
    let world = world(vec![("x", Arc::new(Float64Array::from(vec![1.0, 2.0])) as ArrayRef)]);
    let p = |at: &str| format!("APPROX_PERCENTILE_CONT({at}) WITHIN GROUP (ORDER BY x)");
    for (query, names) in [
        (format!("SELECT {} AS p50 FROM dataset", p("0.5")), vec!["p50"]),
        (format!("SELECT {} AS low, COUNT(*) AS n, {} AS high FROM dataset", p("0.1"), p("0.9")), vec!["low", "high", "n"]),
        (format!("SELECT MEDIAN(x) AS m, {} AS p50, {} AS p75 FROM dataset", p("0.5"), p("0.75")), vec!["m", "p75"]),
    ] {
        let admitted = world.admitted(&query, None).unwrap();
        assert_eq!(world.released(&admitted, &query).0.columns, names, "{query}");
        assert_eq!(admitted.shape.columns.iter().filter(|c| matches!(c.measure, Measure::Quantiles(_))).count(), 1);
    }
}
