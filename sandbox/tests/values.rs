//! Right values, of the kinds of values that people's files have: open-ended dates, integers beyond floats, zeros of both signs, NaN, texts beside dates.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
        TimestampMillisecondArray, TimestampNanosecondArray, UInt64Array,
    },
    compute::cast,
    datatypes::{DataType, TimeUnit},
};
use tidegate_gate::Measure;
use tidegate_protocol::job::Key;

use crate::differential::World;

const DAY: i64 = 86_400_000_000;
/// 9999-12-31, 2024-01-01, 2023-12-31 and 0001-01-01, in days since 1970.
const OPEN: i64 = 2_932_896;
const NEW: i64 = 19_723;
const FIRST: i64 = -719_162;

pub(crate) fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let rows = columns[0].1.len() as i64;
    let person = ("person", Arc::new(Int64Array::from_iter_values(0..rows)) as ArrayRef);
    let columns = std::iter::once(person).chain(columns).map(|(name, array)| (name, array, true));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// Columns `a` to `z` without bounds, and `x` from -1000 to 1000.
pub(crate) fn world(columns: Vec<(&str, ArrayRef)>) -> World {
    let names = columns.iter().map(|(name, _)| match *name {
        "x" => "x = { lo = -1000, hi = 1000 }\n".to_owned(),
        name => format!("{name} = {{}}\n"),
    });
    let names: String = names.collect();
    World::new(batch(columns), &names)
}

/// The one number that a query says.
pub(crate) async fn number(world: &World, query: &str) -> f64 {
    let rows = world.rows(query).await.unwrap_or_else(|e| panic!("{query}: {e}"));
    match rows[0][0] {
        Key::Int(n) => n as f64,
        Key::Float(n) => n,
        ref other => panic!("{query}: {other}"),
    }
}

pub(crate) async fn counts(world: &World, conditions: &[(&str, f64)]) {
    for (condition, count) in conditions {
        let query = format!("SELECT COUNT(*) AS n FROM dataset WHERE {condition}");
        assert_eq!(number(world, &query).await, *count, "{query}");
    }
}

/// The planner takes a product of decimals for a decimal, and so would have a float beside it be one: arithmetic is of floats, wherever it stands.
#[tokio::test]
async fn arithmetic_of_decimals_beside_a_float_is_of_floats() {
    let d = Decimal128Array::from(vec![123_456_789_012_345_678_901_234_567_890, -15]).with_precision_and_scale(37, 10).unwrap();
    let n = Int64Array::from(vec![9_007_199_254_740_993, 4]);
    let world =
        world(vec![("x", Arc::new(Float64Array::from(vec![1.5, 2.5])) as ArrayRef), ("d", Arc::new(d)), ("n", Arc::new(n))]);
    let value = "(CASE WHEN x < 0 THEN n + x ELSE n * d END)";
    let conditions = [
        (format!("{value} > 1e35"), 1.0),
        (format!("{value} < 0"), 1.0),
        (format!("{value} IS NULL"), 0.0),
        // What is said to be a decimal is one.
        ("CASE WHEN x < 2 THEN CAST(d AS DECIMAL(38, 15)) ELSE CAST(x AS DECIMAL(38, 15)) END IS NULL".to_owned(), 0.0),
    ];
    counts(&world, &conditions.each_ref().map(|(condition, count)| (condition.as_str(), *count))).await;
}

