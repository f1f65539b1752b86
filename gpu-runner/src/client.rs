//! The side that asks: the worker, over two pipes.

use std::{
    io::{BufReader, BufWriter, Read, Write},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float32Array, RecordBatch, UInt32Array},
    datatypes::Float32Type,
    ipc::{reader::StreamReader, writer::StreamWriter},
};

use crate::{
    InferenceFailed, failed,
    wire::{Load, Loaded, features_schema, read, write},
};

/// A loaded model at the other end of two pipes.
pub struct Client<W: Write, R: Read> {
    to: StreamWriter<BufWriter<W>>,
    /// Opened with the first scores: Arrow's reader waits for the stream's schema.
    from: Source<R>,
    features: u32,
}

enum Source<R: Read> {
    Closed,
    Waiting(R),
    Open(Box<StreamReader<BufReader<R>>>),
}

impl<W: Write, R: Read> std::fmt::Debug for Client<W, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({} features)", self.features)
    }
}

impl<W: Write, R: Read> Client<W, R> {
    /// Sends the model and waits until it is loaded.
    ///
    /// # Errors
    /// [`InferenceFailed`] when the runtime refuses it or the runner dies.
    pub fn load(mut to: W, mut from: R, model: &[u8], features: u32, output: &str, index: u32) -> Result<Self, InferenceFailed> {
        write(&mut to, &Load { model: model.to_vec(), features, output: output.to_owned(), index })?;
        if let Loaded::Refused(why) = read(&mut from)? {
            return Err(InferenceFailed(why));
        }
        let to = StreamWriter::try_new_buffered(to, &features_schema(features)).map_err(failed)?;
        Ok(Self { to, from: Source::Waiting(from), features })
    }

    /// Scores rows: `columns` are the features, `runs` says how many rows each run has. One score a row; NaN where a run failed.
    ///
    /// # Errors
    /// [`InferenceFailed`] when the runner dies or answers something else.
    pub fn score(&mut self, columns: &[Float32Array], runs: &[u32]) -> Result<Vec<f32>, InferenceFailed> {
        let run: UInt32Array = (0u32..).zip(runs).flat_map(|(i, n)| std::iter::repeat_n(i, *n as usize)).collect();
        let rows = run.len();
        let columns = std::iter::once(Arc::new(run) as ArrayRef).chain(columns.iter().map(|c| Arc::new(c.clone()) as ArrayRef));
        let batch = RecordBatch::try_new(Arc::new(features_schema(self.features)), columns.collect()).map_err(failed)?;
        self.to.write(&batch).and_then(|()| self.to.flush()).map_err(failed)?;
        self.from = match std::mem::replace(&mut self.from, Source::Closed) {
            Source::Waiting(from) => Source::Open(Box::new(StreamReader::try_new(BufReader::new(from), None).map_err(failed)?)),
            other => other,
        };
        let Source::Open(from) = &mut self.from else { return Err(failed("the runner is gone")) };
        let scores = from.next().ok_or_else(|| failed("the runner ended"))?.map_err(failed)?;
        let scores = scores.column_by_name("score").and_then(|c| c.as_primitive_opt::<Float32Type>().cloned());
        match scores {
            Some(scores) if scores.len() == rows && scores.null_count() == 0 => Ok(scores.values().to_vec()),
            _ => Err(failed("the runner answered another number of rows")),
        }
    }
}
