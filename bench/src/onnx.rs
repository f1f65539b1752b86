//! From rows in Parquet to a sum, including worker, runner, process confinement and model loading, against ONNX Runtime called
//! directly in this process.
//!
//! The direct call uses the same rows and as many threads, with the same batch and with the best batch for it.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, BinaryArray, Float32Array, Int64Array, RecordBatch},
    datatypes::Float32Type,
};
use ort::{
    environment::Environment,
    session::{Session, SessionInputValue, builder::GraphOptimizationLevel},
    value::TensorRef,
};
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};
use tidegate_gpu_runner::library;
use tidegate_node::worker::{Over, Work, Workers};
use tidegate_protocol::{
    ContentHash,
    device::Place,
    job::{Output, Program, Reducer, RowReduce, Split},
    policy::ColumnRule,
};
use tidegate_sandbox::{admit, onnx::Runs, units};

use crate::{
    measure::{best, in_turn},
    networks,
    sql::{job, policy},
};

struct Model {
    name: &'static str,
    onnx: Vec<u8>,
    output: &'static str,
    rows: usize,
    /// Number of values and size of each in bytes (four or eight), for rows of bytes; `None` for columns of floats.
    bytes: Option<(usize, usize)>,
}

pub(crate) fn run(rows: usize) -> anyhow::Result<()> {
    if !library::is_quiet() {
        let mut quiet = std::process::Command::new(std::env::current_exe()?);
        let status = quiet.arg("onnx").env(library::QUIET.0, library::QUIET.1).status()?;
        anyhow::ensure!(status.success(), "the benchmark of models failed");
        return Ok(());
    }
    let Some(library) = library::find() else {
        println!("onnx: SKIPPED, no ONNX Runtime here. {}", library::HOW_TO);
        anyhow::ensure!(std::env::var_os("REQUIRE_ORT").is_none(), "ONNX Runtime is required");
        return Ok(());
    };
    let tidegate = std::env::current_exe()?.with_file_name("tidegate");
    anyhow::ensure!(tidegate.exists(), "{} is missing: `cargo build --release -p tidegate-cli` first", tidegate.display());
    let environment = ort::init_from(&library)?.with_telemetry(false).build()?;
    let mut models = vec![
        Model { name: "MLP 8-64-64-1", onnx: networks::mlp().bytes(), output: "y2", rows, bytes: None },
        Model { name: "the same, unproven", onnx: networks::unproven().bytes(), output: "y", rows: rows / 5, bytes: None },
        Model { name: "100 trees of depth 6", onnx: networks::trees().bytes(), output: "y", rows, bytes: None },
        Model {
            name: "ResNet-18's layers",
            onnx: networks::resnet().bytes(),
            output: "y",
            rows: rows / 1000,
            bytes: Some((3 * 224 * 224, 4)),
        },
        Model {
            name: "6-layer encoder",
            onnx: networks::encoder().bytes(),
            output: "y",
            rows: rows / 1000,
            bytes: Some((128, 8)),
        },
    ];
    match std::fs::read(networks::MINILM) {
        Ok(onnx) => models.push(Model { name: "MiniLM", onnx, output: "y", rows: rows / 2000, bytes: Some((128, 8)) }),
        Err(e) => println!("onnx: MiniLM SKIPPED, {}: {e}. bench/minilm.py makes it", networks::MINILM),
    }
    let only = std::env::var("TIDEGATE_BENCH_MODEL").unwrap_or_default();
    starts(&tidegate)?;
    for model in models.into_iter().filter(|model| model.name.contains(&only)) {
        measure(&environment, &tidegate, &model)?;
    }
    Ok(())
}

/// Measures a runner's time to load a small model: with a waiting runner, and without.
fn starts(tidegate: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let _inside = runtime.enter();
    let model = tidegate_gpu_runner::Model {
        bytes: tidegate_sandbox::onnx::rewrite(&networks::mlp().bytes(), "y2", Some(1))?,
        inputs: vec![tidegate_gpu_runner::Input { name: "x".into(), elem: 1, size: 4, row: vec![8] }],
        output: "y2".into(),
        numbers: 1,
        by_row: true,
        rows: 1,
        batched: true,
        step: 1,
        working: 1 << 20,
        threads: 1,
        cuda: None,
        unwalled: false,
        intermediates: None,
    };
    let cold = best(5, || Ok(Workers::of(tidegate)?.infer(&model)?))?;
    let workers = Workers::of(tidegate)?;
    let mut warm = f64::INFINITY;
    for _ in 0..5 {
        workers.refill_runners(Place::Cpu);
        std::thread::sleep(Duration::from_millis(500));
        warm = warm.min(best(1, || Ok(workers.infer(&model)?))?);
    }
    println!("onnx: a runner with a small model: {:.1} ms where one waits, {:.0} ms where none does", warm * 1e3, cold * 1e3);
    Ok(())
}

