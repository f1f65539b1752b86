//! Rewriting of OneHotEncoder and Binarizer as comparisons.
//!
//! A runtime's own OneHotEncoder searches a table, which takes as long as the model's author wants, and both operators abort the
//! run of all rows if a single row has a value that they do not accept.

use std::collections::HashSet;

use tidegate_protocol::Refusal;

use super::make::{self, Fresh};
use crate::onnx::{
    graph::refuse,
    proto::{GraphProto, NodeProto, TensorProto},
    prove,
};

/// Rewrites each of them. A value in no category becomes zeros, whatever `zeros` says; NaN is above no threshold.
pub(super) fn lower(graph: &mut GraphProto, fresh: &mut Fresh) -> Result<(), Refusal> {
    let mut nodes = Vec::with_capacity(graph.node.len());
    for node in std::mem::take(&mut graph.node) {
        let made = match make::op(&node) {
            ("OneHotEncoder", true) => one_hot(&node, &mut graph.initializer, fresh),
            ("Binarizer", true) => binarizer(&node, &mut graph.initializer, fresh),
            _ => Ok(vec![node.clone()]),
        };
        nodes.extend(made.map_err(|why| refuse(format!("{}: {why}", prove::name(&node))))?);
    }
    graph.node = nodes;
    Ok(())
}

/// Returns the input and the output, if there is a single of each and no attribute except these.
fn ends(node: &NodeProto, known: &[&str]) -> Result<(String, String), String> {
    if let Some(other) = node.attribute.iter().filter_map(|a| a.name.as_deref()).find(|name| !known.contains(name)) {
        return Err(format!(
            "has an attribute that is not known, or texts for numbers: {:?}",
            tidegate_protocol::Shorten::shorten(other)
        ));
    }
    match (node.input.as_slice(), node.output.as_slice()) {
        ([x], [y]) => Ok((x.clone(), y.clone())),
        _ => Err("takes one input".into()),
    }
}

fn one_hot(node: &NodeProto, tensors: &mut Vec<TensorProto>, fresh: &mut Fresh) -> Result<Vec<NodeProto>, String> {
    let (x, y) = ends(node, &["cats_int64s", "zeros"])?;
    let categories = make::attribute(node, "cats_int64s").map(|a| a.ints.clone()).unwrap_or_default();
    if categories.is_empty() || categories.iter().collect::<HashSet<_>>().len() != categories.len() {
        return Err("names no categories, or one twice".into());
    }
    let [whole, beside, equal] = [(); 3].map(|()| fresh.name());
    let (last, known) = (fresh.ints(tensors, &[-1]), fresh.ints(tensors, &categories));
    Ok(vec![
        make::node(node, "Cast", vec![x], whole.clone(), vec![make::int("to", 7)]),
        make::node(node, "Unsqueeze", vec![whole, last], beside.clone(), vec![]),
        make::node(node, "Equal", vec![beside, known], equal.clone(), vec![]),
        make::node(node, "Cast", vec![equal], y, vec![make::int("to", 1)]),
    ])
}

fn binarizer(node: &NodeProto, tensors: &mut Vec<TensorProto>, fresh: &mut Fresh) -> Result<Vec<NodeProto>, String> {
    let (x, y) = ends(node, &["threshold"])?;
    let threshold = make::attribute(node, "threshold").and_then(|a| a.f).unwrap_or_default();
    let (limit, above) = (fresh.name(), fresh.name());
    tensors.push(make::floats(&limit, vec![], &[threshold]));
    Ok(vec![
        make::node(node, "Greater", vec![x, limit], above.clone(), vec![]),
        make::node(node, "Cast", vec![above], y, vec![make::int("to", 1)]),
    ])
}