/// Whatever the column's type, a date is before or after another in any year.
#[tokio::test]
async fn open_ended_dates_are_later_than_others() {
    let days = [OPEN, OPEN, NEW, NEW - 1, FIRST, -107_000];
    let micros: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(days.map(|d| d * DAY)));
    let day: ArrayRef = Arc::new(Date32Array::from_iter_values(days.map(|d| d as i32)));
    let near: ArrayRef = Arc::new(TimestampNanosecondArray::from_iter_values([NEW, 1, 2, 3, 4, 5].map(|d| d * DAY * 1000)));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["9999-12-31", "2024-01-01", "31.12.2023", "", "0001-01-01", "x"]));
    for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond] {
        let until = cast(&micros, &DataType::Timestamp(unit, None)).unwrap();
        let world = world(vec![("until", until), ("day", day.clone()), ("near", near.clone()), ("texts", texts.clone())]);
        counts(
            &world,
            &[
                ("until >= DATE '2024-01-01'", 3.0),
                ("until >= TIMESTAMP '2024-01-01 00:00:00'", 3.0),
                ("until > TIMESTAMP '2024-01-01 00:00:00.000000001'", 2.0),
                ("until >= '2024-01-01'", 3.0),
                ("until < DATE '2024-01-01'", 3.0),
                ("until = DATE '9999-12-31'", 2.0),
                ("until = TIMESTAMP '9999-12-31 00:00:00'", 2.0),
                ("until < TIMESTAMP '9999-12-31 00:00:00'", 4.0),
                ("until IN (DATE '9999-12-31', DATE '0001-01-01')", 3.0),
                ("until NOT IN (DATE '9999-12-31', DATE '0001-01-01')", 3.0),
                ("until BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'", 6.0),
                ("until NOT BETWEEN DATE '2024-01-01' AND DATE '9999-12-31'", 3.0),
                ("until <> DATE '9999-12-31'", 4.0),
                ("until IS DISTINCT FROM DATE '9999-12-31'", 4.0),
                ("CASE WHEN until >= DATE '2024-01-01' THEN true ELSE false END", 3.0),
                ("CASE until WHEN DATE '9999-12-31' THEN true ELSE false END", 2.0),
                ("nullif(until, DATE '9999-12-31') IS NULL", 2.0),
                ("coalesce(until, TIMESTAMP '2024-01-01 00:00:00') > DATE '2024-01-01'", 2.0),
                ("until = day", 6.0),
                ("until > near", 4.0),
                ("day > near", 4.0),
                ("near < DATE '9999-12-31'", 6.0),
                ("near > DATE '0001-01-01' AND near <> DATE '9999-12-31'", 6.0),
                ("near IN (DATE '9999-12-31', DATE '1970-01-02')", 1.0),
                ("CAST(until AS TIMESTAMP) > DATE '2024-01-01'", 2.0),
                ("CAST(until AS DATE) = DATE '9999-12-31'", 2.0),
                ("CAST(texts AS TIMESTAMP) > DATE '2023-01-01'", 2.0),
                ("day >= DATE '2024-03-31' - INTERVAL '90 days'", 3.0),
                ("date_trunc('month', until) = DATE '9999-12-01'", 2.0),
                ("date_part('year', until) = 9999", 2.0),
                ("date_part('year', day) = 1", 1.0),
            ],
        )
        .await;
        let groups = world.rows("SELECT until, COUNT(*) AS n FROM dataset GROUP BY until").await.unwrap();
        assert!(groups.iter().all(|row| row[0] != Key::Null) && groups.len() == 5, "{groups:?}");
        let own =
            "SELECT COUNT(*) AS n FROM (SELECT person, MAX(until) AS u FROM dataset GROUP BY person) WHERE u > DATE '2024-01-01'";
        assert_eq!(number(&world, own).await, 2.0);
        let joined = "SELECT COUNT(*) AS n FROM dataset a JOIN dataset b ON a.person = b.person AND a.until = b.day";
        assert_eq!(number(&world, joined).await, 6.0);
        // Whichever the columns' own types are, one and the same day is one.
        let differ = "SELECT COUNT(*) AS n FROM dataset a JOIN dataset b ON a.person = b.person AND a.near = b.day";
        let _ = world.rows(differ).await.map(|rows| assert_eq!(rows[0][0], Key::Float(0.0)));
    }
}

