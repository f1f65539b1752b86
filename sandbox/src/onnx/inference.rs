//! Runner of a model, and the values given to it.

use arrow::array::BinaryArray;

use crate::RunError;

/// Runner of a model over rows in memory slots, implemented by `node` over the gpu-runner.
///
/// Threads may share it, each with slots of its own; one at a time waits.
pub trait Inference: Send + Sync {
    /// Returns the number of slots, each for as many rows as [`Spec::most`](super::Spec::most) says.
    fn slots(&self) -> usize;

    /// Writes rows of an input.
    ///
    /// Row `i` of each of its `columns` goes to place `places[i]`, counted over all slots, or nowhere if this is [`NOWHERE`].
    fn write(&self, input: usize, places: &[u32], columns: &[Values<'_>]);

    /// Submits a slot's rows to be run.
    ///
    /// `runs` holds the number of rows in each run. Runs follow one another, each starting at a multiple of
    /// [`Spec::step`](super::Spec::step).
    ///
    /// # Errors
    /// Returns [`RunError::Engine`] if the runner is gone.
    fn submit(&self, slot: usize, runs: &[u32]) -> Result<(), RunError>;

    /// Waits for a slot whose runs are done, in any order.
    ///
    /// # Errors
    /// As for [`Inference::submit`].
    fn wait(&self) -> Result<usize, RunError>;

    /// Reads the numbers of a slot, in the order of its rows or runs, with NaN where a run failed.
    ///
    /// If a batch of several units' rows fails, only the rows that fail alone have NaN.
    fn read(&self, slot: usize, into: &mut Vec<f32>);
}

/// Place of a row to be left out of a run.
pub const NOWHERE: u32 = u32::MAX;

/// Values of a column in a model's type.
#[derive(Debug)]
pub enum Values<'a> {
    /// Floats of four bytes.
    F32(&'a [f32]),
    /// Floats of eight bytes.
    F64(&'a [f64]),
    /// Integers of four bytes.
    I32(&'a [i32]),
    /// Integers of eight bytes.
    I64(&'a [i64]),
    /// Integers of one byte, or truth values.
    U8(&'a [u8]),
    /// All values of each row of an input, as in memory, starting with this row.
    Rows(&'a BinaryArray, usize),
}

impl Values<'_> {
    /// Returns the values of the rows from `row` on.
    pub(super) fn from(self, row: usize) -> Self {
        match self {
            Self::F32(v) => Self::F32(&v[row..]),
            Self::F64(v) => Self::F64(&v[row..]),
            Self::I32(v) => Self::I32(&v[row..]),
            Self::I64(v) => Self::I64(&v[row..]),
            Self::U8(v) => Self::U8(&v[row..]),
            Self::Rows(v, first) => Self::Rows(v, first + row),
        }
    }
}
