//! Group keys from the files' columns to a result and back in a job: exact, of every type.

use std::{fs::File, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array, Int64Array, RecordBatch,
        StringArray, TimestampMicrosecondArray, UInt64Array,
    },
    datatypes::SchemaRef,
};
use parquet::arrow::ArrowWriter;
use tidegate_gate::{GroupSums, Plan, release};
use tidegate_protocol::{
    ContentHash, Cost, MicroRho,
    cost::FemtoDelta,
    job::Key,
    policy::{Policy, PolicyFile},
    result::ResultDoc,
};
use tidegate_sandbox::{sql, units};

use crate::common::POLICY;

const PEOPLE: usize = 60;

struct World {
    file: File,
    schema: SchemaRef,
    policy: Policy,
}

/// Sixty people of one row each; every column has as many values as it can.
fn world() -> World {
    let each = 0..PEOPLE as i64;
    let edge = 1i64 << 53;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("person", Arc::new(Int64Array::from_iter_values(each.clone()))),
        ("tiny", Arc::new(Int8Array::from_iter_values(each.clone().map(|i| (i * 4 - 120) as i8)))),
        ("big", Arc::new(Int64Array::from_iter_values(each.clone().map(|i| (edge - 5 + i) * if i % 2 == 0 { 1 } else { -1 })))),
        ("huge", Arc::new(UInt64Array::from_iter_values(each.clone().map(|i| u64::MAX - i as u64)))),
        ("narrow", Arc::new(Float32Array::from_iter_values(each.clone().map(|i| i as f32 / 10.0)))),
        (
            "wide",
            Arc::new(Float64Array::from_iter_values(each.clone().map(|i| match i {
                0 => f64::NAN,
                1 => f64::INFINITY,
                2 => 1e16,
                _ => i as f64 / 7.0,
            }))),
        ),
        ("flag", Arc::new(BooleanArray::from_iter(each.clone().map(|i| (i % 3 > 0).then_some(i % 2 == 0))))),
        ("day", Arc::new(Date32Array::from_iter_values(each.clone().map(|i| i as i32 * 401)))),
        ("at", Arc::new(TimestampMicrosecondArray::from_iter_values(each.clone().map(|i| i * 1_000_003_007)))),
        (
            "price",
            Arc::new(
                Decimal128Array::from_iter_values(each.clone().map(|i| i128::from(i) - 30))
                    .with_precision_and_scale(20, 2)
                    .unwrap(),
            ),
        ),
        ("word", Arc::new(StringArray::from_iter_values(each.clone().map(|i| (edge + i).to_string())))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let schema = units::schema(&file).unwrap();
    let names = ["tiny", "big", "huge", "narrow", "wide", "flag", "day", "at", "price", "word"];
    let columns: String = names.iter().map(|name| format!("{name} = {{}}\n")).collect();
    let policy = format!("{}[columns]\n{columns}", &POLICY[..POLICY.find("[columns]").unwrap()]);
    World { file, schema, policy: PolicyFile::parse(&policy).unwrap().check(|e, _| Some(e)).unwrap() }
}

impl World {
    /// The result of a query with declared keys, at noise that is none to speak of, as its reader has it; or why there is none.
    fn ask(&self, query: &str, keys: &[Vec<Key>]) -> Result<ResultDoc, String> {
        let query = sql::admit_query(&sql::Asked { keys: Some(keys), ..sql::Asked::new(query) }, &self.schema, &self.policy)
            .map_err(|e| e.to_string())?;
        let plan = Plan::new(query.shape.clone()).unwrap();
        let sums = self.sums(&query, &plan);
        let calibration = plan.calibrate(Cost::dp(MicroRho(100_000_000_000), FemtoDelta(0))).unwrap();
        let released = release(&plan, &calibration, query.declared.as_deref().unwrap(), &sums, ContentHash([0; 32])).unwrap();
        Ok(serde_json::from_str(&serde_json_canonicalizer::to_string(released.document()).unwrap()).unwrap())
    }

    fn sums(&self, query: &sql::Query, plan: &Plan) -> tidegate_gate::Sums {
        let mut sums = tidegate_gate::Sums::default();
        let sink = &mut |groups: Vec<GroupSums>| {
            sums.groups.extend(groups);
            Ok(())
        };
        let room = sql::Room { spill: None, least_units: 0 };
        sql::run_query(query, plan, &[self.file.try_clone().unwrap()], &[7; 32], room, sink).unwrap();
        sums
    }

    /// The keys of a query's groups, as a reader of canonical JSON has them, each with its number of units.
    fn groups(&self, query: &str) -> Vec<(Vec<Key>, i64)> {
        let query = sql::admit_query(&sql::Asked::new(query), &self.schema, &self.policy).unwrap();
        let sums = self.sums(&query, &Plan::new(query.shape.clone()).unwrap());
        let read = |key: &Vec<Key>| serde_json::from_str(&serde_json_canonicalizer::to_string(key).unwrap()).unwrap();
        sums.groups.iter().map(|group| (read(&group.key), group.units)).collect()
    }
}

/// What an undeclared group is called is what a job declares to get it, and no two groups are called the same.
#[test]
fn groups_are_declared_by_the_keys_that_they_show() {
    let world = world();
    for by in ["tiny", "big", "huge", "narrow", "wide", "flag", "day", "at", "price", "word", "big, wide", "narrow, huge, flag"] {
        let query = format!("SELECT {by}, COUNT(DISTINCT person) AS n FROM dataset GROUP BY {by}");
        let groups = world.groups(&query);
        let names: std::collections::BTreeSet<_> = groups.iter().map(|(key, _)| serde_json::to_string(key).unwrap()).collect();
        assert_eq!((names.len(), groups.iter().map(|(_, n)| n).sum::<i64>()), (groups.len(), PEOPLE as i64), "{by}");
        assert_eq!(groups.len(), if by == "flag" { 3 } else { PEOPLE }, "{by}");
        let keys: Vec<Vec<Key>> = groups.iter().map(|(key, _)| key.clone()).collect();
        let result = world.ask(&query, &keys).unwrap();
        for ((key, units), row) in groups.iter().zip(&result.rows) {
            assert_eq!((key, *units as f64), (&row.key, row.cells[0].value), "{by}");
        }
    }
}

#[test]
fn a_declared_key_counts_or_is_refused_with_column_type_and_example() {
    let world = world();
    let count = |expr: &str, key: Key| {
        let query = format!("SELECT {expr} AS k, COUNT(DISTINCT person) AS n FROM dataset GROUP BY {expr}");
        world.ask(&query, &[vec![key]]).map(|result| (result.rows[0].key[0].clone(), result.rows[0].cells[0].value))
    };
    let text = |s: &str| Key::Text(s.into());
    for (expr, key, shown, n) in [
        ("CAST(0.1 * (tiny / tiny) AS REAL)", Key::Float(0.1), Key::Float(0.1), 59.0),
        ("narrow", Key::Float(0.1), Key::Float(0.1), 1.0),
        ("big", text("9007199254740993"), text("9007199254740993"), 1.0),
        ("big", text("9007199254740992"), text("9007199254740992"), 0.0),
        ("huge", text("18446744073709551615"), text("18446744073709551615"), 1.0),
        ("price", Key::Float(0.29), text("0.29"), 1.0),
        ("price", text("0.290"), text("0.29"), 1.0),
        ("wide", Key::Null, Key::Null, 1.0),
        ("wide", Key::Float(1e16), Key::Float(1e16), 1.0),
        ("day", text("1970-01-01"), text("1970-01-01"), 1.0),
    ] {
        assert_eq!(count(expr, key.clone()), Ok((shown, n)), "{key} of {expr}");
    }
    for (expr, key, words) in [
        ("tiny", Key::Int(300), ["300", "whole number", "-128 to 127"]),
        ("narrow", Key::Float(0.123_456_789), ["0.123456789", "REAL", "0.5"]),
        ("big", Key::Float(9_007_199_254_740_992.0), ["9007199254740992", "whole number", "as text"]),
        ("flag", Key::Int(1), ["1", "BOOLEAN", "true or false"]),
        ("day", text("1970-1-1"), ["1970-1-1", "DATE", "2024-02-29"]),
        ("price", text("0.295"), ["0.295", "DECIMAL(20, 2)", "12.50"]),
        ("word", Key::Int(7), ["7", "text", "north"]),
    ] {
        let refused = count(expr, key.clone()).unwrap_err();
        assert!(words.iter().all(|word| refused.contains(word)) && refused.contains("program.keys[0]"), "{refused}");
        assert!(refused.contains(" of k,"), "{refused}");
    }
}

/// The buyer's own computation over a result has the keys that the result has.
#[tokio::test]
async fn what_is_computed_from_a_result_keeps_its_keys() {
    let world = world();
    for by in ["tiny", "big", "huge", "narrow", "wide", "flag", "day", "at", "price", "word"] {
        let query = format!("SELECT {by} AS k, COUNT(DISTINCT person) * 1 AS n FROM dataset GROUP BY {by}");
        let keys: Vec<Vec<Key>> = world.groups(&query).into_iter().map(|(key, _)| key).collect();
        let result = world.ask(&query, &keys).unwrap();
        let asked = sql::Asked { keys: Some(&keys), ..sql::Asked::new(&query) };
        let view = sql::admit_query(&asked, &world.schema, &world.policy).unwrap().view.unwrap();
        let answer = view.answer(&result).await.unwrap().table;
        let mut encoded = std::collections::BTreeSet::new();
        for row in 0..answer.num_rows() {
            encoded.insert(format!("{:?}", answer.column(0).slice(row, 1)));
        }
        assert_eq!(encoded.len(), keys.len(), "{by}");
    }
}
