//! Rows of a unit → scores → one number a unit → the gate.

use std::fs::File;

use arrow::{
    array::{Array, AsArray, Float32Array},
    compute::{cast, concat},
    datatypes::{DataType, Float32Type},
};
use tidegate_gate::{Plan, Sums};
use tidegate_protocol::job::{Output, RowReduce};

use super::{Inference, Model};
use crate::{RunError, units::each_unit};

/// Rows sent to the runner at a time.
const BATCH_ROWS: usize = 8192;

impl Model {
    /// Scores each unit's rows and hands the reduced score to the gate. A NULL feature is sent as NaN; a score of NaN, or a failed run, counts as
    /// the public default.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn run(&self, plan: &Plan, files: &[File], inference: &mut dyn Inference) -> Result<Sums, RunError> {
        let defaults = Output::defaults(&self.outputs);
        let mut group = plan.group(vec![]);
        let mut waiting = Waiting::default();
        let mut flush = |waiting: &mut Waiting| -> Result<(), RunError> {
            let scores = waiting.score(inference)?;
            let mut rest = scores.as_slice();
            for n in waiting.runs.drain(..) {
                let (unit, tail) = rest.split_at_checked(n as usize).ok_or_else(|| RunError::Engine("too few scores".into()))?;
                rest = tail;
                let value = reduce(unit, self.reduce);
                plan.close_vector(&mut group, &vec![value; self.outputs.len()], &defaults)?;
            }
            Ok(())
        };
        each_unit(files, &self.select, |_, batch| {
            let columns =
                batch.columns().iter().map(|c| Ok(cast(c, &DataType::Float32)?)).collect::<Result<Vec<_>, RunError>>()?;
            waiting.push(columns, batch.num_rows());
            if waiting.rows >= BATCH_ROWS { flush(&mut waiting) } else { Ok(()) }
        })?;
        if waiting.rows > 0 {
            flush(&mut waiting)?;
        }
        Ok(Sums { groups: vec![group] })
    }
}

#[derive(Default)]
struct Waiting {
    parts: Vec<Vec<arrow::array::ArrayRef>>,
    runs: Vec<u32>,
    rows: usize,
}

impl Waiting {
    fn push(&mut self, columns: Vec<arrow::array::ArrayRef>, rows: usize) {
        self.parts.resize_with(columns.len(), Vec::new);
        for (parts, column) in self.parts.iter_mut().zip(columns) {
            parts.push(column);
        }
        self.runs.push(rows as u32);
        self.rows += rows;
    }

    fn score(&mut self, inference: &mut dyn Inference) -> Result<Vec<f32>, RunError> {
        let features = self
            .parts
            .iter()
            .map(|parts| {
                let all = concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>())?;
                let all = all.as_primitive::<Float32Type>();
                Ok(if all.null_count() == 0 {
                    all.clone()
                } else {
                    all.iter().map(|v| v.unwrap_or(f32::NAN)).collect::<Float32Array>()
                })
            })
            .collect::<Result<Vec<_>, RunError>>()?;
        let scores = inference.score(&features, &self.runs)?;
        self.parts.clear();
        self.rows = 0;
        Ok(scores)
    }
}

/// One number for a unit. NaN where any score is.
fn reduce(scores: &[f32], how: RowReduce) -> f64 {
    let values = scores.iter().map(|s| f64::from(*s));
    if scores.is_empty() || scores.iter().any(|s| s.is_nan()) {
        return f64::NAN;
    }
    match how {
        RowReduce::Mean => values.sum::<f64>() / scores.len() as f64,
        RowReduce::Sum => values.sum(),
        RowReduce::Max => values.fold(f64::NEG_INFINITY, f64::max),
        RowReduce::Last => scores.last().map_or(f64::NAN, |s| f64::from(*s)),
    }
}
