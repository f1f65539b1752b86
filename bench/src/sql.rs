//! Governed GROUP BY against plain DataFusion on the same file.

use std::{fs::File, sync::Arc};

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use tidegate_protocol::{
    ContentHash, Cost, Job, MicroRho,
    cost::FemtoDelta,
    job::Program,
    policy::{Policy, PolicyFile},
};
use tidegate_sandbox::{Help, admit, run_into, sql::Spill, units};

use crate::measure::{best, forget_peak, in_turn, peak_mib, write_rows};

/// Memory for groups in bytes, as in a worker.
const ROOM: usize = 256 << 20;
/// Number of rows per unit.
const ROWS_A_UNIT: usize = 5;

pub(crate) fn policy() -> anyhow::Result<Policy> {
    let text = r#"
        [unit]
        column = "person"
        max_units = 100000000
        max_rows = 5
        max_groups = 5
        [budget]
        delta = 1e-9
        rho = 100.0
        per_buyer_rho = 100.0
        [jobs]
        kinds = ["sql", "wasm", "onnx"]
        min_units = 10
        fuel = 1000000
        memory_mib = 16
        slot = "3000s"
        tick = "1s"
        [access]
        compute = "granted"
        replicate = "nobody"
        [columns]
        spend = { lo = 0, hi = 1000 }
        region = { chars = 16 }
        cell = { chars = 16 }
        [sql]
        rows = 100000000
    "#;
    Ok(PolicyFile::parse(text)?.check(|e, _| Some(e))?)
}

pub(crate) fn job(program: Program) -> Job {
    let cost = Cost::dp(MicroRho(1_000_000), FemtoDelta(1000));
    Job {
        version: 1,
        request: "0".repeat(32),
        dataset: ContentHash([0; 32]),
        cost,
        created: 0,
        program,
        weights: Default::default(),
        mode: Default::default(),
    }
}

/// Mixes a number: a cheap stream of random-looking numbers.
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn generate(path: &std::path::Path, rows: usize) -> anyhow::Result<()> {
    write_rows(path, rows, |range| {
        RecordBatch::try_from_iter([
            ("person", Arc::new(range.clone().map(|i| (i / ROWS_A_UNIT) as i64).collect::<Int64Array>()) as ArrayRef),
            ("region", Arc::new(range.clone().map(|i| (mix(i as u64) % 20) as i64).collect::<Int64Array>()) as ArrayRef),
            ("cell", Arc::new(range.clone().map(|i| (mix(i as u64) % 100_000) as i64).collect::<Int64Array>()) as ArrayRef),
            ("spend", Arc::new(range.map(|i| (mix(!i as u64) % 100_000) as f64 / 100.0).collect::<Float64Array>()) as ArrayRef),
        ])
    })
}

/// Plain DataFusion as the floor.
pub(crate) struct Plain {
    runtime: tokio::runtime::Runtime,
    context: SessionContext,
}

impl Plain {
    /// Opens the file at `path`.
    pub(crate) fn new(path: &std::path::Path) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let context = SessionContext::new();
        runtime.block_on(context.register_parquet("dataset", &*path.to_string_lossy(), ParquetReadOptions::default()))?;
        Ok(Self { runtime, context })
    }

    /// Runs `query`.
    pub(crate) fn run(&self, query: &str) -> anyhow::Result<Vec<RecordBatch>> {
        self.runtime.block_on(async { Ok(self.context.sql(query).await?.collect().await?) })
    }
}

pub(crate) fn run(rows: usize) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("rows.parquet");
    generate(&path, rows)?;
    let policy = policy()?;
    let file = File::open(&path)?;
    let schema = units::schema(&file)?;
    let plain = Plain::new(&path)?;
    for (key, groups) in [("region", "20"), ("cell", "100 000"), ("cell * 100000 + spend", "about as many as rows")] {
        let aggregates = "COUNT(*) AS n, SUM(spend) AS s, AVG(spend) AS m";
        let query = format!("SELECT {key}, {aggregates} FROM dataset GROUP BY {key}");
        forget_peak();
        let before = peak_mib();
        let job = job(Program::Sql { query: query.clone(), keys: None, tables: None });
        let admitted = admit(&job, &policy, &schema, None)?;
        let governed = || {
            let spill = Spill::new(tempfile::tempfile()?, ROOM);
            let help = Help { spill: Some(&spill), ..Help::default() };
            Ok(run_into(&admitted, &[file.try_clone()?], &[0; 32], help, &mut |groups| {
                std::hint::black_box(groups);
                Ok(())
            })?)
        };
        best(1, governed)?;
        let memory = peak_mib();
        let (governed, floor) = in_turn(5, governed, || plain.run(&query))?;
        let by_hand = format!(
            "SELECT k, COUNT(*), SUM(n), SUM(s) FROM (SELECT person, {key} AS k, COUNT(*) AS n, SUM(spend) AS s FROM dataset GROUP BY person, {key}) GROUP BY k"
        );
        let by_hand = best(2, || plain.run(&by_hand))?;
        println!(
            "sql: GROUP BY {groups} over {rows} rows: governed {governed:.3} s, DataFusion {floor:.3} s, two-level by hand {by_hand:.3} s: \
             ratio {:.2} to plain, {:.2} to two-level; peak memory {memory:.0} MiB (before {before:.0})",
            governed / floor,
            governed / by_hand
        );
        let planning = best(20, || Ok(admit(&job, &policy, &schema, None)?))?;
        println!("sql: planning and checking {:.2} ms", planning * 1e3);
    }
    joined(&file, &policy, &plain, rows)
}

/// Measures a join on the unit: each unit's rows with an aggregate of its own rows.
fn joined(file: &File, policy: &Policy, plain: &Plain, rows: usize) -> anyhow::Result<()> {
    let query = "SELECT a.region, COUNT(*) AS n, SUM(b.top) AS s FROM dataset a JOIN \
                 (SELECT person, MAX(spend) AS top FROM dataset GROUP BY person) b ON a.person = b.person GROUP BY a.region";
    let job = job(Program::Sql { query: query.into(), keys: None, tables: None });
    let admitted = admit(&job, policy, &units::schema(file)?, None)?;
    let governed = || {
        Ok(run_into(&admitted, &[file.try_clone()?], &[0; 32], Help::default(), &mut |groups| {
            std::hint::black_box(groups);
            Ok(())
        })?)
    };
    let (governed, floor) = in_turn(3, governed, || plain.run(query))?;
    println!(
        "sql: {rows} rows joined with each unit's largest: governed {governed:.3} s, DataFusion {floor:.3} s: ratio {:.2}",
        governed / floor
    );
    Ok(())
}
