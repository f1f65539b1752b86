//! Model beside a component, run at its request for the rows of a single unit or block.
//!
//! The component passes only data of its own unit or block, so nothing changes for others whichever rows meet. The operations of
//! a run are paid from the call's fuel, at the owner's own rates: time is bounded, whoever computes.

use std::sync::Arc;

use tidegate_protocol::{ContentHash, Refusal, Shorten as _, device::Place, limits::FUEL_PER_MS, policy::Policy};

use super::{
    Column, Runs, Spec,
    admit::Fit,
    graph::{Graph, Intermediates, Out, refuse},
};

/// Fixed fuel cost of a run, for the hand-over and the notification, which take some 50 µs.
const RUN_FUEL: u64 = FUEL_PER_MS / 20;

/// Model sent as a component's data.
#[derive(Debug)]
pub(crate) struct Beside {
    /// Data as sent.
    pub(crate) data: Arc<Vec<u8>>,
    pub(crate) hash: ContentHash,
    /// Name of the output, as in the job.
    pub(crate) output: String,
    bytes: Vec<u8>,
    spec: Spec,
    pub(super) graph: Graph,
    out: Out,
    work_per_ms: u64,
    /// Whether the model runs on a GPU.
    pub(crate) on_gpu: bool,
}

impl Beside {
    /// Checks the model for an output and `calls` units or blocks.
    ///
    /// # Errors
    /// Returns a [`Refusal`] naming the part.
    pub(crate) fn admit(data: &Arc<Vec<u8>>, output: &str, policy: &Policy, calls: u64, place: Place) -> Result<Self, Refusal> {
        let named = |refusal: Refusal| match refusal.field.as_deref() {
            Some("program.output") => refusal.at("program.infer"),
            _ => refusal.at("program.data"),
        };
        let graph = Graph::read(data, output).map_err(named)?;
        let out = graph.output().map_err(named)?;
        if let Some(input) = graph.inputs.iter().find(|input| input.words.is_some()) {
            let refusal = refuse(format!("input {:?} takes texts, and components have no text tensors", input.name.shorten()));
            return Err(named(refusal).fix("Run it with an [onnx] section, or export it without its encoders"));
        }
        let fit = Fit::of(&graph, &out, policy, calls, place).map_err(named)?;
        let mut spec = Spec {
            inputs: graph.inputs.iter().map(Column::of).collect(),
            output: graph.asked().to_owned(),
            numbers: out.numbers as u32,
            by_row: out.by_row,
            runs: Runs::Apart(1),
            bytes: 0,
            threads: policy.models.threads,
            intermediates: Intermediates::default(),
            trials: 0,
        };
        let most = if graph.one {
            // A run for each row, one after the other.
            let step = spec.step() as u32;
            let rows = super::graph::most_rows(fit.in_time, |rows| fit.room(rows * u64::from(step))).max(1);
            rows * step
        } else {
            fit.together(&graph)
        };
        spec.runs = Runs::Apart(most);
        spec.bytes = u64::try_from(graph.bytes(if graph.one { 1 } else { most.into() })).unwrap_or(u64::MAX);
        let bytes = graph.write(graph.one.then_some(1));
        let work_per_ms = policy.models.work_per_ms.max(1);
        Ok(Self {
            data: data.clone(),
            hash: ContentHash::of(data),
            output: output.to_owned(),
            bytes,
            spec,
            graph,
            out,
            work_per_ms,
            on_gpu: place != Place::Cpu,
        })
    }

    /// Returns the model as written for a runtime.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the facts needed by a runner.
    pub(crate) fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Returns the maximum number of rows per request.
    pub(crate) fn most(&self) -> u32 {
        if self.graph.one { self.spec.most() / self.spec.step() as u32 } else { self.spec.most() }
    }

    /// Returns the fuel cost of running `rows` rows.
    pub(crate) fn fuel(&self, rows: u32) -> u64 {
        let work = if self.graph.one { self.graph.work(1).saturating_mul(rows.into()) } else { self.graph.work(rows.into()) };
        let fuel = work.saturating_mul(FUEL_PER_MS.into()).div_ceil(self.work_per_ms.into());
        u64::try_from(fuel).unwrap_or(u64::MAX).saturating_add(RUN_FUEL)
    }

    /// Returns the dimensions of the output for `rows` rows.
    pub(crate) fn shape(&self, rows: u32) -> Vec<u32> {
        self.out.by_row.then_some(rows).into_iter().chain(self.out.shape.iter().map(|n| *n as u32)).collect()
    }
}
