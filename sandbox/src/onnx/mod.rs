//! ONNX models: understood by their graph, run elsewhere, their numbers reduced per unit or block here.
//!
//! The worker never runs a model: [`Inference`] does, in a process of its own. A model that is [proven](prove) not to let rows meet is run over batches of any
//! units' rows; any other is run once for each unit or block, so that it can mix the rows of one only.
//!
//! # A row's place
//! What a kernel rounds may depend on a row's place in its batch. Were that the number of rows before it, one person's coming would move everybody's, and a model made for it could
//! turn the last bit of a number into all of it. So a row's place is a keyed function of its unit and of how many rows of that unit came before it, batches have one size, and
//! whoever else is in them does not matter.

mod admit;
mod apart;
mod batches;
mod beside;
mod checks;
mod close;
mod desk;
mod graph;
mod inspect;
mod lower;
mod outside;
mod proto;
mod prove;
mod run;
mod source;
mod standard;
mod strict;
mod whole;

pub(crate) use beside::Beside;
pub(crate) use desk::Desk;

pub use admit::{Column, Model, Runs, Spec};
pub use inspect::{Inspection, OutputSeen, Verdict, inspect};
pub use outside::inline;
pub use source::Values;

use tidegate_protocol::Refusal;

use crate::RunError;

/// A model as a runtime may read it, written anew from what was understood, for the output of this name; with `rows` in each run where that is fixed.
///
/// # Errors
/// The [`Refusal`] for a buyer.
pub fn rewrite(bytes: &[u8], output: &str, rows: Option<u32>) -> Result<Vec<u8>, Refusal> {
    let graph = graph::Graph::read(bytes, output)?;
    graph.output()?;
    Ok(graph.write(rows))
}

/// The number that stands for a text where [`rewrite`] takes texts; nothing where it takes none.
///
/// # Errors
/// As [`rewrite`].
pub fn number_of(bytes: &[u8], output: &str, text: &str) -> Result<Option<i64>, Refusal> {
    let graph = graph::Graph::read(bytes, output)?;
    Ok(graph.inputs.iter().find_map(|input| input.words.as_ref()).map(|words| words.number(text.as_bytes())))
}

/// Domain and name of each operator that a model may be made of; the domain is empty for standard ones.
pub fn operators() -> impl Iterator<Item = (&'static str, &'static str)> {
    prove::OPERATORS.iter().map(|o| (o.domain, o.name))
}

/// Runs a model over rows that lie in slots of memory. Implemented by `node` over the gpu-runner. Threads may share it, each with slots of its own; one at a time waits.
pub trait Inference: Send + Sync {
    /// How many slots there are, each for as many rows as [`Spec::most`] says.
    fn slots(&self) -> usize;

    /// Writes some rows of an input: row `i` of each of its `columns` for the row at `places[i]`, counted over all slots; none where it is [`NOWHERE`].
    fn write(&self, input: usize, places: &[u32], columns: &[Values<'_>]);

    /// Has the rows of a slot run: so many in each run, one run after the other, each from a multiple of [`Spec::step`] on.
    ///
    /// # Errors
    /// [`RunError::Engine`] when the runner is gone.
    fn submit(&self, slot: usize, runs: &[u32]) -> Result<(), RunError>;

    /// Waits for a slot whose runs are done, in any order.
    ///
    /// # Errors
    /// As [`Inference::submit`].
    fn wait(&self) -> Result<usize, RunError>;

    /// The numbers that came of a slot, in the order of its rows, or of its runs: NaN where a run failed.
    fn read(&self, slot: usize, into: &mut Vec<f32>);
}

/// The place of a row that is not run.
pub const NOWHERE: u32 = u32::MAX;
