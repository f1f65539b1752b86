//! Worker process, which plans and runs a single job.
//!
//! It holds the dataset's files as open descriptors, and an unnamed file or a runner's pipes and shared memory, and nothing else.
//!
//! A job takes two calls: *check* has no descriptors of data, so nothing can be read before the budget is reserved; *run* has
//! them. A component is compiled before both by a third call, *compile*, which is told nothing but the component and the memory
//! of its instances: the code may be used again by other jobs.

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

pub use crate::worker::coming::{Coming, Over};
pub use crate::worker::model::runner_main;
pub use crate::worker::pieces::tolerance;
pub use crate::worker::pool::Workers;
pub use crate::worker::serve::main;

/// Memory of a worker beyond the guest's own: planner, compiler, batches.
const WORKER_MEMORY: u64 = 2 << 30;
/// Factor by which a worker has more memory for running pieces of a job.
///
/// A privacy unit's rows, alone in a single batch, take no more memory than they took in two batches among other rows.
const PIECE_MEMORY: u64 = 2;
/// Part of a worker's memory for groups.
///
/// Keys and sums grow in steps and are copied once, so several times as much is in use for a moment.
const GROUP_BYTES: usize = 256 << 20;
/// Maximum number of bytes of groups on disk.
const SPILL_BYTES: u64 = 256 << 30;
/// Maximum length of a frame of a worker's reply in bytes.
const FRAME_BYTES: u32 = 256 << 20;

/// Returns the maximum memory in bytes of a worker running a job under `policy`.
fn worker_memory(policy: &Policy) -> u64 {
    WORKER_MEMORY + policy.limits.memory_bytes * wasm::ways() as u64
}

/// Returns the maximum memory in bytes of a job under `policy`: its worker's, and its runner's if models are accepted.
pub fn memory(policy: &Policy) -> u64 {
    let runner = policy.kinds.contains(&JobKind::Onnx).then(|| {
        let threads = model::threads(policy.models.threads);
        tidegate_gpu_runner::server::private_memory(policy.models.memory_bytes, limits::PROGRAM_BYTES as u64, threads)
            + if policy.models.device != DeviceRule::Cpu && !usable_gpus().is_empty() { DEVICE_MEMORY } else { 0 }
    });
    worker_memory(policy) + runner.unwrap_or_default()
}

/// Returns the GPUs on which models can run; none without a runtime for them.
pub fn usable_gpus() -> Vec<Gpu> {
    if library::find_cuda().is_some() { device::gpus() } else { vec![] }
}

/// Order to a worker.
#[derive(Serialize, Deserialize)]
enum Order {
    /// Enter the sandbox and report the layers in force.
    Walls,
    /// Compile a component for instances of `memory` bytes, and nothing else: no data, no other text of a buyer's.
    Compile {
        #[serde(with = "serde_bytes")]
        component: Vec<u8>,
        memory: usize,
    },
    Job(Box<Task>),
    /// Report where privacy units begin in the rows of a piece or of all files, and nothing else: no job, no text of a buyer's.
    Cuts {
        #[serde(with = "serde_bytes")]
        schema: Vec<u8>,
        /// Name of the privacy unit column.
        unit: String,
        files: u32,
        piece: Option<Piece>,
        most: usize,
    },
}

/// Part of a job for a worker to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Part {
    All,
    /// Some pieces, in turn.
    Pieces(Vec<Piece>),
    /// For a program over blocks: reading these pieces' rows, in turn, and nothing else.
    Rows(Vec<Piece>),
    /// Adding up the groups written to the file by pieces.
    AddUp(Vec<Written>),
}

/// Attachment of a job.
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
    /// Bytes sent beside the program.
    #[serde(with = "serde_bytes")]
    data: Vec<u8>,
    /// Number of data files held by the worker; 0 to check only.
    files: u32,
    /// Whether the worker holds a runner's pipes and memory.
    runner: bool,
    prf: [u8; 32],
    /// Place where the job's model runs.
    place: Place,
    /// Whether a model may run even if some sandbox layers around a device are missing.
    unwalled: bool,
    /// Minimum number of privacy units of a group; smaller groups are of no use.
    least_units: i64,
    /// Whether the rows are mock rows and the program's messages are shown.
    rehearsal: bool,
    part: Part,
    /// Rows to skip, in order.
    without: Vec<Range<u64>>,
    /// Number of bytes of the file for groups already written by other workers.
    after: u64,
    /// Pieces on which the worker is to die; in tests only.
    dies: Option<String>,
}

/// Answer of a worker, in frames of a length and CBOR.
#[derive(Serialize, Deserialize)]
enum Answer {
    Checked {
        shape: Shape,
        declared: Vec<Vec<Key>>,
        pattern: String,
        reads: Vec<String>,
        /// Runtime of the job's model.
        runtime: Option<String>,
    },
    Walls(Standing),
    /// Compiled code of a component.
    Compiled(#[serde(with = "serde_bytes")] Vec<u8>),
    Refused(Refusal),
    /// The job is planned and its first piece begins; more answers follow.
    Planned,
    /// Some groups; more answers follow.
    Groups(Vec<GroupSums>),
    /// All groups of a piece were sent or are in the file, whose size in bytes is given; more answers follow.
    Piece(Written, u64),
    /// The job is done; carries the messages to show in a rehearsal.
    Done(Rehearsal),
    Cuts(Cuts),
    Failed(String),
}

/// A job as handed to a worker by the node.
#[derive(Debug, Clone)]
pub struct Work {
    /// The job.
    pub job: Job,
    /// The policy in force.
    pub policy: Policy,
    /// Schema of the dataset's files.
    pub schema: SchemaRef,
    /// Attachment of the job.
    pub attachment: Option<Attachment>,
    /// Key of the PRF.
    pub prf: [u8; 32],
    /// Place where the job's model runs.
    pub place: Place,
}

/// Findings of a check: public numbers.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Shape of the job's release.
    pub shape: Shape,
    /// Declared keys in the columns' types.
    pub declared: Vec<Vec<Key>>,
    /// The program's SQL without its literals.
    pub pattern: String,
    /// Names of the row columns read by the job, in order.
    pub reads: Vec<String>,
    /// Runtime of the job's model: name, version and build.
    pub runtime: Option<String>,
}

/// Failure of a worker, for the owner's log alone.
#[derive(Debug, thiserror::Error)]
pub enum WorkerFailed {
    /// The worker could not be started: the machine's fault, not the program's.
    #[error("no worker: {0}")]
    NotStarted(String),
    /// The owner stopped the worker.
    #[error("worker: stopped by the owner")]
    Stopped,
    /// The worker took longer than the public time budget.
    #[error("worker: over its slot")]
    Late,
    /// The worker died or reported a failure, although admission promises that this does not happen.
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
    // Nothing stays buffered: what follows may kill the worker.
    to.write_all(&length.to_le_bytes()).and_then(|()| to.write_all(&bytes)).and_then(|()| to.flush()).map_err(failed)
}
