//! Measured times of expressions over values of every kind, beside their counted operations.

use std::{sync::Arc, time::Instant};

use arrow::{
    array::{
        ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
    },
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use datafusion::common::DFSchema;
use tidegate_protocol::{
    Refusal,
    job::Split,
    limits,
    policy::{ColumnRule, Policy, PolicyFile},
};

use super::worst;
use crate::{
    sql::{SOURCE, admit_select, refuse},
    units::Physical,
};

/// Measurement of an expression over values of a kind.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The expression.
    pub expression: &'static str,
    /// Kind of the values.
    pub values: &'static str,
    /// Nanoseconds per row, the minimum of some runs.
    pub nanoseconds: f64,
    /// Operations counted for the expression.
    pub counted: u64,
}

impl Measured {
    /// Returns the millions of operations per second.
    pub fn mops(&self) -> f64 {
        self.counted as f64 / self.nanoseconds.max(0.01) * 1e3
    }
}

/// Expressions over numbers `x`, `y` and `n`.
const NUMBERS: &[&str] = &[
    "abs(x)",
    "acos(x)",
    "asin(x)",
    "atan(x)",
    "atan2(x, y)",
    "cbrt(x)",
    "ceil(x)",
    "clamp(x, 0, 1)",
    "cos(x)",
    "cosh(x)",
    "cot(x)",
    "degrees(x)",
    "exp(x)",
    "floor(x)",
    "greatest(x, y)",
    "isnan(x)",
    "least(x, y)",
    "ln(x)",
    "log10(x)",
    "log2(x)",
    "nanvl(x, y)",
    "nullif(x, y)",
    "coalesce(x, y)",
    "pi() + x",
    "power(x, y)",
    "power(y, x)",
    "radians(x)",
    "round(x)",
    "round(x, 2)",
    "signum(x)",
    "sin(x)",
    "sinh(x)",
    "sqrt(x)",
    "tan(x)",
    "trunc(x)",
    "trunc(x, 2)",
    "x % y",
    "y % x",
    "x % 1e-300",
    "x + y",
    "x - y",
    "x * y",
    "x / y",
    "-x",
    "x > y",
    "x = y AND y > x",
    "x > y OR y > 3",
    "NOT (x > y)",
    "x IS DISTINCT FROM y",
    "x BETWEEN 1 AND y",
    "x IN (1, 2, 3, 4, 5)",
    "x IN (y, n, 3)",
    "CASE WHEN x > y THEN x WHEN y > 3 THEN y ELSE 0 END",
    "CASE x WHEN y THEN 1 ELSE 2 END",
    "CAST(x AS BIGINT)",
    "CAST(x AS TINYINT UNSIGNED)",
    "CAST(x AS REAL)",
    "CAST(x AS TEXT)",
    "CAST(x AS DECIMAL(38, 10))",
    "CAST(n AS TEXT)",
    "CAST(CAST(n AS DECIMAL(20, 2)) AS TEXT)",
    "n % 7",
    "to_timestamp(n)",
    "n > x",
    "CAST(x AS DECIMAL(38, 10)) > CAST(y AS DECIMAL(20, 2))",
    "n IN (x, 9007199254740993, y)",
];