/// No integer is another one, whatever it is compared with.
#[tokio::test]
async fn integers_and_decimals_beyond_floats_are_what_they_are() {
    let edge = 1i64 << 53;
    let big: ArrayRef = Arc::new(Int64Array::from(vec![edge, edge + 1, i64::MAX, i64::MIN, -1]));
    let huge: ArrayRef = Arc::new(UInt64Array::from(vec![edge as u64, edge as u64 + 1, u64::MAX, i64::MAX as u64, 1]));
    let float: ArrayRef = Arc::new(Float64Array::from(vec![edge as f64, edge as f64, i64::MAX as f64, 0.5, -1.0]));
    let wide = [10i128.pow(37), 1, 10i128.pow(30) + 1, -1, 0].map(Some).to_vec();
    let wide: ArrayRef = Arc::new(Decimal128Array::from(wide).with_precision_and_scale(38, 30).unwrap());
    let cents: ArrayRef = Arc::new(Decimal128Array::from(vec![10, 29, 30, -1, 0]).with_precision_and_scale(20, 2).unwrap());
    let world = world(vec![("big", big), ("huge", huge), ("float", float), ("wide", wide), ("cents", cents)]);
    counts(
        &world,
        &[
            ("big = 9007199254740993", 1.0),
            ("big = 9007199254740992", 1.0),
            ("big = 9007199254740992.0", 1.0),
            ("big > 9007199254740992.0", 2.0),
            ("big >= 9007199254740992.0", 3.0),
            ("big < 9223372036854775807", 4.0),
            ("big < 9.3e18", 5.0),
            ("big > 0.5", 3.0),
            ("big IN (9007199254740993, 9007199254740992.0, 0.5)", 2.0),
            ("big = float", 2.0),
            ("big <> float", 3.0),
            ("float = 9007199254740993", 0.0),
            ("float < 9007199254740993", 4.0),
            ("huge = 18446744073709551615", 1.0),
            ("huge > 9223372036854775807", 1.0),
            ("huge > -1", 5.0),
            ("huge = big", 2.0),
            ("huge > big", 3.0),
            ("CASE big WHEN 9007199254740992.0 THEN true ELSE false END", 1.0),
            ("wide > 1000", 1.0),
            ("wide < big", 3.0),
            ("wide > 0.5", 2.0),
            ("cents = 0.1", 1.0),
            ("cents = 0.10", 1.0),
            ("cents IN (0.29, 0.3)", 2.0),
            ("cents > 0.295", 1.0),
            ("cents < -0.001", 1.0),
        ],
    )
    .await;
}

/// A zero is a zero, and NaN is no number, wherever they are looked at.
#[tokio::test]
async fn zeros_have_no_sign_and_nan_is_null() {
    let x: ArrayRef = Arc::new(Float64Array::from(vec![0.0, -0.0, 1.0, f64::NAN, 10.0, f64::NAN]));
    let y: ArrayRef = Arc::new(Float64Array::from(vec![-0.0, 0.0, 1.0, f64::NAN, 20.0, 1.0]));
    let world = world(vec![("x", x), ("y", y)]);
    counts(
        &world,
        &[
            ("x = 0", 2.0),
            ("x = y", 3.0),
            ("x = -y", 2.0),
            ("x IN (0, 7)", 2.0),
            ("x IN (-0.0)", 2.0),
            ("CASE x WHEN 0 THEN true ELSE false END", 2.0),
            ("CASE -x WHEN 0 THEN true ELSE false END", 2.0),
            ("nullif(x, 0) IS NULL", 4.0),
            ("nullif(-x, 0) IS NULL", 4.0),
            ("1 / x IS NULL", 4.0),
            ("1 / -x IS NULL", 4.0),
            ("atan2(x, -1) > 0", 4.0),
            ("x > 5", 1.0),
            ("NOT (x > 5)", 3.0),
            ("x IS NULL", 2.0),
            ("x IS NOT DISTINCT FROM y", 4.0),
            ("x + y IS NULL", 2.0),
            ("ln(x - 5) IS NULL", 5.0),
            ("x BETWEEN -1 AND 1", 3.0),
            ("greatest(x, -5) > 5", 1.0),
            ("CAST(-x AS TEXT) = '0.0'", 2.0),
            ("coalesce(x, 50) = 50", 2.0),
            ("isnan(x)", 2.0),
        ],
    )
    .await;
    assert_eq!(number(&world, "SELECT COUNT(x) AS n FROM dataset").await, 4.0);
    assert_eq!(number(&world, "SELECT COUNT(x) FILTER (WHERE x > 5) AS n FROM dataset").await, 1.0);
    let both = world.rows("SELECT SUM(x) / COUNT(x) AS a, AVG(x) AS b FROM dataset").await.unwrap();
    let near = |key: &Key| matches!(key, Key::Float(v) if (v - 2.75).abs() < 0.01);
    assert!(both[0].iter().all(near), "{both:?}");
    for by in ["x", "-x", "x * -1"] {
        let groups = world.rows(&format!("SELECT {by} AS k, COUNT(*) AS n FROM dataset GROUP BY {by}")).await.unwrap();
        let count = |key: Key| {
            let same = |row: &&Vec<Key>| row[0] == key || key == Key::Float(0.0) && row[0] == Key::Int(0);
            groups.iter().filter(same).map(|row| row[1].clone()).collect::<Vec<_>>()
        };
        assert_eq!(
            (count(Key::Float(0.0)), count(Key::Null)),
            (vec![Key::Float(2.0)], vec![Key::Float(2.0)]),
            "{by}: {groups:?}"
        );
        assert_eq!(groups.len(), 4, "{groups:?}");
    }
    let own = "SELECT COUNT(*) AS n FROM (SELECT person, COUNT(x) AS c, MAX(x) AS m FROM dataset GROUP BY person) WHERE c = 0 AND m IS NULL";
    assert_eq!(number(&world, own).await, 2.0);
    let joined = "SELECT COUNT(*) AS n FROM dataset a JOIN dataset b ON a.person = b.person AND a.x = b.y";
    assert_eq!(number(&world, joined).await, 3.0);
}

