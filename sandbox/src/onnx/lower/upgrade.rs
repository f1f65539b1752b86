//! Rewriting of older operator versions as supported ones: LightGBM's, CatBoost's and many of scikit-learn's exporters still
//! write versions 8 to 12.
//!
//! From version 7 on, operators mean the same as in version 15, except for the types that they take and for these differences:
//! some attributes have become inputs, `Softmax` and its like worked along all axes from one on, `OneHot` did not count indices
//! from the end, and `Dropout` had its ratio as an attribute.

use tidegate_protocol::Refusal;

use super::make::{self, Fresh};
use crate::onnx::{
    graph::refuse,
    proto::{AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSet, TensorProto},
    prove,
};

/// Version to which older standard operators are upgraded.
const STANDARD: i64 = 15;
/// Version to which older `ai.onnx.ml` operators are upgraded.
const ML: i64 = 3;
/// Version to which an older IR is upgraded, matching [`STANDARD`].
const IR: i64 = 8;

/// Attributes turned into inputs, from the second input on: operator, first version with inputs, attributes.
const INPUTS: &[(&str, i64, &[&str])] = &[
    ("Squeeze", 13, &["axes"]),
    ("Unsqueeze", 13, &["axes"]),
    ("ReduceSum", 13, &["axes"]),
    ("Split", 13, &["split"]),
    ("Clip", 11, &["min", "max"]),
    ("Pad", 11, &["pads", "value"]),
    ("TopK", 10, &["k"]),
    ("Slice", 10, &["starts", "ends", "axes"]),
];

/// Upgrades a model of older versions.
pub(super) fn upgrade(model: &mut ModelProto, graph: &mut GraphProto, fresh: &mut Fresh) -> Result<(), Refusal> {
    let known = prove::versions(model).map_err(|why| refuse(format!("the model: {why}")))?;
    let standard = graph.node.iter().any(|node| matches!(node.domain.as_deref().unwrap_or_default(), "" | "ai.onnx"));
    let from = match known.standard {
        Some(version) => version,
        None if standard => return Err(refuse("the model: the version of its standard operators is not named")),
        None => STANDARD,
    };
    if from < STANDARD {
        let mut nodes = Vec::with_capacity(graph.node.len());
        for node in std::mem::take(&mut graph.node) {
            if make::op(&node).1 {
                nodes.push(node);
            } else {
                newer(node, from, &mut nodes, &mut graph.initializer, fresh)?;
            }
        }
        graph.node = nodes;
    }
    let import = |domain: &str, version| OperatorSet { domain: Some(domain.into()), version: Some(version) };
    model.opset_import = vec![import("", from.max(STANDARD))];
    model.opset_import.extend(known.ml.map(|version| import("ai.onnx.ml", version.max(ML))));
    model.ir_version = model.ir_version.map(|version| version.max(IR));
    Ok(())
}

fn newer(
    mut node: NodeProto,
    from: i64,
    nodes: &mut Vec<NodeProto>,
    tensors: &mut Vec<TensorProto>,
    fresh: &mut Fresh,
) -> Result<(), Refusal> {
    let op = node.op_type.clone().unwrap_or_default();
    if let Some((.., names)) = INPUTS.iter().find(|(name, since, _)| *name == op && from < *since) {
        let given: Vec<_> = names.iter().map(|name| make::take(&mut node, name)).collect();
        if let Some(last) = given.iter().rposition(Option::is_some) {
            node.input.truncate(1);
            for attribute in given.into_iter().take(last + 1) {
                node.input.push(attribute.map_or(String::new(), |attribute| input(&attribute, tensors, fresh)));
            }
        }
    }
    match op.as_str() {
        "Softmax" | "LogSoftmax" | "Hardmax" if from < 13 => flattened(node, nodes, fresh),
        "Dropout" if from < 12 && node.output.iter().filter(|name| !name.is_empty()).count() == 1 => {
            nodes.push(make::node(&node, "Identity", node.input.clone(), node.output[0].clone(), vec![]));
        }
        "OneHot" if from < 11 => {
            return Err(refuse(format!("{}: is understood from version 11 on, the model is of {from}", prove::name(&node))));
        }
        _ => nodes.push(node),
    }
    Ok(())
}

/// Adds an attribute to the model as a tensor and returns its name.
fn input(attribute: &AttributeProto, tensors: &mut Vec<TensorProto>, fresh: &mut Fresh) -> String {
    let name = fresh.name();
    tensors.push(match attribute.kind {
        Some(1) => make::floats(&name, vec![], &[attribute.f.unwrap_or_default()]),
        Some(2) => make::ints(&name, vec![1], &[attribute.i.unwrap_or_default()]),
        _ => make::ints(&name, vec![attribute.ints.len() as i64], &attribute.ints),
    });
    name
}

/// Rewrites an operator along all axes from `axis` on to work along the last axis of a matrix.
fn flattened(mut node: NodeProto, nodes: &mut Vec<NodeProto>, fresh: &mut Fresh) {
    let axis = make::take(&mut node, "axis").and_then(|axis| axis.i).unwrap_or(1);
    let (Some(x), Some(y)) = (node.input.first().cloned(), node.output.first().cloned()) else { return nodes.push(node) };
    let op = node.op_type.clone().unwrap_or_default();
    let (shape, flat, along) = (fresh.name(), fresh.name(), fresh.name());
    nodes.push(make::node(&node, "Shape", vec![x.clone()], shape.clone(), vec![]));
    nodes.push(make::node(&node, "Flatten", vec![x], flat.clone(), vec![make::int("axis", axis)]));
    node.attribute.push(make::int("axis", -1));
    nodes.push(make::node(&node, &op, vec![flat], along.clone(), node.attribute.clone()));
    nodes.push(make::node(&node, "Reshape", vec![along, shape], y, vec![]));
}