/// Expressions over texts `s` and `t`.
const TEXTS: &[&str] = &[
    "ascii(s)",
    "btrim(s)",
    "btrim(s, 'ab')",
    "btrim(s, t)",
    "rtrim(s)",
    "ltrim(s, t)",
    "character_length(s)",
    "contains(s, 'aab')",
    "contains(s, t)",
    "ends_with(s, 'zz')",
    "ends_with(s, t)",
    "initcap(s)",
    "left(s, 1000)",
    "left(s, -5)",
    "right(s, 1000)",
    "right(s, -5)",
    "lower(s)",
    "upper(s)",
    "octet_length(s)",
    "reverse(s)",
    "split_part(s, 'a', 500)",
    "split_part(s, '', 500)",
    "split_part(s, t, 2)",
    "split_part(s, 'a', -500)",
    "starts_with(s, 'aa')",
    "starts_with(s, t)",
    "strpos(s, 'aab')",
    "strpos(s, t)",
    "substr(s, 500, 10)",
    "substr(s, 500)",
    "concat(s, t)",
    "concat(s, t, s, t)",
    "concat_ws(t, s, s, s, s)",
    "s || t",
    "replace(s, 'a', 'bbbb')",
    "replace(s, 'aa', 'b')",
    "s LIKE '%a%a%a%a%b%'",
    "s LIKE 'abc%'",
    "s LIKE '%ab%'",
    "s LIKE '%_a_b_%'",
    "s ILIKE '%a%a%b%'",
    "s ~ '^[a-z]+$'",
    "s ~ '(a|aa)+$'",
    "s ~ '[a-c]{0,30}z'",
    r"s ~ '\w+\s+\w+z'",
    r"s ~ '\bz\b'",
    "s ~ '[ab]*a[ab]{12}c'",
    "s ~* 'hello.*world'",
    "s = 'abc'",
    "s = t",
    "s < t",
    "s IN ('a', 'b', 'c')",
    "s IN (t, 'a')",
    "CASE WHEN s > t THEN s ELSE 'b' END",
    "nullif(s, t)",
    "coalesce(s, t)",
    "CAST(s AS DOUBLE)",
    "CAST(s AS BIGINT)",
    "CAST(s AS DECIMAL(38, 10))",
    "CAST(s AS TIMESTAMP)",
    "CAST(s AS DATE)",
    "to_date(s, 'DD.MM.YYYY')",
    "to_timestamp(s, 'Mon DD, YYYY HH12:MI:SS AM')",
    "CAST(s AS BOOLEAN)",
];

/// Expressions over times `at`, `zoned` and `day`, and decimals `price`.
const TIMES: &[&str] = &[
    "CAST(price AS DECIMAL(76, 10)) > 1",
    "date_part('year', at)",
    "date_part('week', at)",
    "date_part('epoch', zoned)",
    "date_part('doy', day)",
    "year(at)",
    "quarter(at)",
    "month(zoned)",
    "week(zoned)",
    "day(day)",
    "dayofyear(at)",
    "hour(zoned)",
    "minute(at)",
    "second(at)",
    "date_diff('month', day, at)",
    "date_diff('hour', zoned, at)",
    "day - DATE '2024-01-01'",
    "at - zoned > INTERVAL '1 hour'",
    "date_part('epoch', at - day)",
    "at + INTERVAL '1 month 2 hours'",
    "zoned - INTERVAL '1 day' * CAST(x AS BIGINT)",
    "to_char(at, 'YYYY-MM-DD HH24:MI:SS')",
    "to_char(zoned, '%A %d %B %Y')",
    "date_trunc('year', at)",
    "date_trunc('week', zoned)",
    "date_trunc('hour', zoned)",
    "date_trunc('month', day)",
    "CAST(at AS TEXT)",
    "CAST(zoned AS TEXT)",
    "CAST(day AS TEXT)",
    "CAST(zoned AS DATE)",
    "at < day",
    "zoned < day",
    "zoned < at",
    "price > 3",
    "price = x",
    "price * 2",
    "CAST(price AS DECIMAL(38, 20))",
    "CAST(price AS TEXT)",
    "CAST(price AS DOUBLE)",
];

/// Measures every expression over every kind of value, with the fastest of `runs` runs.
///
/// There are `rows` rows of numbers, and `rows / 128` of long texts.
///
/// # Errors
/// Returns a [`Refusal`] if an expression is no longer admitted.
pub fn measure(rows: usize, runs: usize) -> Result<Vec<Measured>, Refusal> {
    let mut all = Vec::new();
    for &expression in NUMBERS {
        over(expression, &numbers(rows)?, runs, &mut all)?;
    }
    for &expression in TEXTS {
        over(expression, &texts((rows / 128).max(1))?, runs, &mut all)?;
    }
    for &expression in TIMES {
        over(expression, &times(rows)?, runs, &mut all)?;
    }
    Ok(all)
}

