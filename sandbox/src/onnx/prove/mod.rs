//! Analysis of a model's graph without running it: shapes, work, and whether each output row depends on the same input row alone.
//!
//! This is an abstract interpretation over the graph in its own order. The facts about a tensor are its type, shape (in numbers
//! and numbers of rows) and [`Flow`]: constant, row by row along one axis, or mixed. Each operator of the [list](operators) has a
//! rule; whatever a rule cannot follow is mixed, and what it does not know is refused. The runtime's own results are the test:
//! `sandbox/tests/models.rs`.

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
};

use tidegate_protocol::limits;

use super::proto::{GraphProto, ModelProto, NodeProto};

mod along;
mod call;
mod classic;
mod constant;
mod costs;
mod elementwise;
mod known;
mod layout;
mod linear;
mod memory;
mod operators;
mod pick;
mod quantised;
mod recurrent;
mod spot;
mod spots;
mod support;
pub(super) mod tensor;
mod trees;
mod window;

pub(super) use constant::{floats as known_floats, whole as known_ints};
pub(super) use operators::OPERATORS;

use call::{Call, Clip, Done};
use tensor::{Dim, Elem, Flow, Tensor, Work, count};

/// Facts about a graph.
#[derive(Debug)]
pub(super) struct Found {
    /// Facts about all tensors, by name.
    pub(super) tensors: HashMap<String, Tensor>,
    /// Number of operations.
    pub(super) work: Work,
    /// Bytes of all computed tensors, and of the scratch memory of kernels.
    pub(super) bytes: Work,
    /// Nodes with inputs to be clipped first.
    pub(super) clips: Vec<(usize, Clip)>,
    /// Names of tensors stored in the model, or computed from these alone.
    constants: HashSet<String>,
}

/// Error for a node beyond the analysis.
#[derive(Debug)]
pub(super) struct NotUnderstood {
    /// Operator and name of the node.
    pub(super) node: String,
    pub(super) why: String,
}

/// Describes a node for a person: its operator, and its name or the name of its output.
pub(super) fn name(node: &NodeProto) -> String {
    use tidegate_protocol::Shorten as _;
    let op = node.op_type.as_deref().unwrap_or_default().shorten();
    match (node.name.as_deref().filter(|name| !name.is_empty()), node.output.first()) {
        (Some(name), _) => format!("{op} {:?}", name.shorten()),
        (None, Some(output)) => format!("{op} that makes {:?}", output.shorten()),
        (None, None) => op,
    }
}

/// Follows `inputs` through the graph.
///
/// # Errors
/// Returns the first node that is not understood.
pub(super) fn follow(model: &ModelProto, graph: &GraphProto, inputs: Vec<(String, Tensor)>) -> Result<Found, NotUnderstood> {
    let versions = versions(model).map_err(|why| NotUnderstood { node: "the model".into(), why })?;
    let mut found = Found {
        tensors: HashMap::new(),
        work: Work::default(),
        bytes: Work::default(),
        clips: vec![],
        constants: HashSet::new(),
    };
    for tensor in &graph.initializer {
        let name = tensor.name.clone().unwrap_or_default();
        let fail = |why| NotUnderstood { node: format!("tensor {:?}", tidegate_protocol::Shorten::shorten(name.as_str())), why };
        let known = constant::tensor(tensor).map_err(fail)?;
        found.define(name.clone(), known).map_err(fail)?;
        found.constants.insert(name.clone());
    }
    for (name, tensor) in inputs {
        found.bytes.add(Work::of(count(&tensor.dims).unwrap_or(Dim::ONE), tensor.elem.bytes()));
        found.define(name, tensor).map_err(|why| NotUnderstood { node: "an input".into(), why })?;
    }
    for (at, node) in graph.node.iter().enumerate() {
        found.step(&versions, at, node).map_err(|why| NotUnderstood { node: name(node), why })?;
    }
    Ok(found)
}

/// Versions of the operators, by domain.
#[derive(Debug)]
pub(super) struct Versions {
    pub(super) standard: Option<i64>,
    pub(super) ml: Option<i64>,
}

pub(super) fn versions(model: &ModelProto) -> Result<Versions, String> {
    let mut versions = Versions { standard: None, ml: None };
    for import in &model.opset_import {
        let (domain, version) = (import.domain.as_deref().unwrap_or_default(), import.version.unwrap_or_default());
        let (known, range) = match domain {
            "" | "ai.onnx" => (&mut versions.standard, operators::VERSIONS),
            "ai.onnx.ml" => (&mut versions.ml, operators::ML_VERSIONS),
            // Such a domain is of no use: its operators are refused where they occur.
            _ => continue,
        };
        if !range.contains(&version) {
            return Err(format!(
                "is of version {version} of {}, understood are {} to {}",
                if domain.is_empty() { "ai.onnx" } else { domain },
                range.start(),
                range.end()
            ));
        }
        if known.replace(version).is_some_and(|before| before != version) {
            return Err(format!("names two versions of {domain:?}"));
        }
    }
    Ok(versions)
}

/// Maximum number of inputs of a node.
const INPUTS: usize = 1024;

impl Found {
    fn define(&mut self, name: String, tensor: Tensor) -> Result<(), String> {
        if name.is_empty() {
            return Err("has no name".into());
        }
        match self.tensors.insert(name, tensor) {
            None => Ok(()),
            Some(_) => Err("is computed twice".into()),
        }
    }

