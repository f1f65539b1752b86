//! A small table, its policy, and a way to run a job over it.

pub(crate) mod direct;
pub(crate) mod duckdb;
pub(crate) mod locked;
pub(crate) mod meeting;
pub(crate) mod neighbours;
pub(crate) mod plain;
pub(crate) mod queries;
pub(crate) mod runtime;
pub(crate) mod scores;
pub(crate) mod tables;

use std::{fs::File, sync::Arc};

use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::SchemaRef,
};
use parquet::arrow::ArrowWriter;
use tidegate_gate::Sums;
use tidegate_protocol::{
    ContentHash, Cost, Job, MicroRho, Refusal,
    cost::FemtoDelta,
    job::{Key, Program},
    policy::{Policy, PolicyFile},
};
use tidegate_sandbox::{Help, RunError, admit, run, units};

pub(crate) const POLICY: &str = r#"
[unit]
column = "person"
max_units = 1000
max_rows = 3
max_groups = 2
[budget]
delta = 1e-6
rho = 2.0
per_buyer_rho = 1.0
[jobs]
kinds = ["sql", "wasm"]
min_units = 5
fuel = 1000000
memory_mib = 4
slot = "2s"
tick = "1s"
[sql]
mops = 5000
rows = 1000000
[access]
compute = "granted"
replicate = "nobody"
[columns]
spend = { lo = 0, hi = 100 }
visits = { lo = 0, hi = 10 }
city = {}
"#;

pub(crate) fn policy() -> Policy {
    PolicyFile::parse(POLICY).unwrap().check(|e, _| Some(e)).unwrap()
}

pub(crate) struct Table {
    pub file: File,
    pub schema: SchemaRef,
    _dir: tempfile::TempDir,
}

/// Rows of (person, spend, visits, city), written as given.
pub(crate) fn table(rows: &[(Option<i64>, Option<f64>, i64, &str)]) -> Table {
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("person", Arc::new(rows.iter().map(|r| r.0).collect::<Int64Array>()) as ArrayRef, true),
        ("spend", Arc::new(rows.iter().map(|r| r.1).collect::<Float64Array>()) as ArrayRef, true),
        ("visits", Arc::new(rows.iter().map(|r| Some(r.2)).collect::<Int64Array>()) as ArrayRef, true),
        ("city", Arc::new(rows.iter().map(|r| Some(r.3)).collect::<StringArray>()) as ArrayRef, true),
        ("secret", Arc::new(rows.iter().map(|r| r.0).collect::<Int64Array>()) as ArrayRef, true),
    ])
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let file = File::open(path).unwrap();
    let schema = units::schema(&file).unwrap();
    Table { file, schema, _dir: dir }
}

pub(crate) fn job(program: Program) -> Job {
    Job {
        version: 1,
        request: "0".repeat(32),
        dataset: ContentHash([0; 32]),
        cost: Cost::dp(MicroRho(100_000), FemtoDelta(1_000_000)),
        created: 0,
        program,
        weights: Default::default(),
        mode: Default::default(),
    }
}

pub(crate) fn sql(query: &str, keys: Option<Vec<Vec<Key>>>) -> Job {
    job(Program::Sql { query: query.into(), keys, tables: None })
}

/// The exact sums of a query: (key, units, lanes) a group that was counted.
pub(crate) fn sums(table: &Table, query: &str, keys: Option<Vec<Vec<Key>>>) -> Result<Result<Sums, RunError>, Refusal> {
    let admitted = admit(&sql(query, keys), &policy(), &table.schema, None)?;
    Ok(run(&admitted, &[table.file.try_clone().unwrap()], &[7; 32], Help::default()))
}

pub(crate) fn groups(table: &Table, query: &str) -> Vec<(Vec<Key>, i64, Vec<i128>)> {
    let mut groups: Vec<_> = sums(table, query, None)
        .unwrap()
        .unwrap()
        .groups
        .into_iter()
        .filter(|g| g.units > 0)
        .map(|g| (g.key, g.units, g.lanes))
        .collect();
    groups.sort_by_key(|g| format!("{:?}", g.0));
    groups
}
