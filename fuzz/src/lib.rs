//! Fuzz targets, a module each: any bytes give an error or an answer, and the module's stated property holds.
//!
//! `make fuzz-smoke` feeds them by coverage ([`targets`](../targets) has the entry points); the tests feed them seeds and some
//! bytes, so that they cannot rot.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod blobs;
pub mod components;
pub mod documents;
pub mod gate;
pub mod listings;
pub mod models;
pub mod notes;
pub mod queries;
pub mod rows;
pub mod sql;
pub mod tables;
pub mod tokens;

use std::{collections::BTreeMap, fs::File, sync::Arc};

use arrow::{
    array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::SchemaRef,
};
use tidegate_protocol::{
    ContentHash, Cost, Job, MicroRho,
    cost::FemtoDelta,
    job::{Mode, Output, Program, Reducer},
    policy::{Policy, PolicyFile},
};

const POLICY: &str = r#"
unit = { column = "person", max_units = 1000, max_rows = 3, max_groups = 2 }
budget = { delta = 1e-6, rho = 2.0, per_buyer_rho = 1.0 }
jobs = { kinds = ["sql", "wasm", "onnx"], min_units = 5, fuel = 1000000, memory_mib = 4, slot = "2s", tick = "1s" }
access = { compute = "granted", replicate = "nobody" }
columns = { x = { lo = -10, hi = 100 }, n = { lo = 0, hi = 10 }, t = {}, b = {} }
"#;

/// Returns the policy of [`table`].
pub(crate) fn policy() -> Policy {
    PolicyFile::parse(POLICY).unwrap().check(|e, _| Some(e)).unwrap()
}

/// Makes a job to run `program`.
pub(crate) fn job(program: Program) -> Job {
    Job {
        version: 1,
        request: "0".repeat(32),
        dataset: ContentHash([0; 32]),
        cost: Cost::dp(MicroRho(1_000_000), FemtoDelta(0)),
        created: 0,
        mode: Mode::Dp,
        weights: BTreeMap::new(),
        program,
    }
}

/// Returns the outputs of the program: a single number.
pub(crate) fn outputs() -> Vec<Output> {
    vec![Output { name: "a".into(), lo: 0.0, hi: 1.0, reducer: Reducer::Sum, default: 0.0 }]
}

/// Makes rows ordered by person, with NULLs, NaN, infinities, extremes and odd texts.
pub(crate) fn table() -> (File, SchemaRef) {
    let n = 8;
    let x = [Some(f64::NAN), Some(f64::INFINITY), Some(-0.0), None, Some(f64::MIN), Some(f64::MAX), Some(1e-320), Some(7.5)];
    let i = [Some(i64::MIN), Some(i64::MAX), Some(0), Some(-1), None, Some(3), Some(1 << 53), Some(10)];
    let t = [Some(""), Some("%_\\"), None, Some("2020-02-30"), Some("\u{0}\u{1F600}"), Some("a"), Some("1e999"), Some("a")];
    let b = [Some(true), None, Some(false), Some(true), Some(true), None, Some(false), Some(false)];
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("person", Arc::new((0..n).map(|i| (i != 4).then_some(i / 2)).collect::<Int64Array>()) as ArrayRef, true),
        ("x", Arc::new(Float64Array::from(x.to_vec())) as ArrayRef, true),
        ("n", Arc::new(Int64Array::from(i.to_vec())) as ArrayRef, true),
        ("t", Arc::new(StringArray::from(t.to_vec())) as ArrayRef, true),
        ("b", Arc::new(BooleanArray::from(b.to_vec())) as ArrayRef, true),
    ])
    .unwrap();
    let mut file = tempfile::tempfile().unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let schema = tidegate_sandbox::units::schema(&file).unwrap();
    (file, schema)
}