    /// Returns a node's work by its number of values alone: values read, other than constants, or values made, whichever are
    /// more.
    fn least_work(&self, node: &NodeProto, call: &Call<'_>, done: &Done) -> Result<Work, String> {
        let read = node.input.iter().zip(&call.inputs).filter(|(name, _)| !self.constants.contains(*name));
        let read: Vec<&Tensor> = read.filter_map(|(_, input)| *input).collect();
        if read.is_empty() {
            return Ok(Work::default());
        }
        let made: Vec<&Tensor> = done.outputs.iter().take(node.output.len()).collect();
        let double = |tensors: &[&Tensor]| tensors.first().is_some_and(|tensor| tensor.elem.bytes() == 8);
        let name = node.op_type.as_deref().unwrap_or_default();
        let each = costs::of(name, double(&read) || double(&made)).ok_or("has no cost")?;
        let of = |tensors: &[&Tensor]| {
            let mut all = Work::default();
            tensors.iter().try_for_each(|tensor| count(&tensor.dims).map(|values| all.add(Work::of(values, each))))?;
            Ok::<_, String>(all)
        };
        Ok(of(&read)?.most(of(&made)?))
    }

    fn step(&mut self, versions: &Versions, at: usize, node: &NodeProto) -> Result<(), String> {
        let (op, domain) = (node.op_type.as_deref().unwrap_or_default(), node.domain.as_deref().unwrap_or_default());
        let domain = if domain == "ai.onnx" { "" } else { domain };
        let operator = operators::find(domain, op).ok_or("is not on the list of operators")?;
        let version = if domain.is_empty() { versions.standard } else { versions.ml };
        let version = version.ok_or("its operators' version is not named")?;
        if version < operator.since {
            return Err(format!("is understood from version {} on, the model is of {version}", operator.since));
        }
        let mut seen = std::collections::HashSet::new();
        for attribute in &node.attribute {
            let name = attribute.name.as_deref().unwrap_or_default();
            if name.is_empty() || !operator.attributes.split(' ').any(|known| known == name) {
                return Err(format!("has an attribute that is not known: {:?}", tidegate_protocol::Shorten::shorten(name)));
            }
            if !seen.insert(name) {
                return Err(format!("has attribute {name} twice"));
            }
        }
        if node.input.len() > INPUTS {
            return Err(format!("has more than {INPUTS} inputs"));
        }
        let (outputs, done_clip) = {
            let named = |name: &String| match name.as_str() {
                "" => Ok(None),
                name => self.tensors.get(name).map(Some).ok_or("takes what is not computed before it"),
            };
            let inputs = node.input.iter().map(named).collect::<Result<Vec<_>, _>>()?;
            let call = Call { at, node, inputs, mixed: Cell::new(None) };
            let mut done = (operator.rule)(&call)?;
            if let Some(first) = call.mixed.get() {
                for output in &mut done.outputs {
                    output.flow = Flow::Mixed(first);
                }
            }
            self.work.add(done.work.most(self.least_work(node, &call, &done)?));
            self.bytes.add(done.scratch);
            (done.outputs, done.clip)
        };
        if node.input.iter().all(|name| name.is_empty() || self.constants.contains(name)) {
            self.constants.extend(node.output.iter().cloned());
        }
        self.clips.extend(done_clip.map(|clip| (at, clip)));
        // The one door for known integers: no shape, axis or index is followed that the runtime may compute otherwise.
        if outputs.iter().any(|output| output.ints.iter().flatten().any(|int| !known::fits(*int, output.elem))) {
            return Err("computes a whole number that its type may not hold".into());
        }
        // Places in a run are followed in the widest type alone: in any other they might not fit.
        let outputs = outputs.into_iter().map(|output| match output.elem {
            Elem::I64 => output,
            _ => Tensor { spots: None, ..output },
        });
        // A rule may know more outputs than are requested.
        for (name, output) in node.output.iter().zip(outputs) {
            if output.rank() > 8 {
                return Err("what it makes has more than 8 dimensions".into());
            }
            let size = count(&output.dims)?;
            let bytes = Work::of(size, output.elem.bytes());
            if bytes.at(1) > u128::from(limits::TENSOR_BYTES) {
                return Err(format!("makes a tensor of more than {} bytes", limits::TENSOR_BYTES));
            }
            self.bytes.add(bytes);
            if !name.is_empty() {
                self.define(name.clone(), output)?;
            }
        }
        Ok(())
    }
}

/// Describes an input of the graph whose first dimension is the number of rows.
pub(super) fn rows_input(elem: Elem, width: &[u64]) -> Tensor {
    let dims = std::iter::once(Dim::ROWS).chain(width.iter().map(|n| Dim::fixed(*n))).collect();
    Tensor::new(elem, dims, Flow::Rows(0))
}

/// Describes an input of a graph written for a single row at a time.
pub(super) fn row_input(elem: Elem, width: &[u64]) -> Tensor {
    let dims = std::iter::once(Dim::ONE).chain(width.iter().map(|n| Dim::fixed(*n))).collect();
    Tensor::new(elem, dims, Flow::Public)
}

#[cfg(test)]
mod tests;
