//! Separate runs for each unit or block: whatever the model does with rows, they belong to a single unit or block.

use super::{Inference, Model, close::Closer, source::Rows};
use crate::RunError;

/// Maximum number of runs in a slot, after which the slot is submitted and another is filled meanwhile.
const RUNS: usize = 256;

/// Slots being filled with runs, and slots whose runs are under way.
pub(super) struct Apart<'a> {
    inference: &'a dyn Inference,
    /// Rows per slot.
    most: usize,
    /// See [`Spec::step`](super::Spec::step).
    step: usize,
    by_row: bool,
    numbers: usize,
    free: Vec<usize>,
    busy: usize,
    /// Slot being filled.
    filling: Option<usize>,
    /// Number of its rows taken.
    used: usize,
    filled: Vec<Vec<Run>>,
    read: Vec<f32>,
}

/// Rows of a unit or block in a slot.
struct Run {
    rows: usize,
    labels: Vec<f64>,
    whole: bool,
}

impl<'a> Apart<'a> {
    pub(super) fn new(model: &Model, inference: &'a dyn Inference) -> Self {
        let slots = inference.slots();
        Self {
            most: model.spec.most() as usize,
            step: model.spec.step(),
            by_row: model.spec.by_row,
            numbers: model.spec.numbers as usize,
            free: (0..slots).collect(),
            busy: 0,
            filling: None,
            used: 0,
            filled: (0..slots).map(|_| vec![]).collect(),
            read: vec![],
            inference,
        }
    }

    /// Adds the rows of a unit or block, at most as many as a run takes.
    pub(super) fn add(&mut self, rows: &Rows, many: usize, closer: &mut Closer<'_>) -> Result<(), RunError> {
        if many == 0 || many > self.most {
            return closer.fail();
        }
        let slot = match self.filling {
            Some(slot) if self.used + many <= self.most && self.filled[slot].len() < RUNS => slot,
            _ => {
                self.submit()?;
                while self.free.is_empty() {
                    self.wait(closer)?;
                }
                let slot = self.free.pop().ok_or_else(|| RunError::Engine("the runner has no shared-memory buffers".into()))?;
                self.used = 0;
                *self.filling.insert(slot)
            }
        };
        let first = slot * self.most + self.used;
        self.used += many.next_multiple_of(self.step);
        let places: Vec<u32> = (first as u32..(first + many) as u32).collect();
        rows.write(self.inference, &places, 0);
        let labels = rows.label.iter().flatten().copied().take(many).collect();
        let whole = rows.whole.as_ref().is_none_or(|whole| whole.slice(0, many).null_count() == 0);
        self.filled[slot].push(Run { rows: many, labels, whole });
        Ok(())
    }

    fn submit(&mut self) -> Result<(), RunError> {
        let Some(slot) = self.filling.take() else { return Ok(()) };
        self.busy += 1;
        let runs: Vec<u32> = self.filled[slot].iter().map(|run| run.rows as u32).collect();
        self.inference.submit(slot, &runs)
    }

    fn wait(&mut self, closer: &mut Closer<'_>) -> Result<(), RunError> {
        let slot = self.inference.wait()?;
        if slot >= self.filled.len() || self.busy == 0 || self.free.contains(&slot) || self.filling == Some(slot) {
            return Err(RunError::Engine("the runner names a shared-memory buffer that does not exist".into()));
        }
        self.busy -= 1;
        self.inference.read(slot, &mut self.read);
        let mut rest = self.read.as_slice();
        for run in self.filled[slot].drain(..) {
            let mine = if self.by_row { run.rows } else { 1 } * self.numbers;
            let (numbers, others) =
                rest.split_at_checked(mine).ok_or_else(|| RunError::Engine("the runner gave too few numbers".into()))?;
            rest = others;
            if run.whole { closer.close(numbers, &run.labels)? } else { closer.fail()? }
        }
        self.free.push(slot);
        Ok(())
    }

    /// Finishes all runs; no row follows.
    pub(super) fn end(mut self, closer: &mut Closer<'_>) -> Result<(), RunError> {
        self.submit()?;
        while self.busy > 0 {
            self.wait(closer)?;
        }
        Ok(())
    }
}
