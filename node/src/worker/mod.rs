//! The worker: a process that plans and runs one job. It holds the dataset's files as opened descriptors, a file without a name or two
//! pipes, nothing else.
//!
//! Two calls a job: *check* has no descriptor of data, so nothing can be read before the budget is reserved; *run* has them. A component is compiled before
//! both, by a third (*compile*) which is told nothing but its bytes: what it makes may be used again by other jobs.

use std::{io::Write, ops::Range};

use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};
use tidegate_gate::{GroupSums, Shape};
use tidegate_gpu_runner::{
    device::{self, Gpu},
    library,
    server::DEVICE_MEMORY,
};
use tidegate_lockdown::Standing;
use tidegate_protocol::{
    Job, Refusal,
    device::{DeviceRule, Place},
    job::Key,
    limits,
    policy::{JobKind, Policy},
};
use tidegate_sandbox::{Attachment, Piece, Rehearsal, sql::Written, units::Cuts, wasm};

mod call;
mod coming;
mod model;
mod pieces;
mod pool;
mod search;
mod serve;
mod span;

pub use coming::{Coming, Over};
pub use model::runner_main;
pub use pieces::tolerance;
pub use pool::Workers;
pub use serve::main;

/// Memory of a worker beyond the guest's own: planner, compiler, batches.
const WORKER_MEMORY: u64 = 2 << 30;
/// How many times as much a worker has that runs a piece of a job: what a unit's rows take in one batch, by themselves, is no more than they took in two, among others'.
const PIECE_MEMORY: u64 = 2;
/// Of it, for groups: keys and sums grow in steps and are copied once, so several times as much is in use for a moment.
const GROUP_BYTES: usize = 256 << 20;
/// Most bytes of groups on disk.
const SPILL_BYTES: u64 = 256 << 30;
/// Longest frame of a worker's reply in bytes.
const FRAME_BYTES: u32 = 256 << 20;

/// Most memory of a worker that runs a job under `policy`, in bytes.
fn worker_memory(policy: &Policy) -> u64 {
    WORKER_MEMORY + policy.limits.memory_bytes * wasm::ways() as u64
}

/// Most memory of a job under `policy`, in bytes: its worker's, and its runner's where models are taken.
pub fn memory(policy: &Policy) -> u64 {
    let runner = policy.kinds.contains(&JobKind::Onnx).then(|| {
        let threads = model::threads(policy.models.threads);
        tidegate_gpu_runner::server::private_memory(policy.models.memory_bytes, limits::PROGRAM_BYTES as u64, threads)
            + if policy.models.device != DeviceRule::Cpu && !usable_gpus().is_empty() { DEVICE_MEMORY } else { 0 }
    });
    worker_memory(policy) + runner.unwrap_or_default()
}

/// GPUs that models can be run on: there is one, and a runtime for it.
pub fn usable_gpus() -> Vec<Gpu> {
    if library::find_cuda().is_some() { device::gpus() } else { vec![] }
}

/// What the worker is told.
#[derive(Serialize, Deserialize)]
enum Order {
    /// Raise the walls and say which stand.
    Walls,
    /// Compile a component, for instances of `memory` bytes, and nothing else: no data, no other text of a buyer's.
    Compile {
        #[serde(with = "serde_bytes")]
        component: Vec<u8>,
        memory: usize,
    },
    Job(Box<Task>),
    /// Say where units begin, of the rows in a piece of the files or in all of them, and nothing else: no job, no text of a buyer's.
    Cuts {
        #[serde(with = "serde_bytes")]
        schema: Vec<u8>,
        /// The column that names the unit.
        unit: String,
        files: u32,
        piece: Option<Piece>,
        most: usize,
    },
}

/// What of a job a worker does.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Part {
    All,
    /// Some pieces, one after the other.
    Pieces(Vec<Piece>),
    /// Of a program over blocks: these pieces' rows are read, one piece after the other, and nothing is done with them.
    Rows(Vec<Piece>),
    /// The groups that pieces wrote down are added up.
    AddUp(Vec<Written>),
}

