//! Construction of new nodes and tensors, under names unused in the model.

use crate::onnx::{
    proto::{AttributeProto, GraphProto, NodeProto, TensorProto},
    prove::tensor::Elem,
};

/// Generator of names unused in a graph.
pub(super) struct Fresh {
    prefix: String,
    next: usize,
}

impl Fresh {
    pub(super) fn of(graph: &GraphProto) -> Self {
        let nodes = graph.node.iter().flat_map(|node| node.input.iter().chain(&node.output));
        let tensors = graph.initializer.iter().filter_map(|t| t.name.as_ref());
        let values = graph.input.iter().chain(&graph.output).filter_map(|v| v.name.as_ref());
        let taken: Vec<&String> = nodes.chain(tensors).chain(values).filter(|name| name.starts_with("made")).collect();
        let prefix = (0..).map(|i| format!("made{i}.")).find(|prefix| !taken.iter().any(|name| name.starts_with(prefix)));
        Self { prefix: prefix.unwrap_or_default(), next: 0 }
    }

    pub(super) fn name(&mut self) -> String {
        self.next += 1;
        format!("{}{}", self.prefix, self.next)
    }

    /// Adds a list of integers to the model's tensors and returns its name.
    pub(super) fn ints(&mut self, graph: &mut Vec<TensorProto>, values: &[i64]) -> String {
        let name = self.name();
        graph.push(ints(&name, vec![values.len() as i64], values));
        name
    }
}

/// Builds a node of a standard operator to replace `of`.
pub(super) fn node(of: &NodeProto, op: &str, input: Vec<String>, output: String, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto { input, output: vec![output], name: of.name.clone(), op_type: Some(op.into()), attribute, ..NodeProto::default() }
}

/// Builds an attribute with an integer.
pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: Some(name.into()), kind: Some(2), i: Some(value), ..AttributeProto::default() }
}

/// Builds an attribute with a list of integers.
pub(super) fn list(name: &str, ints: Vec<i64>) -> AttributeProto {
    AttributeProto { name: Some(name.into()), kind: Some(7), ints, ..AttributeProto::default() }
}

/// Builds a tensor of integers of eight bytes.
pub(super) fn ints(name: &str, dims: Vec<i64>, values: &[i64]) -> TensorProto {
    let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    TensorProto {
        dims,
        data_type: Some(Elem::I64.number()),
        name: Some(name.into()),
        raw_data: Some(raw),
        ..TensorProto::default()
    }
}

/// Builds a tensor of floats of four bytes.
pub(super) fn floats(name: &str, dims: Vec<i64>, values: &[f32]) -> TensorProto {
    let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    TensorProto {
        dims,
        data_type: Some(Elem::F32.number()),
        name: Some(name.into()),
        raw_data: Some(raw),
        ..TensorProto::default()
    }
}

/// Returns an operator's name and whether its domain is `ai.onnx.ml`.
pub(super) fn op(node: &NodeProto) -> (&str, bool) {
    (node.op_type.as_deref().unwrap_or_default(), node.domain.as_deref() == Some("ai.onnx.ml"))
}

/// Returns an attribute by name.
pub(super) fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|a| a.name.as_deref() == Some(name))
}

/// Removes and returns an attribute.
pub(super) fn take(node: &mut NodeProto, name: &str) -> Option<AttributeProto> {
    let at = node.attribute.iter().position(|a| a.name.as_deref() == Some(name))?;
    Some(node.attribute.remove(at))
}
