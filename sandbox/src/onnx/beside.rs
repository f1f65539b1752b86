//! A model beside a component: run for the rows of one unit or block at a time, as the component asks.
//!
//! Whatever the component hands over is of its own unit or block, so nothing changes for others whichever rows meet. The operations of a run are paid from the
//! call's fuel, at the owner's own rates: what is bounded is time, whoever computes.

use std::sync::Arc;

use tidegate_protocol::{ContentHash, Refusal, Shorten as _, device::Place, limits::FUEL_PER_MS, policy::Policy};

use super::{
    Column, Runs, Spec,
    admit::Fit,
    graph::{Graph, Out, refuse},
};

/// Fuel of a run whatever it computes: what it takes to hand it over and to be told, some 50 µs.
const RUN_FUEL: u64 = FUEL_PER_MS / 20;

/// A model that came as a component's data.
#[derive(Debug)]
pub(crate) struct Beside {
    /// What came.
    pub(crate) data: Arc<Vec<u8>>,
    pub(crate) hash: ContentHash,
    /// The output, as the job names it.
    pub(crate) output: String,
    bytes: Vec<u8>,
    spec: Spec,
    pub(super) graph: Graph,
    out: Out,
    work_per_ms: u64,
    /// Where it runs.
    pub(crate) on_gpu: bool,
}

impl Beside {
    /// Checks it, for an output and so many units or blocks.
    ///
    /// # Errors
    /// A [`Refusal`] naming the part.
    pub(crate) fn admit(data: &Arc<Vec<u8>>, output: &str, policy: &Policy, calls: u64, place: Place) -> Result<Self, Refusal> {
        let named = |refusal: Refusal| match refusal.field.as_deref() {
            Some("program.output") => refusal.at("program.infer"),
            _ => refusal.at("program.data"),
        };
        let graph = Graph::read(data, output).map_err(named)?;
        let out = graph.output().map_err(named)?;
        if let Some(input) = graph.inputs.iter().find(|input| input.words.is_some()) {
            let refusal = refuse(format!("input {:?} takes texts, which a component has no tensors of", input.name.shorten()));
            return Err(named(refusal).fix("Run it by an [onnx] section, or export it without its encoders"));
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

    /// The model as a runtime may read it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What a runner must know of it.
    pub(crate) fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Most rows that may be asked for at a time.
    pub(crate) fn most(&self) -> u32 {
        if self.graph.one { self.spec.most() / self.spec.step() as u32 } else { self.spec.most() }
    }

    /// What running so many rows costs.
    pub(crate) fn fuel(&self, rows: u32) -> u64 {
        let work = if self.graph.one { self.graph.work(1).saturating_mul(rows.into()) } else { self.graph.work(rows.into()) };
        let fuel = work.saturating_mul(FUEL_PER_MS.into()).div_ceil(self.work_per_ms.into());
        u64::try_from(fuel).unwrap_or(u64::MAX).saturating_add(RUN_FUEL)
    }

    /// Dimensions of what comes of so many rows.
    pub(crate) fn shape(&self, rows: u32) -> Vec<u32> {
        self.out.by_row.then_some(rows).into_iter().chain(self.out.shape.iter().map(|n| *n as u32)).collect()
    }
}