/// What comes with a job.
#[derive(Serialize, Deserialize)]
enum Sent {
    Nothing,
    Bytes(#[serde(with = "serde_bytes")] Vec<u8>),
    Code(#[serde(with = "serde_bytes")] Vec<u8>),
}

/// A job to check or to run.
#[derive(Serialize, Deserialize)]
struct Task {
    job: Job,
    policy: Policy,
    /// Arrow IPC stream without rows.
    #[serde(with = "serde_bytes")]
    schema: Vec<u8>,
    sent: Sent,
    /// Bytes beside the program.
    #[serde(with = "serde_bytes")]
    data: Vec<u8>,
    /// How many data files it holds; 0 to check only.
    files: u32,
    /// Whether it holds a runner's pipes and memory.
    runner: bool,
    prf: [u8; 32],
    /// Where its model runs.
    place: Place,
    /// Also where not all walls around a device stand.
    unwalled: bool,
    /// Groups of fewer units are of no use.
    least_units: i64,
    /// Mock rows: show what the program says.
    rehearsal: bool,
    part: Part,
    /// Rows that are passed over, in order.
    without: Vec<Range<u64>>,
    /// How much of the file for groups is others' already.
    after: u64,
    /// The pieces that the worker is to die of: in tests alone.
    dies: Option<String>,
}

/// What the worker answers: frames of a length and CBOR.
#[derive(Serialize, Deserialize)]
enum Answer {
    Checked {
        shape: Shape,
        declared: Vec<Vec<Key>>,
        pattern: String,
        reads: Vec<String>,
        /// What runs its model.
        runtime: Option<String>,
    },
    Walls(Standing),
    /// A component's code.
    Compiled(#[serde(with = "serde_bytes")] Vec<u8>),
    Refused(Refusal),
    /// The job is planned, and its first piece begins; more answers follow.
    Planned,
    /// Some groups; more answers follow.
    Groups(Vec<GroupSums>),
    /// All groups of a piece came, or lie in the file, which has so many bytes; more answers follow.
    Piece(Written, u64),
    /// All is done; what is shown of it in rehearsal.
    Done(Rehearsal),
    Cuts(Cuts),
    Failed(String),
}

/// One job as the node hands it to a worker.
#[derive(Debug, Clone)]
pub struct Work {
    /// The job.
    pub job: Job,
    /// The policy in force.
    pub policy: Policy,
    /// Schema of the dataset's files.
    pub schema: SchemaRef,
    /// What comes with it.
    pub attachment: Option<Attachment>,
    /// Key of the PRF.
    pub prf: [u8; 32],
    /// Where its model runs.
    pub place: Place,
}

/// What a check found: public numbers.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What the job releases.
    pub shape: Shape,
    /// Declared keys in the columns' types.
    pub declared: Vec<Vec<Key>>,
    /// The program's SQL without its literals.
    pub pattern: String,
    /// Names of the rows' columns that it reads, in order.
    pub reads: Vec<String>,
    /// What runs its model: the runtime's name, version and build.
    pub runtime: Option<String>,
}

/// The worker failed: for the owner's log alone.
#[derive(Debug, thiserror::Error)]
pub enum WorkerFailed {
    /// It could not be started: the machine's fault, not the program's.
    #[error("no worker: {0}")]
    NotStarted(String),
    /// The owner wanted it to stop.
    #[error("worker: stopped by the owner")]
    Stopped,
    /// It took longer than the public slot.
    #[error("worker: over its slot")]
    Late,
    /// It died, or said that it could not go on: what admission promises not to happen.
    #[error("worker: {0}")]
    Broken(String),
}

fn failed(e: impl std::fmt::Display) -> WorkerFailed {
    WorkerFailed::Broken(e.to_string())
}

fn not_started(e: impl std::fmt::Display) -> WorkerFailed {
    WorkerFailed::NotStarted(e.to_string())
}

fn write_frame(to: &mut impl Write, answer: &Answer) -> Result<(), WorkerFailed> {
    let mut bytes = Vec::new();
    ciborium::into_writer(answer, &mut bytes).map_err(failed)?;
    let length = u32::try_from(bytes.len()).ok().filter(|n| *n <= FRAME_BYTES).ok_or_else(|| failed("a frame is too long"))?;
    // Nothing waits here: what comes after it may kill the worker.
    to.write_all(&length.to_le_bytes()).and_then(|()| to.write_all(&bytes)).and_then(|()| to.flush()).map_err(failed)
}