/// What a literal or a type can never meet is refused, with the column's type and what may be written.
#[tokio::test]
async fn comparisons_that_no_row_can_meet_are_refused() {
    let visit: ArrayRef = Arc::new(Date32Array::from(vec![19_000, 19_001]));
    let at: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![0, 1]));
    let age: ArrayRef = Arc::new(Int64Array::from(vec![30, 40]));
    let price: ArrayRef = Arc::new(Float64Array::from(vec![1.5, 2.5]));
    let region: ArrayRef = Arc::new(StringArray::from(vec!["5", "01.07.2024"]));
    let world = world(vec![("visit", visit), ("at", at), ("age", age), ("price", price), ("region", region)]);
    for (condition, says) in [
        ("visit >= '2021'", ["visit is a DATE", "DATE '2024-01-31'"]),
        ("visit > '01.07.2024'", ["visit is a DATE", "'01.07.2024' is none"]),
        ("visit = '2021-05-01 10:30'", ["visit is a DATE", "DATE '2024-01-31'"]),
        ("visit > '01/02/2021'", ["visit is a DATE", "DATE '2024-01-31'"]),
        ("visit > 2021", ["visit is a DATE", "2021 is a number"]),
        ("visit BETWEEN '2021-01-01' AND '2021-13-01'", ["visit is a DATE", "2021-13-01"]),
        ("visit IN ('2021-01-01', 'May')", ["visit is a DATE", "May"]),
        ("CASE visit WHEN 'May' THEN true END", ["visit is a DATE", "May"]),
        ("nullif(visit, 'May') IS NULL", ["visit is a DATE", "May"]),
        ("visit > DATE '01.07.2024'", ["'01.07.2024' is no DATE", "DATE '2024-01-31'"]),
        ("at > '01.07.2024'", ["at is a TIMESTAMP", "TIMESTAMP '2024-01-31 10:30:00'"]),
        ("age > 'abc'", ["age is a whole number", "without quotes"]),
        ("age = '40.5'", ["age is a whole number", "without quotes"]),
        ("price > 'abc'", ["price is a DOUBLE", "without quotes"]),
        ("region = 5", ["region is text", "'5'"]),
        ("region > age", ["region is text", "CAST(region AS DOUBLE)"]),
        ("region >= DATE '2024-01-01'", ["region is text", "CAST(region AS DATE)"]),
        ("region < visit", ["region is text", "CAST(region AS DATE)"]),
    ] {
        for query in [
            format!("SELECT COUNT(*) AS n FROM dataset WHERE {condition}"),
            format!("SELECT COUNT(*) FILTER (WHERE {condition}) AS n FROM dataset"),
            format!("SELECT COUNT(*) AS n FROM (SELECT person, ({condition}) AS c FROM dataset) WHERE c"),
        ] {
            let refused = world.rows(&query).await.unwrap_err();
            assert!(says.iter().all(|word| refused.contains(word)), "{query}: {refused}");
        }
    }
    counts(
        &world,
        &[
            ("visit >= '2022-01-08'", 2.0),
            ("visit = '2022-01-08'", 1.0),
            ("at >= '1970-01-01'", 2.0),
            ("at > '1970-01-01 00:00:00'", 1.0),
            ("age > '35'", 1.0),
            ("age IN ('30', 40)", 2.0),
            ("price = '1.5'", 1.0),
            ("region = '5'", 1.0),
            ("TRY_CAST(region AS INT) = 5", 1.0),
            ("TRY_CAST('abc' AS INT) IS NULL", 2.0),
            ("CAST(region AS DATE) IS NULL", 2.0),
        ],
    )
    .await;
}