/// Writes rows, one per unit.
fn write(model: &Model) -> anyhow::Result<(tempfile::TempDir, PathBuf)> {
    let person: ArrayRef = Arc::new((0..model.rows as i64).collect::<Int64Array>());
    let mut columns = vec![("person".to_owned(), person)];
    match model.bytes {
        None => {
            for f in 0..8 {
                let values = tidegate_fixtures::models::weights(model.rows, f + 1, 2.0);
                columns.push((format!("f{f}"), Arc::new(Float32Array::from(values))));
            }
        }
        Some((width, size)) => {
            let row = |i: usize| -> Vec<u8> {
                let values = tidegate_fixtures::models::weights(width, i as u64 + 1, 1.0);
                let word = |v: f32| ((v + 0.5) * 2999.0) as i64;
                values
                    .into_iter()
                    .flat_map(|v| if size == 4 { v.to_le_bytes().to_vec() } else { word(v).to_le_bytes().to_vec() })
                    .collect()
            };
            columns.push(("f0".to_owned(), Arc::new((0..model.rows).map(|i| Some(row(i))).collect::<BinaryArray>())));
        }
    }
    let batch = RecordBatch::try_from_iter(columns)?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("rows.parquet");
    let mut writer = ArrowWriter::try_new(File::create(&path)?, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    Ok((dir, path))
}

fn measure(environment: &Environment, tidegate: &Path, model: &Model) -> anyhow::Result<()> {
    let (_dir, path) = write(model)?;
    let bytes = model.onnx.clone();
    let names: Vec<String> = (0..if model.bytes.is_some() { 1 } else { 8 }).map(|f| format!("f{f}")).collect();
    let mut policy = policy()?;
    policy.unit.max_units = model.rows as u64;
    policy.models.work_per_ms = u64::MAX >> 32;
    for name in &names {
        policy.columns.insert(name.clone(), ColumnRule::default());
    }
    let job = job(Program::Onnx {
        on: None,
        model: ContentHash::of(&bytes),
        select: format!("SELECT {} FROM dataset", names.join(", ")),
        label: None,
        output: model.output.into(),
        index: 0,
        reduce: RowReduce::Last,
        split: Split::Unit,
        outputs: vec![Output { name: "score".into(), lo: 0.0, hi: 1.0, reducer: Reducer::Sum, default: 0.0 }],
    });
    let schema = units::schema(&File::open(&path)?)?;
    let admitted = admit(&job, &policy, &schema, Some(bytes.clone().into()))?;
    let batch = match admitted.model().context("a model")?.spec().runs {
        Runs::Batches(rows) => rows as usize,
        // One run per unit.
        Runs::Apart(_) => 1,
    };
    let work = Work { job, policy, schema, attachment: Some(bytes.clone().into()), prf: [7; 32], place: Place::Cpu };
    let runtime = tokio::runtime::Runtime::new()?;
    let _inside = runtime.enter();
    let workers = Workers::of(tidegate)?;
    let threads = std::thread::available_parallelism()?.get();
    let ours = || {
        runtime.block_on(async {
            let (each, mut groups) = tokio::sync::mpsc::channel(4);
            let deadline = SystemTime::now() + Duration::from_secs(600);
            let (files, scratch) = ([path.clone()], std::env::temp_dir());
            let over = Over { files: &files, scratch: &scratch, plan: admitted.plan(), least_units: 1, deadline, limit: 1 };
            let take = async { while groups.recv().await.is_some() {} };
            let (ran, ()) = tokio::join!(workers.run(&work, &over, each), take);
            Ok(ran?)
        })
    };
    // Ours loads the model in each run, so the floor does too.
    let session = || -> anyhow::Result<Session> {
        Ok(Session::builder(environment)?
            .with_intra_threads(threads)
            .map_err(|e| anyhow::anyhow!("{e}"))?
            .with_optimization_level(GraphOptimizationLevel::Level3)
            .map_err(|e| anyhow::anyhow!("{e}"))?
            .commit_from_memory(&bytes)?)
    };
    // The first run is for one-time work.
    ours()?;
    let mut said = String::new();
    let mut floors = vec![batch];
    if (2..4096).contains(&batch) && model.bytes.is_none() {
        floors.push(4096);
    }
    for size in floors {
        let times = if model.bytes.is_some() { 2 } else { 5 };
        let (through, direct) = in_turn(times, ours, || direct(&mut session()?, model, &path, size))?;
        let rate = |seconds: f64| model.rows as f64 / seconds;
        said += &format!(
            "; {:.0} rows/s, directly in batches of {size} {:.0}: {:.2} ×",
            rate(through),
            rate(direct),
            direct / through
        );
    }
    println!("onnx: {}, {} rows, {threads} threads, batches of {batch}{said}", model.name, model.rows);
    Ok(())
}

fn direct(session: &mut Session, model: &Model, path: &Path, size: usize) -> anyhow::Result<f64> {
    let mut sum = 0.0;
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?.with_batch_size(size.max(1)).build()?;
    for batch in reader {
        let batch = batch?;
        let rows = batch.num_rows();
        let (floats, words);
        let input: SessionInputValue<'_> = match model.bytes {
            None => {
                let mut values = vec![0f32; rows * 8];
                for f in 0..8 {
                    let column = batch.column(f + 1).as_primitive::<Float32Type>();
                    column.values().iter().enumerate().for_each(|(row, v)| values[row * 8 + f] = *v);
                }
                floats = values;
                TensorRef::from_array_view(([rows, 8], floats.as_slice()))?.into()
            }
            Some((width, size)) => {
                let column = batch.column(1).as_binary::<i32>();
                let rows_of = |row: usize| column.value(row).chunks_exact(size);
                if size == 4 {
                    floats = (0..column.len())
                        .flat_map(rows_of)
                        .map(|b| b.try_into().map_or(0.0, f32::from_le_bytes))
                        .collect::<Vec<_>>();
                    TensorRef::from_array_view((vec![rows, 3, 224, width / 3 / 224], floats.as_slice()))?.into()
                } else {
                    words = (0..column.len())
                        .flat_map(rows_of)
                        .map(|b| b.try_into().map_or(0, i64::from_le_bytes))
                        .collect::<Vec<_>>();
                    TensorRef::from_array_view((vec![rows, width], words.as_slice()))?.into()
                }
            }
        };
        let outputs = session.run(vec![("x", input)])?;
        sum += outputs[model.output].try_extract_tensor::<f32>()?.1.iter().map(|v| f64::from(*v)).sum::<f64>();
    }
    Ok(sum)
}
