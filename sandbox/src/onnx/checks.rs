//! Checks for constructs refused in any model, whatever its graph computes.

use tidegate_protocol::{Refusal, Shorten as _, limits};

use super::{
    graph::{Input, Rows, refuse},
    proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto},
    prove::tensor::Elem,
};

/// Name by which ONNX Runtime before mid-2026 let a model point at raw memory.
const ADDRESS_MARKER: &[u8] = b"_ORT_MEM_ADDR_";
/// Domains whose operators the standard runtime defines.
const DOMAINS: [&str; 3] = ["", "ai.onnx", "ai.onnx.ml"];
/// Supported versions of the IR.
const IR: std::ops::RangeInclusive<i64> = 3..=13;
/// Maximum number of inputs over which a row's columns are spread.
const INPUTS: usize = 64;

pub(super) fn no_address(bytes: &[u8]) -> Result<(), Refusal> {
    if bytes.windows(ADDRESS_MARKER.len()).any(|w| w == ADDRESS_MARKER) {
        return Err(refuse("names a memory address"));
    }
    Ok(())
}

pub(super) fn model(model: &ModelProto) -> Result<(), Refusal> {
    if !model.functions.is_empty() {
        return Err(refuse("defines functions of its own").fix("Inline them"));
    }
    if !model.training_info.is_empty() {
        return Err(refuse("holds what it was trained by").fix("Export it for inference"));
    }
    if !model.configuration.is_empty() {
        return Err(refuse("has a device configuration").fix("Export it for one device"));
    }
    match model.ir_version {
        Some(version) if IR.contains(&version) => Ok(()),
        _ if model.graph.is_none() => Err(refuse("has no graph")),
        version => {
            let version = version.unwrap_or(0);
            let fix = match version > *IR.end() {
                true => {
                    format!("Save it with a supported version: in Python, set model.ir_version = {} before onnx.save", IR.end())
                }
                false => "Save it with a newer library".into(),
            };
            Err(refuse(format!("has IR version {version}; supported are {} to {}", IR.start(), IR.end())).fix(fix))
        }
    }
}

/// Checks the graph as a whole, whichever output is requested.
pub(super) fn whole(graph: &GraphProto) -> Result<(), Refusal> {
    if graph.node.len() > limits::MODEL_NODES {
        return Err(refuse(format!("has more than {} operators", limits::MODEL_NODES)));
    }
    if !graph.sparse_initializer.is_empty() {
        return Err(refuse("has sparse initializers").fix("Store them densely"));
    }
    if graph.output.is_empty() {
        return Err(refuse("has no output"));
    }
    Ok(())
}

/// Checks the part of the graph needed for an output.
pub(super) fn graph(graph: &GraphProto) -> Result<(), Refusal> {
    graph.initializer.iter().try_for_each(tensor)?;
    graph.node.iter().try_for_each(node)
}

fn node(node: &NodeProto) -> Result<(), Refusal> {
    let (name, domain) = (node.op_type.as_deref().unwrap_or_default(), node.domain.as_deref().unwrap_or_default());
    let op = name.shorten();
    if !DOMAINS.contains(&domain) {
        return Err(refuse(format!("operator {op} is of domain {:?}", domain.shorten())).fix("Use standard operators"));
    }
    if node.overload.as_ref().is_some_and(|overload| !overload.is_empty()) || !node.device_configurations.is_empty() {
        return Err(refuse(format!("operator {op} names an overload or a device")).fix("Export it for one device"));
    }
    node.attribute.iter().try_for_each(|one| attribute(one, &op))
}

fn attribute(attribute: &AttributeProto, op: &str) -> Result<(), Refusal> {
    let nested = attribute.g.is_some() || !attribute.graphs.is_empty();
    if nested || attribute.sparse_tensor.is_some() || !attribute.sparse_tensors.is_empty() {
        return Err(refuse(format!("operator {op} holds a nested graph")).fix("Export without control flow"));
    }
    let refers = attribute.ref_attr_name.as_ref().is_some_and(|name| !name.is_empty());
    if refers || attribute.tp.is_some() || !attribute.type_protos.is_empty() {
        return Err(refuse(format!("operator {op} has an attribute of a function or a type")));
    }
    attribute.t.iter().chain(&attribute.tensors).try_for_each(tensor)
}

fn tensor(tensor: &TensorProto) -> Result<(), Refusal> {
    if tensor.data_location.unwrap_or_default() != 0 || !tensor.external_data.is_empty() || tensor.segment.is_some() {
        let name = tensor.name.as_deref().unwrap_or_default().shorten();
        return Err(refuse(format!("tensor {name:?} lies outside the file")).fix("Save the model with its weights inside"));
    }
    Ok(())
}

/// Returns the inputs, how many rows each takes, and whether each takes texts, which become numbers of eight bytes.
pub(super) fn inputs(graph: &GraphProto) -> Result<Vec<(Input, Rows, bool)>, Refusal> {
    let given: Vec<_> = graph.input.iter().filter(|i| !graph.initializer.iter().any(|t| t.name == i.name)).collect();
    if !(1..=INPUTS).contains(&given.len()) {
        return Err(refuse(format!("has {} inputs; 1 to {INPUTS} are supported", given.len())).fix("Concatenate the features"));
    }
    given.into_iter().map(input).collect()
}

/// Type number of texts in the IR.
const TEXT: i32 = 8;

fn input(input: &ValueInfoProto) -> Result<(Input, Rows, bool), Refusal> {
    let name = input.name.clone().unwrap_or_default();
    let tensor = input.kind.as_ref().and_then(|k| k.tensor.as_ref());
    let tensor =
        tensor.ok_or_else(|| refuse(format!("input {:?} is not a tensor, but a sequence, a map or similar", name.shorten())))?;
    let number = tensor.elem_type.unwrap_or_default();
    let elem = if number == TEXT { Some(Elem::I64) } else { Elem::of(number).filter(|elem| elem.is_column()) };
    let elem = elem.ok_or_else(|| {
        let types = "float32, float64, int64, int32, uint8, bool or string";
        refuse(format!("input {:?} has a type that no column has", name.shorten())).fix(format!("Use {types}"))
    })?;
    let dims = tensor.shape.as_ref().map(|s| s.dim.as_slice()).unwrap_or_default();
    let Some((rows, rest)) = dims.split_first() else {
        return Err(refuse(format!("input {:?} has no dimensions, expected [rows, …]", name.shorten())));
    };
    let rows = match rows.value.and_then(|rows| u64::try_from(rows).ok()).filter(|rows| *rows > 0) {
        None => Rows::Any,
        Some(1) => Rows::One,
        Some(rows) => Rows::Exactly(rows),
    };
    let fixed = |dim: &super::proto::Dimension| dim.value.and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
    let row = rest.iter().map(fixed).collect::<Option<Vec<_>>>();
    let row = row.ok_or_else(|| {
        refuse(format!("a dimension of input {:?} other than the rows' is not fixed", name.shorten()))
            .fix("Export with all dimensions fixed except the first")
    })?;
    let width = row.iter().try_fold(1u64, |product, n| product.checked_mul(*n));
    if row.len() > 7 || width.is_none_or(|width| width * elem.bytes() > limits::TENSOR_BYTES / 8) {
        return Err(refuse(format!("a row of input {:?} is too large", name.shorten())));
    }
    Ok((Input { name, elem, row, words: None }, rows, number == TEXT))
}
