//! The runner: loads one model, raises its walls, scores until its input ends.

use std::{
    io::{BufReader, BufWriter, Read, Write},
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{AsArray, Float32Array, RecordBatch},
    datatypes::{Float32Type, UInt32Type},
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use ort::{
    session::{Session, builder::GraphOptimizationLevel},
    value::Tensor,
};
use tidegate_lockdown::{Walls, enter};

use crate::{
    InferenceFailed, failed,
    library::{QUIET, is_quiet},
    wire::{Load, Loaded, read, scores_schema, write},
};

/// Private memory of the runner in bytes: the runtime, a model and its arena.
const MEMORY: u64 = 8 << 30;
/// Processor seconds of a runner.
const CPU_SECONDS: u64 = 3600;

/// Serves one model over `from` and `to` with the runtime at `library`. Returns when `from` ends.
///
/// # Errors
/// [`InferenceFailed`] when the pipes break; a model the runtime refuses is answered, not an error.
pub fn main(library: &Path, mut from: impl Read, mut to: impl Write) -> Result<(), InferenceFailed> {
    if !is_quiet() {
        return Err(failed(format!("start it with {}={}: the runtime must not report to anybody", QUIET.0, QUIET.1)));
    }
    let environment = ort::init_from(library).map_err(failed)?.with_telemetry(false).build().map_err(failed)?;
    let load: Load = read(&mut from)?;
    // The runtime is loaded and has its threads: from here on nothing can be opened, also not by the model.
    enter(&Walls { memory_bytes: MEMORY, cpu_seconds: CPU_SECONDS, file_bytes: 0 }).map_err(failed)?;
    let mut session = match open(&environment, &load) {
        Ok(session) => session,
        Err(e) => return write(&mut to, &Loaded::Refused(e.to_string())),
    };
    write(&mut to, &Loaded::Ready)?;
    let reader = StreamReader::try_new(BufReader::new(from), None).map_err(failed)?;
    let schema = Arc::new(scores_schema());
    let mut writer = StreamWriter::try_new(BufWriter::new(to), &schema).map_err(failed)?;
    for batch in reader {
        let scores = score(&mut session, &load, &batch.map_err(failed)?)?;
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(Float32Array::from(scores))]).map_err(failed)?;
        writer.write(&batch).and_then(|()| writer.flush()).map_err(failed)?;
    }
    writer.finish().map_err(failed)
}

fn open(environment: &ort::environment::Environment, load: &Load) -> Result<Session, InferenceFailed> {
    let session = Session::builder(environment)
        .map_err(failed)?
        .with_intra_threads(1)
        .map_err(failed)?
        .with_optimization_level(GraphOptimizationLevel::Level3)
        .map_err(failed)?
        .with_deterministic_compute(true)
        .map_err(failed)?
        .commit_from_memory(&load.model)
        .map_err(failed)?;
    if session.inputs().len() != 1 {
        return Err(failed(format!("the model has {} inputs, one is taken", session.inputs().len())));
    }
    if !session.outputs().iter().any(|o| o.name() == load.output) {
        return Err(failed("the model has no output of that name"));
    }
    Ok(session)
}

/// One session run for each run of rows.
fn score(session: &mut Session, load: &Load, batch: &RecordBatch) -> Result<Vec<f32>, InferenceFailed> {
    let features = load.features as usize;
    if batch.num_columns() != features + 1 {
        return Err(failed("a batch with another number of features"));
    }
    let runs = batch.column(0).as_primitive_opt::<UInt32Type>().ok_or_else(|| failed("a batch without runs"))?;
    let columns = (1..=features)
        .map(|i| batch.column(i).as_primitive_opt::<Float32Type>().ok_or_else(|| failed("a feature of another type")))
        .collect::<Result<Vec<_>, _>>()?;
    let mut scores = Vec::with_capacity(runs.len());
    let mut start = 0;
    while start < runs.len() {
        let mut end = start + 1;
        while end < runs.len() && runs.value(end) == runs.value(start) {
            end += 1;
        }
        let rows = end - start;
        let mut values = Vec::with_capacity(rows * features);
        for row in start..end {
            values.extend(columns.iter().map(|c| c.value(row)));
        }
        match one_run(session, load, rows, values) {
            Ok(run) => scores.extend(run),
            // The buyer must not see which unit failed: NaN becomes the public default.
            Err(_) => scores.extend(std::iter::repeat_n(f32::NAN, rows)),
        }
        start = end;
    }
    Ok(scores)
}

fn one_run(session: &mut Session, load: &Load, rows: usize, values: Vec<f32>) -> Result<Vec<f32>, InferenceFailed> {
    let input = Tensor::from_array(([rows, load.features as usize], values)).map_err(failed)?;
    let outputs = session.run(ort::inputs![input]).map_err(failed)?;
    let output = outputs.get(load.output.as_str()).ok_or_else(|| failed("no such output"))?;
    let (shape, data) = output.try_extract_tensor::<f32>().map_err(failed)?;
    let shape: Vec<usize> = shape.iter().map(|d| *d as usize).collect();
    let (width, index) = match shape.as_slice() {
        [n] if *n == rows => (1, 0),
        [n, k] if *n == rows && (load.index as usize) < *k => (*k, load.index as usize),
        _ => return Err(failed("the output is not one row an input row")),
    };
    Ok((0..rows).map(|row| data[row * width + index]).collect())
}
