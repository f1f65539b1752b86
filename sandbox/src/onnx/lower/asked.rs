//! Restriction of a graph to the requested output: other nodes are ignored, and no runtime sees them.

use std::collections::HashSet;

use super::make;
use crate::onnx::proto::GraphProto;

/// Returns the tensor behind an output.
///
/// ZipMap attaches names to the columns of a tensor and makes a list of maps, which is no tensor; its input is used instead.
pub(in crate::onnx) fn ask<'a>(graph: &'a GraphProto, output: &'a str) -> &'a str {
    let from = graph.node.iter().find(|node| node.output.iter().any(|name| name == output));
    match from {
        Some(node) if make::op(node) == ("ZipMap", true) => node.input.first().map_or(output, String::as_str),
        _ => output,
    }
}

/// Removes all nodes and tensors not needed for `asked`.
pub(in crate::onnx) fn prune(graph: &mut GraphProto, asked: &str) {
    let mut needed: HashSet<String> = HashSet::from([asked.to_owned()]);
    let mut kept = vec![false; graph.node.len()];
    // A node comes after its inputs; any other order is found missing later, and refused.
    for (node, kept) in graph.node.iter().zip(&mut kept).rev() {
        if node.output.iter().any(|name| !name.is_empty() && needed.contains(name)) {
            *kept = true;
            needed.extend(node.input.iter().filter(|name| !name.is_empty()).cloned());
        }
    }
    let mut kept = kept.into_iter();
    graph.node.retain(|_| kept.next().unwrap_or_default());
    graph.initializer.retain(|tensor| tensor.name.as_ref().is_none_or(|name| needed.contains(name)));
    graph.value_info.clear();
}
