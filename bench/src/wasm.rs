//! Cost of a fresh instance for each unit, in microseconds.

use std::{fs::File, sync::Arc};

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use tidegate_protocol::{
    ContentHash,
    job::{Output, Program, Reducer, Split},
};
use tidegate_sandbox::{Attachment, Help, admit, run as run_job, units, wasm::Code};
use wasmtime::component::{Component, Linker};

use crate::{
    measure::best,
    sql::{job, policy},
};

/// Writes a file with `units` units of one row each.
pub(crate) fn file(units: usize) -> anyhow::Result<(tempfile::TempDir, File)> {
    let batch = RecordBatch::try_from_iter([
        ("person", Arc::new((0..units as i64).collect::<Int64Array>()) as ArrayRef),
        ("region", Arc::new((0..units as i64).collect::<Int64Array>()) as ArrayRef),
        ("cell", Arc::new((0..units as i64).collect::<Int64Array>()) as ArrayRef),
        ("spend", Arc::new((0..units).map(|i| i as f64).collect::<Float64Array>()) as ArrayRef),
    ])?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("units.parquet");
    let mut writer = ArrowWriter::try_new(File::create(&path)?, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    let file = File::open(path)?;
    Ok((dir, file))
}

pub(crate) fn run(people: usize) -> anyhow::Result<()> {
    let (_dir, file) = file(people)?;
    let bytes = tidegate_fixtures::guest("heavy")?;
    let output = |name: &str| Output { name: name.into(), lo: 0.0, hi: 1.0, reducer: Reducer::Sum, default: 0.0 };
    let job = job(Program::Wasm {
        infer: None,
        on: None,
        module: ContentHash::of(&bytes),
        select: "SELECT spend FROM dataset".into(),
        params_base64: String::new(),
        data: None,
        split: Split::Unit,
        outputs: vec![output("a"), output("b")],
    });
    let mut policy = policy()?;
    policy.unit.max_units = people as u64;
    let schema = units::schema(&file)?;
    let compile = best(5, || Ok(admit(&job, &policy, &schema, Some(bytes.clone().into()))?))?;
    let code = Code::compile(&bytes, policy.limits.memory_bytes as usize)?;
    let warm = best(20, || Ok(admit(&job, &policy, &schema, Some(Attachment::from(code.clone())))?))?;
    let engine = best(20, || Ok(Code::kind(policy.limits.memory_bytes as usize)?))?;
    let admitted = admit(&job, &policy, &schema, Some(bytes.clone().into()))?;
    let seconds = best(3, || Ok(run_job(&admitted, &[file.try_clone()?], &[0; 32], Help::default())?))?;
    let bare = instantiate(&bytes, people)?;
    let threads = std::thread::available_parallelism()?.get() as f64;
    println!(
        "wasm: {people} units in {seconds:.2} s, {:.2} µs each (read, fresh instance, call, clip, add) on {threads} threads, {:.1} × a bare instantiation on as many; compile and check {:.1} ms, from kept code {:.2} ms, of which the engine {:.2} ms",
        seconds * 1e6 / people as f64,
        seconds * threads / bare,
        compile * 1e3,
        warm * 1e3,
        engine * 1e3
    );
    Ok(())
}

/// Measures how long wasmtime takes to instantiate the component `times` times from its pool, in seconds, and nothing else:
/// without fuel, limits or imports.
fn instantiate(bytes: &[u8], times: usize) -> anyhow::Result<f64> {
    let pooled = || {
        let mut config = wasmtime::Config::new();
        let pool = wasmtime::PoolingAllocationConfig::default();
        config.wasm_component_model(true).allocation_strategy(wasmtime::InstanceAllocationStrategy::Pooling(pool));
        let engine = wasmtime::Engine::new(&config)?;
        let component = Component::from_binary(&engine, bytes)?;
        let mut linker = Linker::<()>::new(&engine);
        linker.define_unknown_imports_as_traps(&component)?;
        linker.instantiate_pre(&component)
    };
    let pre = pooled().map_err(anyhow::Error::msg)?;
    best(3, || {
        for _ in 0..times {
            let mut store = wasmtime::Store::new(pre.engine(), ());
            std::hint::black_box(pre.instantiate(&mut store).map_err(anyhow::Error::msg)?);
        }
        Ok(())
    })
}