/// Quotients of whole numbers are fractions: none is shown as another, and as a key, where engines differ, they are refused.
#[tokio::test]
async fn quotients_are_fractions_and_no_keys() {
    let age: ArrayRef = Arc::new(Int64Array::from_iter_values(20..40));
    let x: ArrayRef = Arc::new(Int64Array::from_iter_values(20..40));
    let world = world(vec![("age", age), ("x", x)]);
    for query in [
        "SELECT age / 10 AS decade, COUNT(*) AS n FROM dataset GROUP BY 1 ORDER BY 1",
        "SELECT age / 10 * 10 AS decade, COUNT(*) AS n FROM dataset GROUP BY 1",
        "SELECT decade, COUNT(*) AS n FROM (SELECT age / 10 AS decade FROM dataset) GROUP BY decade",
    ] {
        let refused = world.rows(query).await.unwrap_err();
        assert!(refused.contains("age / 10") && refused.contains("floor(age / 10)"), "{query}: {refused}");
    }
    let float = |v: f64| Key::Float(v);
    for (key, expected) in [("floor(age / 10)", 2), ("CAST(floor(age / 10) AS INT)", 2), ("CAST(age AS DOUBLE) / 10", 20)] {
        let query = format!("SELECT {key} AS decade, COUNT(*) AS n FROM dataset GROUP BY 1 ORDER BY 1");
        let rows = world.rows(&query).await.unwrap();
        let distinct: std::collections::BTreeSet<_> = rows.iter().map(|row| format!("{}", row[0])).collect();
        assert_eq!((rows.len(), distinct.len()), (expected, expected), "{query}: {rows:?}");
        assert_eq!(rows[0][1], float(20.0 / expected as f64), "{query}: {rows:?}");
    }
    // The same with a unit's aggregate and a join below.
    let own = "SELECT SUM(clamp(s, 0, 100)) AS s FROM (SELECT person, SUM(x / 8) AS s FROM dataset GROUP BY person)";
    assert!((number(&world, own).await - 73.75).abs() < 0.01);
    let joined = "SELECT SUM(clamp(y, 0, 100)) AS s FROM (SELECT a.person, b.y FROM dataset a JOIN (SELECT person, x / 8 AS y FROM dataset) b ON a.person = b.person)";
    assert!((number(&world, joined).await - 73.75).abs() < 0.01);
}

