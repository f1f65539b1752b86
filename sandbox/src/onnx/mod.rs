//! ONNX models: understood by their graph, run elsewhere, with their numbers reduced per privacy unit or block here.
//!
//! The worker never runs a model: [`Inference`] does, in a process of its own. A model [proven](prove) not to let rows meet is
//! run over batches of any units' rows, after a [trial] of model and runtime over rows that are nobody's. Any other is run once for
//! each unit or block, so that it can only mix rows of the same unit or block.
//!
//! # A row's place
//! A kernel's rounding may depend on a row's place in its batch. If the place were the number of rows before it, one person's
//! arrival would shift everybody's rows, and a model made for this could amplify the last bit of a number into all of it. So a
//! row's place is a keyed function of its unit and of the number of the unit's rows before it, batches have one size, and it does
//! not matter who else is in them.

mod admit;
mod apart;
mod batches;
mod beside;
mod checks;
mod close;
mod desk;
mod graph;
mod inference;
mod inspect;
mod lower;
mod outside;
mod proto;
mod prove;
mod refuse;
mod run;
mod source;
mod standard;
mod strict;
mod trial;
mod whole;

pub(crate) use beside::Beside;
pub(crate) use desk::Desk;

pub use admit::{Column, Model, Runs, Spec};
pub use graph::Intermediates;
pub use inference::{Inference, NOWHERE, Values};
pub use inspect::{Inspection, OutputSeen, Verdict, inspect};
pub use outside::inline;

use tidegate_protocol::Refusal;

/// Rewrites a model for a runtime from the understood parts, for the named output; with `rows` rows in each run if their number
/// is fixed.
///
/// # Errors
/// Returns the [`Refusal`] for a buyer.
pub fn rewrite(bytes: &[u8], output: &str, rows: Option<u32>) -> Result<Vec<u8>, Refusal> {
    let graph = graph::Graph::read(bytes, output)?;
    graph.output()?;
    Ok(graph.write(rows))
}

/// Returns the number for a text in the model made by [`rewrite`], or `None` if the model takes no texts.
///
/// # Errors
/// As for [`rewrite`].
pub fn number_of(bytes: &[u8], output: &str, text: &str) -> Result<Option<i64>, Refusal> {
    let graph = graph::Graph::read(bytes, output)?;
    Ok(graph.inputs.iter().find_map(|input| input.words.as_ref()).map(|words| words.number(text.as_bytes())))
}

/// Returns domain and name of each operator allowed in a model; the domain is empty for standard operators.
pub fn operators() -> impl Iterator<Item = (&'static str, &'static str)> {
    prove::OPERATORS.iter().map(|o| (o.domain, o.name))
}