/// Times an expression over all kinds of values.
fn over(expression: &'static str, kinds: &Batches, runs: usize, all: &mut Vec<Measured>) -> Result<(), Refusal> {
    let schema = kinds[0].1.schema();
    let policy = policy(&schema)?;
    let select = admit_select(&format!("SELECT {expression} AS e FROM dataset"), Split::Unit, &schema, &policy)?;
    let columns = DFSchema::try_from_qualified_schema(SOURCE, &schema).map_err(refuse)?;
    let physical = Physical::over(&select, &columns).map_err(refuse)?;
    let counted = worst(&select, &policy)?[0].work;
    for (values, batch) in kinds {
        let mut nanoseconds = f64::INFINITY;
        for _ in 0..runs {
            let start = Instant::now();
            physical.select(batch).map_err(refuse)?;
            nanoseconds = nanoseconds.min(start.elapsed().as_nanos() as f64 / batch.num_rows() as f64);
        }
        all.push(Measured { expression, values, nanoseconds, counted });
    }
    Ok(())
}

fn policy(schema: &SchemaRef) -> Result<Policy, Refusal> {
    const TEXT: &str = r#"
        unit = { column = "unit", max_units = 2, max_rows = 1, max_groups = 1 }
        budget = { delta = 1e-6, rho = 1.0, per_buyer_rho = 1.0 }
        jobs = { kinds = ["sql"], min_units = 1, fuel = 1, memory_mib = 1, slot = "1000000s", tick = "1s" }
        sql = { mops = 1e9 }
        access = { compute = "granted", replicate = "nobody" }
        columns = { x = {} }
    "#;
    let mut policy = PolicyFile::parse(TEXT).and_then(|file| file.check(|e, _| Some(e))).map_err(refuse)?;
    let names = schema.fields().iter().map(|field| field.name().clone()).filter(|name| name != "unit");
    policy.columns = names.map(|name| (name, ColumnRule::default())).collect();
    Ok(policy)
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch, Refusal> {
    let rows = columns.first().map_or(0, |(_, column)| column.len());
    let unit: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
    let all: Vec<_> = std::iter::once(("unit", unit)).chain(columns).collect();
    let fields = all.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect::<Vec<_>>();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), all.into_iter().map(|(_, column)| column).collect()).map_err(refuse)
}

/// Returns numbers from 0 to 1, the same every time.
fn spread(i: usize) -> f64 {
    (i as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) as f64 / u64::MAX as f64
}

