//! A model looked at without running it: what an owner's node would make of it.

use serde::Serialize;
use tidegate_protocol::{ContentHash, Refusal};

use super::{
    graph::{Graph, Out},
    whole::Whole,
};

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
    /// Operations for one row, an addition or multiplication each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations: Option<u64>,
    /// Bytes of all tensors that are computed for one row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// What was seen of a model.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// BLAKE3 of its bytes: what a job names.
    pub hash: ContentHash,
    /// Bytes.
    pub size: usize,
    /// Of its outputs the worst: what holds whichever is asked for.
    pub verdict: Verdict,
    /// Of its outputs the best: it is of no use where this is [`Verdict::Reject`].
    pub best: Verdict,
    /// The output that the verdict is of, where others have a better one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst: Option<String>,
    /// The first operator that may mix rows in that output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixed_by: Option<String>,
    /// Why that output is refused, or all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
    /// Inputs: name, type and shape.
    pub inputs: Vec<String>,
    /// Outputs, in the model's order.
    pub outputs: Vec<OutputSeen>,
    /// Nodes of the graph.
    pub nodes: usize,
    /// Bytes of what it has learnt, for the output that needs most.
    pub weights: u64,
    /// Operations for one row, an addition or multiplication each, for the output that takes most.
    pub operations: u64,
    /// Bytes of all tensors that are computed for one row, likewise.
    pub bytes: u64,
}

/// Looks at a model. It is not run.
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
    /// What is seen of the graph that an output needs.
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
