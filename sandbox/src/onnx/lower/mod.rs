//! A model brought to fewer forms before it is followed: what was not asked for goes, older operators are written as newer ones, texts become numbers.
//!
//! What a runtime is handed is what was followed, so nothing that is done here has to be trusted. It has to give what the model as it came gives, which
//! `sandbox/tests/exported.rs` holds against the runtime itself.

mod asked;
mod compared;
mod distances;
mod make;
mod texts;
mod upgrade;

pub(super) use asked::{ask, prune};
pub(in crate::onnx) use texts::Words;

use std::sync::Arc;

use tidegate_protocol::Refusal;

use super::proto::{GraphProto, ModelProto};

/// Rewrites what is left of a graph after [`prune`]; returns the texts that it knows, where it takes any.
///
/// # Errors
/// A [`Refusal`] naming the operator.
pub(super) fn lower(
    model: &mut ModelProto,
    graph: &mut GraphProto,
    texts: &[String],
    output: &str,
) -> Result<Option<Arc<Words>>, Refusal> {
    let mut fresh = make::Fresh::of(graph);
    upgrade::upgrade(model, graph, &mut fresh)?;
    let words = texts::lower(graph, texts, output, &mut fresh)?;
    distances::lower(graph, &mut fresh);
    compared::lower(graph, &mut fresh)?;
    Ok(words)
}
