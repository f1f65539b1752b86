//! Models: a worker's side of a runner, and the runner's side.

use std::{
    fs::File,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
};

use arrow::array::Array as _;
use tidegate_gpu_runner::{Cuda, InferenceFailed, Input, Intermediates, Model, client::Client, server::Runtime};
use tidegate_lockdown::apart;
use tidegate_protocol::{device::Place, policy::ModelRules};
use tidegate_sandbox::{
    RunError,
    onnx::{self, Inference, Values},
};

use crate::worker::{WorkerFailed, Workers, failed, memory::threads, pool::receive};

/// Number of concurrent runs on a GPU: the rows of a run are copied while another is computed.
const STREAMS: u32 = 2;

/// A runner's pipes, and the memory shared with the runner.
pub(super) struct Runner {
    pub(super) to: File,
    pub(super) from: File,
    pub(super) memory: File,
}

impl Runner {
    /// Has the runner load a model and, with `compared`, compare the shapes within the model with the proof's.
    pub(super) fn load(
        self,
        (bytes, spec): (&[u8], &onnx::Spec),
        place: Place,
        models: &ModelRules,
        unwalled: bool,
        compared: bool,
    ) -> Result<Remote, InferenceFailed> {
        let (threads, cuda) = match place {
            Place::Cpu => (threads(spec.threads), None),
            Place::Cuda { tf32, .. } => (STREAMS, Some(Cuda { memory: models.gpu_memory_bytes, tf32 })),
        };
        let input = |c: &onnx::Column| Input { name: c.name.clone(), elem: c.elem, size: c.size, row: c.row.clone() };
        self.load_as(&Model {
            bytes: bytes.to_vec(),
            inputs: spec.inputs.iter().map(input).collect(),
            output: spec.output.clone(),
            numbers: spec.numbers,
            by_row: spec.by_row,
            rows: spec.most(),
            step: spec.step() as u32,
            batched: matches!(spec.runs, onnx::Runs::Batches(_)),
            working: spec.bytes,
            threads,
            cuda,
            unwalled,
            intermediates: compared.then(|| Intermediates {
                outputs: spec.intermediates.outputs.clone(),
                shapes: spec.intermediates.shapes.clone(),
            }),
        })
    }

    fn load_as(self, model: &Model) -> Result<Remote, InferenceFailed> {
        Ok(Remote(Client::load(self.to, self.from, &self.memory, model)?))
    }
}

impl Workers {
    /// Starts a runner with a model, for tests and benchmarks: a worker has a runner only through its job.
    ///
    /// Dropping the first value kills the runner.
    ///
    /// # Errors
    /// Returns [`WorkerFailed`] if there is no runner, or it does not load the model.
    pub fn infer(&self, model: &Model) -> Result<(impl Sized + use<>, Client<File, File>), WorkerFailed> {
        let place = if model.cuda.is_some() { Place::Cuda { index: 0, tf32: false } } else { Place::Cpu };
        let crate::worker::call::Runner { child, held, .. } = crate::worker::call::Runner::take(self, place)?;
        let [to, from, memory] = held.map(File::from);
        let remote = Runner { to, from, memory }.load_as(model).map_err(failed)?;
        Ok((child, remote.0))
    }
}

impl Remote {
    /// Returns the runtime of the model.
    pub(super) fn runtime(&self) -> &str {
        self.0.runtime()
    }
}

/// The sandbox's [`Inference`] over a runner.
pub(super) struct Remote(Client<File, File>);

fn gone(e: InferenceFailed) -> RunError {
    RunError::Engine(e.to_string())
}

impl Inference for Remote {
    fn slots(&self) -> usize {
        self.0.slots()
    }

    fn write(&self, input: usize, places: &[u32], columns: &[Values<'_>]) {
        macro_rules! write {
            ($($kind:ident),*) => {
                match columns.first() {
                    // Each input has a single type.
                    $(Some(Values::$kind(_)) => {
                        let all = columns.iter().filter_map(|column| match column {
                            Values::$kind(values) => Some(*values),
                            _ => None,
                        });
                        self.0.write(input, places, &all.collect::<Vec<_>>());
                    })*
                    Some(Values::Rows(rows, first)) => {
                        let rows = (*first..rows.len()).map(|row| rows.value(row));
                        places.iter().zip(rows).for_each(|(place, row)| self.0.write_row(input, *place, row));
                    }
                    None => {}
                }
            };
        }
        write!(F32, F64, I32, I64, U8);
    }

    fn submit(&self, slot: usize, runs: &[u32]) -> Result<(), RunError> {
        self.0.submit(slot, runs).map_err(gone)
    }

    fn wait(&self) -> Result<usize, RunError> {
        self.0.wait().map_err(gone)
    }

    fn read(&self, slot: usize, into: &mut Vec<f32>) {
        self.0.read(slot, into);
    }
}

/// Runs the runner's side: loads the runtime, prepares a `device`, then waits for its descriptors.
///
/// Called by [`run_worker_if_asked`](crate::worker::run_worker_if_asked).
///
/// # Errors
/// Returns [`WorkerFailed`] if the library cannot be loaded or the pipes break.
pub(super) fn runner_main(library: &Path, device: bool) -> Result<(), WorkerFailed> {
    let runtime = Runtime::load(library, device).map_err(failed)?;
    apart();
    let Some(held) = receive(std::io::stdin().as_fd())? else { return runtime.is_ready().map_err(failed) };
    let held: Result<[OwnedFd; 3], _> = held.try_into();
    let [from, to, memory] = held.map_err(|_| failed("received another descriptor"))?.map(File::from);
    runtime.serve(from, to, &memory).map_err(failed)
}