#[test]
fn percentiles_from_the_greatest_are_counted_from_there() {
    let world = world(vec![("x", Arc::new(Float64Array::from(vec![1.0, 2.0])) as ArrayRef)]);
    let at = |by: &str| {
        let query = format!("SELECT APPROX_PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY x{by}) AS p FROM dataset");
        match world.admitted(&query, None).unwrap().shape.columns[0].measure.clone() {
            Measure::Quantiles(quantiles) => quantiles.at[0],
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((at(""), at(" ASC")), (0.9, 0.9));
    assert!((at(" DESC") - 0.1).abs() < 1e-12, "{}", at(" DESC"));
}

/// Columns come as SELECT has them, under its names, and each that is a released one with its interval, whatever the order of rows.
#[tokio::test]
async fn columns_are_those_of_the_select() {
    let age: ArrayRef = Arc::new(Int64Array::from(vec![1, 1, 1, 2, 2, 3]));
    let world = world(vec![("age", age.clone()), ("size", age)]);
    for (query, names, cells) in [
        ("SELECT COUNT(*) AS n, age FROM dataset GROUP BY age", vec!["n", "age"], vec![Some(0), None]),
        ("SELECT age AS a, COUNT(*) AS n FROM dataset GROUP BY age ORDER BY n DESC LIMIT 2", vec!["a", "n"], vec![None, Some(0)]),
        (
            "SELECT COUNT(*) * 2 AS twice, age, COUNT(*) AS n FROM dataset GROUP BY age ORDER BY n",
            vec!["twice", "age", "n"],
            vec![None, None, Some(0)],
        ),
    ] {
        let admitted = world.admitted(query, None).unwrap();
        assert_eq!(admitted.shape.columns[0].name, "n", "{query}");
        let (document, _) = world.released(&admitted, query);
        let answered = admitted.view.unwrap().answer(&document).await.unwrap();
        let shown: Vec<_> = answered.table.schema().fields().iter().map(|f| f.name().clone()).collect();
        let places: Vec<_> = answered.columns.iter().map(|origins| origins.places.first().copied()).collect();
        assert_eq!((shown, &places), (names.iter().map(|n| (*n).to_owned()).collect(), &cells), "{query}");
        let column = places.iter().position(Option::is_some).unwrap();
        let counts = cast(answered.table.column(column), &DataType::Float64).unwrap();
        for (place, cell) in answered.columns[column].cells.iter().enumerate() {
            let value = arrow::array::AsArray::as_primitive::<arrow::datatypes::Float64Type>(&*counts).value(place);
            let (row, of) = cell.unwrap();
            assert_eq!((value, of), (document.rows[row].cells[0].value, 0), "{query}");
        }
    }
    let keys = [vec![Key::Int(1), Key::Int(2)]];
    for by in ["age, size", "ROLLUP (age, size)", "GROUPING SETS ((age), (size))"] {
        let query = |keys: &str| format!("SELECT {keys}, COUNT(*) AS n FROM dataset GROUP BY {by}");
        assert!(world.admitted(&query("age, size"), Some(&keys)).is_ok(), "{by}");
        let refused = world.admitted(&query("size, age"), Some(&keys)).unwrap_err();
        assert!(refused.contains("size, age") && refused.contains("age, size") && refused.contains("program.keys"), "{refused}");
    }
}

/// What analysts write of one person's rows: who is among those that, who is there at all; and sums of what is 1 where it is there.
#[tokio::test]
async fn cohorts_and_conditional_sums_are_counted() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["I10", "E11", "I10", "J45"]));
    let flags: ArrayRef = Arc::new(arrow::array::BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]));
    let world = world(vec![("icd", texts), ("flag", flags)]);
    for (query, right) in [
        ("SELECT COUNT(*) AS n FROM dataset WHERE person IN (SELECT person FROM dataset WHERE icd = 'I10')", 2.0),
        ("SELECT COUNT(*) AS n FROM dataset WHERE person NOT IN (SELECT person FROM dataset WHERE icd = 'I10')", 2.0),
        (
            "SELECT COUNT(*) AS n FROM dataset d WHERE EXISTS (SELECT 1 FROM dataset e WHERE e.person = d.person AND e.icd = 'I10')",
            2.0,
        ),
        ("SELECT COUNT(*) AS n FROM (SELECT DISTINCT person FROM dataset WHERE icd <> 'E11') t", 3.0),
        ("SELECT SUM(CASE WHEN icd = 'I10' THEN 1 END) AS n FROM dataset", 2.0),
        ("SELECT SUM(1) AS n FROM dataset", 4.0),
        ("SELECT SUM(CAST(flag AS INT)) AS n FROM dataset", 2.0),
    ] {
        let n = number(&world, query).await;
        assert!((n - right).abs() < 1e-3, "{query}: {n}");
    }
}

