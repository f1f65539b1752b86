//! Lowering of a model to fewer forms before its rows are followed: unneeded parts are removed, older operators become newer
//! ones, and texts become numbers.
//!
//! The runtime gets exactly the graph that was followed, so nothing done here has to be trusted. The result has to compute the
//! same as the model as sent, which `sandbox/tests/exported.rs` checks against the runtime itself.

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

/// Rewrites a graph after [`prune`]; returns the texts named in the graph, if there are any.
///
/// # Errors
/// Returns a [`Refusal`] naming the operator.
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