type Batches = Vec<(&'static str, RecordBatch)>;

fn numbers(rows: usize) -> Result<Batches, Refusal> {
    type Kind = (&'static str, fn(f64) -> f64);
    let kinds: [Kind; 9] = [
        ("ordinary", |v| v * 200.0 - 100.0),
        ("zero", |_| 0.0),
        ("huge", |v| if v < 0.5 { 1.7e308 } else { -1.7e308 }),
        ("large", |v| 1e21 + 1e22 * v),
        ("tiny", |v| 1e-300 * v),
        ("denormal", |v| 1e-310 * v),
        ("NaN", |_| f64::NAN),
        ("infinite", |v| if v < 0.5 { f64::INFINITY } else { f64::NEG_INFINITY }),
        ("mixed", |v| {
            if v < 0.3 {
                1e-310
            } else if v < 0.6 {
                1.7e308
            } else {
                f64::NAN
            }
        }),
    ];
    let of = |(name, value): (&'static str, fn(f64) -> f64)| {
        let x = Float64Array::from_iter_values((0..rows).map(|i| value(spread(i))));
        let y = Float64Array::from_iter_values((0..rows).map(|i| 1.0 + 9.0 * spread(i + 7)));
        let n = Int64Array::from_iter_values((0..rows).map(|i| (spread(i) * 9e18) as i64));
        Ok((name, batch(vec![("x", Arc::new(x) as ArrayRef), ("y", Arc::new(y)), ("n", Arc::new(n))])?))
    };
    kinds.into_iter().map(of).collect()
}

fn texts(rows: usize) -> Result<Batches, Refusal> {
    let chars = limits::TEXT_CHARS;
    let letter = |i: usize| char::from(b'a' + (spread(i) * 26.0) as u8);
    let kinds: [(&str, String, String); 12] = [
        ("short", "city".into(), "north".into()),
        ("one letter", "a".repeat(chars), format!("{}b", "a".repeat(chars / 2))),
        ("two letters", "ab".repeat(chars / 2), "b".repeat(chars / 2)),
        ("letters", (0..chars).map(letter).collect(), (7..chars / 2).map(letter).collect()),
        ("digits", "9".repeat(chars), "0".repeat(chars)),
        ("a long fraction", format!("0.{}1", "0".repeat(chars - 3)), "1e999999999".into()),
        ("blanks", " ".repeat(chars), " ".into()),
        ("pairs of a length of time", "1y ".repeat(chars / 3), "1y".into()),
        ("three bytes, two cases", "\u{1e9e}".repeat(chars), "\u{1e9e}".into()),
        ("sigmas", "\u{3a3}".repeat(chars), "\u{3a3}".into()),
        // Marks are passed over on the way from a sigma to the next letter.
        ("sigmas with marks", "\u{3a3}\u{301}".repeat(chars / 2), "\u{3a3}".into()),
        ("four bytes", "\u{1f980}".repeat(chars), "\u{1f980}".repeat(chars / 2)),
    ];
    let of = |(name, s, t): (&'static str, String, String)| {
        let column = |text: &str| Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows))) as ArrayRef;
        Ok((name, batch(vec![("s", column(&s)), ("t", column(&t))])?))
    };
    kinds.into_iter().map(of).collect()
}

fn times(rows: usize) -> Result<Batches, Refusal> {
    let kinds: [(&str, f64); 3] = [("of our days", 1e9), ("of all years", 6e10), ("beyond all calendars", 9e15)];
    let of = |(name, seconds): (&'static str, f64)| {
        let each = |scale: f64| (0..rows).map(move |i| (2.0 * spread(i) - 1.0) * seconds * scale);
        let at = TimestampMillisecondArray::from_iter_values(each(1e3).map(|v| v as i64));
        let zoned = TimestampMillisecondArray::from_iter_values(each(1e3).map(|v| v as i64)).with_timezone("+02:00");
        let day = Date32Array::from_iter_values(each(1.0 / 86_400.0).map(|v| v as i32));
        let price = Decimal128Array::from_iter_values(each(1.0).map(|v| v as i128)).with_data_type(DataType::Decimal128(20, 2));
        let x = Float64Array::from_iter_values(each(1.0));
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("at", Arc::new(at)),
            ("zoned", Arc::new(zoned)),
            ("day", Arc::new(day)),
            ("price", Arc::new(price)),
            ("x", Arc::new(x)),
        ];
        Ok((name, batch(columns)?))
    };
    kinds.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::functions::names;

    /// Whatever function a query may call is timed over every kind of value, and counted.
    #[test]
    fn every_function_is_measured() {
        let measured = [NUMBERS, TEXTS, TIMES].concat();
        let lacking: Vec<String> = names().filter(|name| !measured.iter().any(|e| e.contains(&format!("{name}(")))).collect();
        assert_eq!(lacking, Vec::<String>::new());
        assert!(measure(128, 1).unwrap().iter().all(|one| one.counted > 0));
    }
}
