//! A model looked at without running it: what an owner's node would make of it.

use serde::Serialize;
use tidegate_protocol::{ContentHash, Refusal};

use super::graph::Graph;

/// What may be done with a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Proven: each row of what comes out depends on that row alone. Batches of any people's rows.
    RowIndependent,
    /// Not proven: a run for each unit, or for each block.
    PerUnitOnly,
    /// Refused.
    Reject,
}

/// One output.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutputSeen {
    /// Its name.
    pub name: String,
    /// What may be done for it.
    pub verdict: Verdict,
    /// Numbers of a row, or of a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numbers: Option<u64>,
    /// Whether each row has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_row: Option<bool>,
    /// The first operator that may mix rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixed_by: Option<String>,
    /// Why it cannot be asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// What was seen of a model.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// BLAKE3 of its bytes: what a job names.
    pub hash: ContentHash,
    /// Bytes.
    pub size: usize,
    /// The best that can be done for any output.
    pub verdict: Verdict,
    /// The first operator that may mix rows, of those that its outputs depend on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixed_by: Option<String>,
    /// Why it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
    /// Inputs: name, type and shape.
    pub inputs: Vec<String>,
    /// Outputs, in the model's order.
    pub outputs: Vec<OutputSeen>,
    /// Nodes of the graph.
    pub nodes: usize,
    /// Bytes of what it has learnt.
    pub weights: u64,
    /// Operations for one row, an addition or multiplication each.
    pub operations: u64,
    /// Bytes of all tensors that are computed for one row.
    pub bytes: u64,
}

/// Looks at a model. It is not run.
pub fn inspect(bytes: &[u8]) -> Inspection {
    let mut seen = Inspection {
        hash: ContentHash::of(bytes),
        size: bytes.len(),
        verdict: Verdict::Reject,
        mixed_by: None,
        refused: None,
        inputs: vec![],
        outputs: vec![],
        nodes: 0,
        weights: 0,
        operations: 0,
        bytes: 0,
    };
    let graph = match Graph::read(bytes) {
        Ok(graph) => graph,
        Err(refusal) => {
            seen.refused = Some(refusal);
            return seen;
        }
    };
    seen.nodes = graph.nodes();
    seen.weights = graph.weights();
    seen.operations = u64::try_from(graph.work(1)).unwrap_or(u64::MAX);
    seen.bytes = u64::try_from(graph.bytes(1)).unwrap_or(u64::MAX);
    let rows = if graph.one { "1" } else { "rows" };
    let input = |input: &super::graph::Input| {
        let shape: Vec<String> = std::iter::once(rows.to_owned()).chain(input.row.iter().map(u64::to_string)).collect();
        format!("{} {:?} [{}]", input.name, input.elem, shape.join(", "))
    };
    seen.inputs = graph.inputs.iter().map(input).collect();
    seen.outputs = graph.outputs().map(|name| output(&graph, name)).collect();
    seen.verdict = seen.outputs.iter().map(|o| o.verdict).min().unwrap_or(Verdict::Reject);
    if seen.verdict == Verdict::PerUnitOnly {
        seen.mixed_by = seen.outputs.iter().find_map(|o| o.mixed_by.clone());
    }
    if seen.verdict == Verdict::Reject {
        seen.refused = graph.outputs().find_map(|name| graph.output(name).err());
    }
    seen
}

fn output(graph: &Graph, name: &str) -> OutputSeen {
    let seen =
        |verdict| OutputSeen { name: name.to_owned(), verdict, numbers: None, by_row: None, mixed_by: None, refused: None };
    match graph.output(name) {
        Err(refusal) => OutputSeen { refused: Some(refusal.to_string()), ..seen(Verdict::Reject) },
        Ok(out) => OutputSeen {
            numbers: Some(out.numbers),
            by_row: Some(out.by_row),
            mixed_by: out.mixed.clone(),
            ..seen(if out.mixed.is_some() { Verdict::PerUnitOnly } else { Verdict::RowIndependent })
        },
    }
}
