//! Static inspection of a model: how an owner's node would treat the model.

use serde::Serialize;
use tidegate_protocol::{ContentHash, Refusal};

use super::{
    graph::{Graph, Out},
    whole::Whole,
};

/// Permitted use of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Proven: each output row depends on the same input row alone, so rows of any people may share a batch.
    RowIndependent,
    /// Not proven: a run for each unit or block.
    PerUnitOnly,
    /// Refused.
    Reject,
}

/// Inspection result for an output.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutputSeen {
    /// Name of the output.
    pub name: String,
    /// Permitted use for this output.
    pub verdict: Verdict,
    /// Count of numbers per row, or per run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numbers: Option<u64>,
    /// Whether each row has numbers of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_row: Option<bool>,
    /// First operator that may mix rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixed_by: Option<String>,
    /// Reason for refusing the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Operations for a row, an addition or multiplication each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations: Option<u64>,
    /// Bytes of all tensors computed for a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// Inspection result for a model.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// BLAKE3 hash of its bytes, by which jobs name the model.
    pub hash: ContentHash,
    /// Size in bytes.
    pub size: usize,
    /// Worst verdict of its outputs, which holds whichever is requested.
    pub verdict: Verdict,
    /// Best verdict of its outputs; the model is of no use if this is [`Verdict::Reject`].
    pub best: Verdict,
    /// Output with the worst verdict, if others have a better verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst: Option<String>,
    /// First operator that may mix rows in the worst output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixed_by: Option<String>,
    /// Reason for refusing the worst output, or the whole model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
    /// Inputs: name, type and shape.
    pub inputs: Vec<String>,
    /// Outputs, in the model's order.
    pub outputs: Vec<OutputSeen>,
    /// Number of nodes in the graph.
    pub nodes: usize,
    /// Bytes of the weights, for the output with most.
    pub weights: u64,
    /// Operations for a row, an addition or multiplication each, for the output with most.
    pub operations: u64,
    /// Bytes of all tensors computed for a row, for the output with most.
    pub bytes: u64,
}

/// Inspects a model; nothing is run.
pub fn inspect(bytes: &[u8]) -> Inspection {
    let mut seen = Inspection {
        hash: ContentHash::of(bytes),
        size: bytes.len(),
        verdict: Verdict::Reject,
        best: Verdict::Reject,
        worst: None,
        mixed_by: None,
        refused: None,
        inputs: vec![],
        outputs: vec![],
        nodes: 0,
        weights: 0,
        operations: 0,
        bytes: 0,
    };
    let whole = match Whole::read(bytes) {
        Ok(whole) => whole,
        Err(refusal) => {
            seen.refused = Some(refusal);
            return seen;
        }
    };
    seen.nodes = whole.nodes();
    let mut worst: Option<(Verdict, String, Option<Refusal>)> = None;
    for name in whole.outputs() {
        let followed = whole.clone().ask(name).and_then(|graph| graph.output().map(|out| (graph, out)));
        if let Ok((graph, _)) = &followed {
            seen.take(graph);
        }
        let (output, refusal) = output(name, followed);
        if worst.as_ref().is_none_or(|(verdict, ..)| *verdict < output.verdict) {
            seen.mixed_by.clone_from(&output.mixed_by);
            worst = Some((output.verdict, name.to_owned(), refusal));
        }
        seen.best = seen.best.min(output.verdict);
        seen.outputs.push(output);
    }
    if let Some((verdict, name, refusal)) = worst {
        (seen.verdict, seen.refused) = (verdict, refusal);
        seen.worst = (seen.best != verdict).then_some(name);
    }
    seen
}

impl Inspection {
    /// Records facts about the graph needed for an output.
    fn take(&mut self, graph: &Graph) {
        let most = |of: u128| u64::try_from(of).unwrap_or(u64::MAX);
        self.weights = self.weights.max(graph.weights());
        self.operations = self.operations.max(most(graph.work(1)));
        self.bytes = self.bytes.max(most(graph.bytes(1)));
        let rows = if graph.one { "1" } else { "rows" };
        let input = |input: &super::graph::Input| {
            let shape: Vec<String> = std::iter::once(rows.to_owned()).chain(input.row.iter().map(u64::to_string)).collect();
            let kind = if input.words.is_some() { "text".to_owned() } else { format!("{:?}", input.elem) };
            format!("{} {kind} [{}]", input.name, shape.join(", "))
        };
        self.inputs = graph.inputs.iter().map(input).collect();
    }
}

fn output(name: &str, followed: Result<(Graph, Out), Refusal>) -> (OutputSeen, Option<Refusal>) {
    let mut seen = OutputSeen {
        name: name.to_owned(),
        verdict: Verdict::Reject,
        numbers: None,
        by_row: None,
        mixed_by: None,
        refused: None,
        operations: None,
        bytes: None,
    };
    match followed {
        Err(refusal) => {
            seen.refused = Some(refusal.to_string());
            (seen, Some(refusal))
        }
        Ok((graph, out)) => {
            let number = |of: u128| Some(u64::try_from(of).unwrap_or(u64::MAX));
            seen.verdict = if out.mixed.is_some() { Verdict::PerUnitOnly } else { Verdict::RowIndependent };
            (seen.numbers, seen.by_row, seen.mixed_by) = (Some(out.numbers), Some(out.by_row), out.mixed);
            (seen.operations, seen.bytes) = (number(graph.work(1)), number(graph.bytes(1)));
            (seen, None)
        }
    }
}
