//! Casts that are written are compared as what they give, and those that the planner adds lose nothing: against whole numbers of 128 bits.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array};
use tidegate_protocol::job::Key;

use crate::{
    common::plain::value,
    differential::World,
    values::{counts, number, world},
};

const WHOLE: [i64; 10] = [i64::MIN, -100_000, -1000, -999, 0, 3, 999, 1000, 99_999, i64::MAX];
/// With thirty digits after the point: 10^37 of them are 10^7.
const PARTS: [i128; 10] = [10i128.pow(37), -1, 0, 3 * 10i128.pow(30), 999 * 10i128.pow(30), 1, 4, 5, -10i128.pow(36), 6];

fn table() -> World {
    let wide = Decimal128Array::from(PARTS.to_vec()).with_precision_and_scale(38, 30).unwrap();
    world(vec![("n", Arc::new(Int64Array::from(WHOLE.to_vec())) as ArrayRef), ("d", Arc::new(wide) as ArrayRef)])
}

/// How many numbers have this, of those that a DECIMAL with so many digits before its point holds.
fn count(digits: u32, of: impl Fn(i128) -> bool) -> f64 {
    let held = WHOLE.iter().map(|n| i128::from(*n)).filter(|n| n.abs() < 10i128.pow(digits));
    held.filter(|n| of(*n)).count() as f64
}

#[tokio::test]
async fn a_decimal_that_is_too_narrow_is_null_where_it_is_written() {
    counts(
        &table(),
        &[
            ("CAST(n AS DECIMAL(5, 2)) > 3", count(3, |n| n > 3)),
            ("CAST(n AS DECIMAL(5, 2)) >= CAST(-999 AS DECIMAL(5, 2))", count(3, |n| n >= -999)),
            ("CAST(n AS DECIMAL(5, 2)) BETWEEN -1000000 AND 1000000", count(3, |_| true)),
            ("CAST(n AS DECIMAL(5, 2)) IN (1000, 999, 3)", count(3, |n| [999, 3].contains(&n))),
            ("CAST(n AS DECIMAL(5, 2)) IS NULL", 10.0 - count(3, |_| true)),
            ("NOT (CAST(n AS DECIMAL(5, 2)) < 3.5)", count(3, |n| n > 3)),
            ("CAST(n AS DECIMAL(5, 2)) * 2 > 6", count(3, |n| n > 3)),
            ("CAST(n AS DECIMAL(21, 2)) > 3", count(19, |n| n > 3)),
            ("CASE CAST(n AS DECIMAL(5, 2)) WHEN 1000 THEN true WHEN 999 THEN true END", count(3, |n| n == 999)),
            ("n = CAST(9007199254740993 AS DECIMAL(38, 30))", 0.0),
            // A double has no more digits than it has.
            ("CAST(n AS DOUBLE) = 9223372036854775807e0", 1.0),
        ],
    )
    .await;
}

/// Of what nobody wrote a cast, nothing is lost: each number is compared with the other as it is.
#[tokio::test]
async fn whole_numbers_beside_narrow_decimals_are_compared_as_they_are() {
    let one = 10i128.pow(30);
    // By whole parts, and where they are the same by what is left.
    let order = |(n, d): (&i64, &i128)| i128::from(*n).cmp(&d.div_euclid(one)).then(0.cmp(&d.rem_euclid(one)));
    let right = |of: fn(std::cmp::Ordering) -> bool| WHOLE.iter().zip(&PARTS).filter(|pair| of(order(*pair))).count() as f64;
    counts(
        &table(),
        &[
            ("n < d", right(std::cmp::Ordering::is_lt)),
            ("n >= d", right(std::cmp::Ordering::is_ge)),
            ("d = n", right(std::cmp::Ordering::is_eq)),
            ("n IS DISTINCT FROM d", right(std::cmp::Ordering::is_ne)),
            ("n BETWEEN d AND d", right(std::cmp::Ordering::is_eq)),
            ("n IN (d)", right(std::cmp::Ordering::is_eq)),
        ],
    )
    .await;
    for query in ["coalesce(d, n) > 1", "CASE WHEN d > 1 THEN d ELSE n END > 1", "n > CAST(d AS DECIMAL(76, 70))"] {
        let refused = table().rows(&format!("SELECT COUNT(*) AS c FROM dataset WHERE {query}")).await.unwrap_err();
        assert!(refused.contains("does not hold every value") && refused.contains("AS DOUBLE"), "{query}: {refused}");
    }
}

