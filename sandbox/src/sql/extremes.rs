//! No row raises an error: whatever is admitted is evaluated over the ends of every type that a column may have, without the net that `units/eval.rs` has under it.

use std::sync::Arc;

use arrow::{
    array::{Array as _, ArrayRef, Int64Array, RecordBatch},
    compute::cast,
    datatypes::{DataType, Field, IntervalUnit, Schema, SchemaRef, TimeUnit},
};
use datafusion::{
    common::{Column, DFSchema},
    logical_expr::{Cast, Expr},
};
use tidegate_protocol::{
    job::Split,
    policy::{ColumnRule, Policy, PolicyFile},
};

use super::{admit_select, dataset::TABLE, expr::total, functions, select::Select};
use crate::units::{Physical, prove};

mod columns;

const UNIT: &str = "unit";

/// A table of extremes, its schema, and a policy that lets queries read all of it.
struct Table {
    columns: Vec<(String, char, DataType)>,
    batch: RecordBatch,
    schema: SchemaRef,
    planned: Arc<DFSchema>,
    policy: Policy,
}

impl Table {
    fn new() -> Self {
        let all = columns::extremes();
        let rows = all[0].2.len();
        let unit: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
        let named =
            std::iter::once((UNIT.to_owned(), unit)).chain(all.iter().map(|(name, _, array)| (name.clone(), array.clone())));
        let (names, arrays): (Vec<String>, Vec<ArrayRef>) = named.unzip();
        let fields: Vec<Field> =
            names.iter().zip(&arrays).map(|(name, array)| Field::new(name, array.data_type().clone(), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(schema.clone(), arrays).unwrap();
        let text = r#"
            unit = { column = "unit", max_units = 2, max_rows = 1, max_groups = 1 }
            budget = { delta = 1e-6, rho = 1.0, per_buyer_rho = 1.0 }
            jobs = { kinds = ["sql"], min_units = 1, fuel = 1, memory_mib = 1, slot = "1000000s", tick = "1s" }
            sql = { mops = 1e9 }
            access = { compute = "granted", replicate = "nobody" }
            columns = { x = {} }
        "#;
        let mut policy = PolicyFile::parse(text).and_then(|file| file.check(|e, _| Some(e))).unwrap();
        policy.columns = all.iter().map(|(name, ..)| (name.clone(), ColumnRule::default())).collect();
        let planned = Arc::new(DFSchema::try_from_qualified_schema(TABLE, &schema).unwrap());
        let columns = all.into_iter().map(|(name, kind, array)| (name, kind, array.data_type().clone())).collect();
        Self { columns, batch, schema, planned, policy }
    }

    fn of_kind(&self, kinds: &str) -> Vec<&str> {
        self.columns.iter().filter(|(_, kind, _)| kinds.contains(*kind)).map(|(name, ..)| name.as_str()).collect()
    }

    /// Adds those of these expressions, as they are written, that are admitted and raise an error; how many are admitted.
    fn asked(&self, exprs: &[String], raised: &mut Vec<String>) -> usize {
        let list: Vec<String> = exprs.iter().enumerate().map(|(i, e)| format!("{e} AS e{i}")).collect();
        match admit_select(&format!("SELECT {} FROM dataset", list.join(", ")), Split::Unit, &self.schema, &self.policy) {
            Ok(select) => {
                let found = Physical::over(&select, &self.planned).unwrap().raised(&self.batch);
                raised.extend(found.into_iter().map(|(i, e)| format!("{}: {e}", exprs[i])));
                exprs.len()
            }
            Err(_) if exprs.len() == 1 => 0,
            Err(_) => {
                let (a, b) = exprs.split_at(exprs.len() / 2);
                self.asked(a, raised) + self.asked(b, raised)
            }
        }
    }

    /// The same of casts of a column, one of another, many at a time.
    fn cast(&self, chains: &[(&str, Vec<&DataType>)], raised: &mut Vec<String>) -> usize {
        let chain = |(column, kinds): &(&str, Vec<&DataType>)| {
            let column = Expr::Column(Column::new(Some(TABLE), *column));
            let cast = |expr, kind: &&DataType| Expr::Cast(Cast::new(Box::new(expr), (*kind).clone()));
            total(kinds.iter().fold(column, cast), UNIT)
        };
        let names = (0..chains.len()).map(|i| i.to_string()).collect();
        let select = chains.iter().map(chain).collect::<Result<Vec<_>, _>>();
        let select = select.and_then(|all| Select::new(names, vec![(None, all)], self.planned.clone(), UNIT));
        match select.and_then(|select| prove(&select).map(|()| select)) {
            Ok(select) => {
                let found = Physical::new(&select).unwrap().raised(&self.batch);
                raised.extend(found.into_iter().map(|(i, e)| format!("{:?}: {e}", chains[i])));
                chains.len()
            }
            Err(_) if chains.len() == 1 => 0,
            Err(_) => {
                let (a, b) = chains.split_at(chains.len() / 2);
                self.cast(a, raised) + self.cast(b, raised)
            }
        }
    }

    /// Whether the engine casts one type to another at all.
    fn may(from: &DataType, to: &DataType) -> bool {
        arrow::compute::can_cast_types(from, to)
    }
}

/// What a query may cast to, and what the gate's own rewriting does.
fn targets() -> Vec<DataType> {
    use DataType::{
        Binary, Boolean, Date32, Date64, Decimal128, Decimal256, Float32, Float64, Int8, Int16, Int32, Int64, Interval, Time64,
        Timestamp, UInt8, UInt16, UInt32, UInt64, Utf8, Utf8View,
    };
    let mut all = vec![
        Int8,
        Int16,
        Int32,
        Int64,
        UInt8,
        UInt16,
        UInt32,
        UInt64,
        Float32,
        Float64,
        Utf8,
        Utf8View,
        Boolean,
        Date32,
        Date64,
        Binary,
        Time64(TimeUnit::Nanosecond),
        Interval(IntervalUnit::MonthDayNano),
        Decimal128(5, 2),
        Decimal128(38, 0),
        Decimal128(38, 38),
        Decimal256(76, 10),
    ];
    for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
        all.push(Timestamp(unit, None));
    }
    all.push(Timestamp(TimeUnit::Nanosecond, Some("+00:00".into())));
    all.push(Timestamp(TimeUnit::Microsecond, Some("Europe/Berlin".into())));
    all
}

fn none(raised: Vec<String>) {
    let shown: Vec<&str> = raised.iter().take(60).map(String::as_str).collect();
    assert!(raised.is_empty(), "{} raise an error:\n{}", raised.len(), shown.join("\n"));
}

/// Casts of every column to every type, of those to every type again, and of some of those once more.
#[test]
fn no_cast_of_a_cast_raises() {
    let (table, targets, mut raised, mut chains, mut number) = (Table::new(), targets(), vec![], Vec::new(), 0usize);
    for (name, _, of) in &table.columns {
        for a in targets.iter().filter(|a| Table::may(of, a)) {
            chains.push((name.as_str(), vec![a]));
            for b in targets.iter().filter(|b| Table::may(a, b)) {
                chains.push((name.as_str(), vec![a, b]));
                for c in targets.iter().filter(|c| Table::may(b, c)) {
                    number += 1;
                    if number.is_multiple_of(29) {
                        chains.push((name.as_str(), vec![a, b, c]));
                    }
                }
            }
        }
    }
    let admitted: usize = chains.chunks(128).map(|some| table.cast(some, &mut raised)).sum();
    println!("{admitted} of {} chains", chains.len());
    assert!(admitted > 20_000, "{admitted}");
    none(raised);
}

/// Every function, operator and condition over every column that it takes.
#[test]
fn no_function_raises() {
    let table = Table::new();
    let (mut exprs, mut raised) = (Vec::new(), vec![]);
    let (numbers, texts, times) = (table.of_kind("n"), table.of_kind("s"), table.of_kind("t"));
    let all = table.of_kind("nsbftdc");
    let (some_numbers, some_texts) = (["n3", "n7", "n10", "n15", "n17"], [texts[0], texts[2]]);
    for (name, counts) in functions::listed() {
        for count in counts {
            for x in all.iter().step_by(3) {
                let rest = |other: &str| std::iter::repeat_n(other.to_owned(), count.saturating_sub(1)).collect::<Vec<_>>();
                let others =
                    some_numbers.iter().chain(&some_texts).map(|o| (*o).to_owned()).chain(["2".to_owned(), "'a'".to_owned()]);
                for other in others.step_by(3).take(if count > 1 { 3 } else { 1 }) {
                    let args = std::iter::once((*x).to_owned()).chain(rest(&other)).take(count).collect::<Vec<_>>();
                    exprs.push(format!("{name}({})", args.join(", ")));
                }
            }
        }
    }
    let times: Vec<&str> = times.into_iter().step_by(3).collect();
    for t in &times {
        let parts = [
            "year",
            "quarter",
            "month",
            "week",
            "day",
            "hour",
            "minute",
            "second",
            "millisecond",
            "microsecond",
            "nanosecond",
            "dow",
            "isodow",
            "doy",
            "epoch",
            "isoyear",
        ];
        for part in parts {
            exprs.push(format!("date_part('{part}', {t})"));
            exprs.push(format!("date_trunc('{part}', {t})"));
            exprs.push(format!("{part}({t})"));
        }
        for format in ["YYYY-MM-DD HH24:MI:SS.US", "%A %d %B %Y %H:%M:%S", "IYYY IW ID Q J"] {
            exprs.push(format!("to_char({t}, '{format}')"));
        }
        for u in &times {
            exprs.push(format!("{t} - {u} > INTERVAL '1 hour'"));
            exprs.push(format!("date_part('epoch', {t} - {u})"));
            exprs.push(format!("date_part('hour', {t} - {u})"));
            for unit in ["year", "week", "day", "hour", "microsecond"] {
                exprs.push(format!("date_diff('{unit}', {t}, {u})"));
            }
        }
        for by in [
            "INTERVAL '1 month'",
            "INTERVAL '9999 years 3 days'",
            "INTERVAL '36 hours'",
            "INTERVAL '1 day' * n3",
            "n3",
            "n7 * INTERVAL '1 month'",
        ] {
            exprs.push(format!("{t} + {by}"));
            exprs.push(format!("{t} - {by}"));
        }
    }
    for s in &texts {
        for format in ["DD.MM.YYYY", "YYYY-MM-DD HH24:MI:SS", "Mon DD, YYYY HH12:MI:SS AM", "%Y-%m-%dT%H:%M:%S"] {
            exprs.push(format!("to_date({s}, '{format}')"));
            exprs.push(format!("to_timestamp({s}, '{format}')"));
        }
        for pattern in ["LIKE '%9%'", "ILIKE '%É_%'", "~ '^[0-9]+$'", "~* 'nan|inf'", "LIKE '100 \\%%'"] {
            exprs.push(format!("{s} {pattern}"));
        }
        for n in &numbers {
            for call in [
                "left({s}, {n})",
                "right({s}, {n})",
                "substr({s}, {n})",
                "substr({s}, {n}, {n})",
                "substr({s}, 1, {n})",
                "split_part({s}, '9', {n})",
                "{s} || CAST({n} AS TEXT)",
                "concat({s}, {n})",
            ] {
                exprs.push(call.replace("{s}", s).replace("{n}", n));
            }
        }
        exprs.extend(["to_date({s})", "to_timestamp({s})", "replace({s}, '9', 'xyza')"].map(|call| call.replace("{s}", s)));
    }
    for n in &numbers {
        exprs.extend(
            ["-{n}", "to_timestamp({n})", "round({n}, 15)", "trunc({n}, -15)", "clamp({n}, -1, 1)"]
                .map(|call| call.replace("{n}", n)),
        );
    }
    // One column of each of some types.
    let some: Vec<&str> = all.iter().copied().step_by(5).collect();
    for x in &some {
        for y in &some {
            for form in [
                "{x} = {y}",
                "{x} < {y}",
                "{x} IS DISTINCT FROM {y}",
                "{x} + {y}",
                "{x} % {y}",
                "{x} / {y}",
                "{x} IN ({y}, {x})",
                "CASE WHEN f29 THEN {x} ELSE {y} END",
                "CASE {x} WHEN {y} THEN 1 END",
                "nullif({x}, {y})",
                "coalesce({x}, {y})",
                "{x} BETWEEN {y} AND {x}",
            ] {
                exprs.push(form.replace("{x}", x).replace("{y}", y));
            }
        }
        for literal in [
            "0",
            "0.5",
            "1e300",
            "9223372036854775807",
            "'9'",
            "'2024-01-31'",
            "DATE '9999-12-31'",
            "TIMESTAMP '0001-01-01 00:00:00'",
            "TIMESTAMPTZ '2024-01-31T00:00:00Z'",
            "true",
            "NULL",
            "INTERVAL '1 month'",
        ] {
            exprs.extend([format!("{x} > {literal}"), format!("{x} IN ({literal})"), format!("coalesce({x}, {literal})")]);
        }
    }
    let admitted: usize = exprs.chunks(8).map(|some| table.asked(some, &mut raised)).sum();
    println!("{admitted} of {} are admitted", exprs.len());
    assert!(admitted > exprs.len() / 4, "{admitted} of {}", exprs.len());
    none(raised);
}

/// What is admitted is what these tests have looked at: a cast goes by the same way as it does here.
#[test]
fn casts_that_are_written_go_the_same_way() {
    let table = Table::new();
    let mut raised = vec![];
    let kinds = [
        "DATE",
        "TIME",
        "TIMESTAMP",
        "TIMESTAMP(0)",
        "TIMESTAMP(9)",
        "TIMESTAMPTZ",
        "TEXT",
        "DECIMAL(76, 70)",
        "BYTEA",
        "INTERVAL",
        "BOOLEAN",
    ];
    let mut exprs = Vec::new();
    for (name, ..) in table.columns.iter().step_by(4) {
        for a in kinds {
            exprs.push(format!("CAST({name} AS {a})"));
            exprs.extend(kinds.map(|b| format!("CAST(CAST({name} AS {a}) AS {b})")));
        }
    }
    let admitted: usize = exprs.chunks(64).map(|some| table.asked(some, &mut raised)).sum();
    assert!(admitted > exprs.len() / 8, "{admitted} of {}", exprs.len());
    none(raised);
    // Beyond the calendar is NULL, within it the day.
    let select = "SELECT CAST(CAST(n3 AS TIMESTAMP) AS DATE) AS d FROM dataset";
    let select = admit_select(select, Split::Unit, &table.schema, &table.policy).unwrap();
    let made = Physical::over(&select, &table.planned).unwrap().select(&table.batch).unwrap().columns;
    let (numbers, days) = (table.batch.column_by_name("n3").unwrap(), &made[0]);
    let days = cast(&cast(days, &DataType::Int32).unwrap(), &DataType::Int64).unwrap();
    let pairs = [numbers, &days].map(|a| arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&**a).clone());
    for (second, day) in pairs[0].iter().zip(pairs[1].iter()) {
        let right = second.filter(|s| (-62_135_683_200..253_402_300_800).contains(s)).map(|s| s.div_euclid(86_400));
        assert_eq!(day, right, "{second:?}");
    }
}