/// A unit's values are what they are everywhere else: one zero, NULL in place of NaN, decimals and floats of any size, and texts and times of any type.
#[tokio::test]
async fn different_values_of_a_unit_are_counted_as_they_are_compared() {
    let nan = f64::NAN;
    let person: ArrayRef = Arc::new(Int64Array::from(vec![1, 1, 1, 1, 1, 1, 2, 2, 2, 3]));
    let x = Float64Array::from(vec![
        Some(0.0),
        Some(-0.0),
        Some(nan),
        Some(-nan),
        None,
        Some(1.0),
        Some(nan),
        None,
        Some(nan),
        Some(-0.0),
    ]);
    let n = Int64Array::from(vec![9_007_199_254_740_993, 9_007_199_254_740_992, 1, 1, 2, 2, 3, 3, 3, 0]);
    let d = Decimal128Array::from(vec![100, 100, 200, 201, 0, 0, 1, 2, 3, 4]).with_precision_and_scale(10, 2).unwrap();
    let s = StringArray::from(vec!["a", "A", "a", "", "", "a ", "b", "b", "b", "c"]);
    let at = TimestampMillisecondArray::from(vec![0, 0, 1, 1, 2, 3, 0, 0, 0, 0]);
    let columns: [(&str, ArrayRef); 6] = [
        ("person", person),
        ("x", Arc::new(x)),
        ("n", Arc::new(n)),
        ("d", Arc::new(d)),
        ("s", Arc::new(s)),
        ("at", Arc::new(at)),
    ];
    let rows = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap();
    let world = World::new(rows, "x = { lo = -1000, hi = 1000 }\nn = {}\nd = {}\ns = {}\nat = {}\n");
    for (what, right) in [
        ("COUNT(DISTINCT x)", [2.0, 0.0, 1.0]),
        ("COUNT(DISTINCT CAST(x AS REAL))", [2.0, 0.0, 1.0]),
        ("COUNT(DISTINCT x * 0)", [1.0, 0.0, 1.0]),
        ("COUNT(DISTINCT 1 / x)", [1.0, 0.0, 0.0]),
        ("COUNT(DISTINCT isnan(x))", [2.0, 1.0, 1.0]),
        ("COUNT(DISTINCT n)", [4.0, 1.0, 1.0]),
        ("COUNT(DISTINCT d)", [4.0, 3.0, 1.0]),
        ("COUNT(DISTINCT s)", [4.0, 1.0, 1.0]),
        ("COUNT(DISTINCT lower(btrim(s)))", [2.0, 1.0, 1.0]),
        ("COUNT(DISTINCT at)", [4.0, 1.0, 1.0]),
        ("COUNT(DISTINCT CAST(at AS DATE))", [1.0, 1.0, 1.0]),
        ("COUNT(DISTINCT at > TIMESTAMP '1970-01-01 00:00:00')", [2.0, 1.0, 1.0]),
        ("COUNT(DISTINCT NULL)", [0.0, 0.0, 0.0]),
        // Of 0, 0 and 1; of nothing there is none.
        ("coalesce(MEDIAN(x), -1)", [0.0, -1.0, 0.0]),
        ("coalesce(MEDIAN(1 / x), -1)", [1.0, -1.0, -1.0]),
        ("coalesce(MEDIAN(d), -1)", [1.0, 0.02, 0.04]),
        ("MEDIAN(n)", [2.0, 3.0, 0.0]),
        ("coalesce(MEDIAN(x) FILTER (WHERE n > 5), -1)", [0.0, -1.0, -1.0]),
        ("PERCENTILE_CONT(1) WITHIN GROUP (ORDER BY d DESC)", [0.0, 0.01, 0.04]),
        ("APPROX_PERCENTILE_CONT(d, 0.5)", [1.0, 0.02, 0.04]),
    ] {
        // Who is who, by their greatest `n`.
        for (who, right) in ["top > 5", "top = 3", "top = 0"].into_iter().zip(right) {
            let from = format!("(SELECT person, {what} AS y, MAX(n) AS top FROM dataset GROUP BY person) WHERE {who}");
            let said = number(&world, &format!("SELECT SUM(clamp(y, -5, 5)) FROM {from}")).await;
            assert!((said - right).abs() < 1e-3, "{what} where {who}: {said} for {right}");
        }
    }
}