/// A cast of a released number is computed, however it is written, and only a number that it keeps has its interval.
#[tokio::test]
async fn casts_of_released_numbers_are_computed() {
    let x: ArrayRef = Arc::new(Float64Array::from(vec![36.0, 37.0, 38.0]));
    let world = world(vec![("x", x), ("k", Arc::new(Int64Array::from(vec![4, 4, 4])) as ArrayRef)]);
    for (what, shown, kept) in [
        ("AVG(x)", Key::Float(36.9932), true),
        ("CAST(AVG(x) AS INT)", Key::Int(37), false),
        ("TRY_CAST(AVG(x) AS INT)", Key::Int(37), false),
        ("AVG(x)::INT", Key::Int(37), false),
        ("CAST(AVG(x) AS DOUBLE)", Key::Float(36.9932), true),
        ("TRY_CAST(AVG(x) AS DOUBLE)", Key::Float(36.9932), true),
        ("AVG(x)::DOUBLE", Key::Float(36.9932), true),
        ("CAST(CAST(AVG(x) AS INT) AS DOUBLE)", Key::Float(37.0), false),
        ("CAST(AVG(x) AS BOOLEAN)", Key::Bool(true), false),
        ("CAST(AVG(x) AS TEXT)", Key::Text("36.9932".into()), false),
        // What a type does not hold is NULL, and no error.
        ("CAST(AVG(x) AS DECIMAL(3, 2))", Key::Null, false),
        ("CAST(AVG(x) AS TINYINT)", Key::Int(37), false),
        // A whole number stays what it is.
        ("CAST(COUNT(*) AS BIGINT)", Key::Int(3), true),
        ("COUNT(*)::INT", Key::Int(3), true),
        ("CAST(COUNT(*) AS BOOLEAN)", Key::Bool(true), false),
    ] {
        // Beside others, and alone.
        for query in
            [format!("SELECT {what} AS a, AVG(x) + COUNT(*) AS b FROM dataset"), format!("SELECT {what} AS a FROM dataset")]
        {
            let admitted = world.admitted(&query, None).unwrap_or_else(|e| panic!("{query}: {e}"));
            let (mut document, _) = world.released(&admitted, &query);
            for (name, cell) in document.columns.iter().zip(&mut document.rows[0].cells) {
                let is_mean = !name.contains("count") && (what.contains("AVG") || name.contains("avg"));
                cell.value = if is_mean { 36.9932 } else { 3.0 };
            }
            let Some(view) = &admitted.view else {
                assert!(kept, "{query} is no more than what is released");
                continue;
            };
            let answered = view.answer(&document).await.unwrap_or_else(|e| panic!("{query}: {e}"));
            assert_eq!(value(answered.table.column(0), 0), shown, "{query}");
            let of = &answered.columns[0];
            assert_eq!((of.cells[0].is_some(), of.computed[0]), (kept, !kept), "{query}");
        }
    }
    // A released key that is cast is one no more, and its text is a whole number's.
    let query = "SELECT CAST(k AS TEXT) AS a, COUNT(*) AS n FROM (SELECT person, k * 2 AS k FROM dataset) GROUP BY k";
    assert_eq!(world.rows(query).await.unwrap(), [[Key::Text("8".into()), Key::Float(3.0)]]);
}

/// Arithmetic is of floats, and the text of whole numbers is theirs all the same.
#[tokio::test]
async fn the_text_of_whole_numbers_has_no_point() {
    let n: ArrayRef = Arc::new(Int64Array::from(vec![2, 2, -3, 5]));
    let day: ArrayRef = Arc::new(Date32Array::from(vec![19_358; 4]));
    let y: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0, 2.5, 3.0]));
    let world = world(vec![("n", n), ("day", day), ("y", y)]);
    counts(
        &world,
        &[
            ("CAST(n * 2 AS TEXT) = '4'", 2.0),
            ("TRY_CAST(n * 2 AS TEXT) = '4'", 2.0),
            ("(n * 2)::TEXT = '4'", 2.0),
            ("CAST(-n AS TEXT) = '3'", 1.0),
            ("CAST(n - 2 AS TEXT) = '0'", 2.0),
            ("CAST(abs(n) AS TEXT) IN ('2', '3')", 3.0),
            ("CAST(n % 2 AS TEXT) = '-1'", 1.0),
            ("CAST(n % 0 AS TEXT) IS NULL", 4.0),
            ("CAST(greatest(n, 3) AS TEXT) = '3'", 3.0),
            ("CAST(year(day) * 100 + month(day) AS TEXT) = '202301'", 4.0),
            ("(n * 2) || 'x' = '4x'", 2.0),
            ("concat('x', n * 2) = 'x4'", 2.0),
            ("lpad(CAST(n * 2 AS TEXT), 3, '0') = '004'", 2.0),
            ("CAST(n * 2 AS TEXT) LIKE '%.%'", 0.0),
            ("CAST(coalesce(n * 2, 0) AS TEXT) = '4'", 2.0),
            ("CAST(nullif(n + 1, 6) AS TEXT) = '3'", 2.0),
            ("CAST(CASE WHEN n > 0 THEN n + 1 ELSE 0 END AS TEXT) IN ('3', '0')", 3.0),
            ("CAST(CASE WHEN n < 0 THEN 0 ELSE n * 2 END AS TEXT) = '4'", 2.0),
            // Fractions and floats have theirs.
            ("CAST(n / 2 AS TEXT) = '1.0'", 2.0),
            ("CAST(n / 2 AS TEXT) = '2.5'", 1.0),
            ("CAST(n * 1.0 AS TEXT) = '2.0'", 2.0),
            ("CAST(CAST(n AS DOUBLE) * 2 AS TEXT) = '4.0'", 2.0),
            ("CAST(y * 2 AS TEXT) = '4.0'", 1.0),
            ("CAST(CASE WHEN n > 0 THEN n * 2 ELSE y END AS TEXT) = '4.0'", 2.0),
        ],
    )
    .await;
    let inner = "SELECT COUNT(*) AS c FROM (SELECT person, n * 2 AS m FROM dataset) WHERE CAST(m AS TEXT) = '4'";
    assert_eq!(number(&world, inner).await, 2.0);
    let keys = world.rows("SELECT CAST(n * 2 AS TEXT) AS k, COUNT(*) AS c FROM dataset GROUP BY 1").await.unwrap();
    let mut keys: Vec<String> = keys.iter().map(|row| row[0].to_string()).collect();
    keys.sort();
    assert!(keys.iter().all(|key| !key.contains('.')) && keys.len() == 3, "{keys:?}");
}
