//! Orders to a worker, and its answers.

use std::{io::Write, ops::Range};

use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};
use tidegate_gate::{GroupSums, Shape};
use tidegate_lockdown::Standing;
use tidegate_protocol::{Job, Refusal, device::Place, job::Key, policy::Policy};
use tidegate_sandbox::{Attachment, Piece, Rehearsal, sql::Written, units::Cuts};

/// Maximum length of a frame of a worker's reply in bytes.
pub(super) const FRAME_BYTES: u32 = 256 << 20;

/// Order to a worker.
#[derive(Serialize, Deserialize)]
pub(super) enum Order {
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
pub(super) enum Part {
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
pub(super) enum Sent {
    Nothing,
    Bytes(#[serde(with = "serde_bytes")] Vec<u8>),
    Code(#[serde(with = "serde_bytes")] Vec<u8>),
}

/// A job to check or to run.
#[derive(Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) job: Job,
    pub(super) policy: Policy,
    /// Arrow IPC stream without rows.
    #[serde(with = "serde_bytes")]
    pub(super) schema: Vec<u8>,
    pub(super) sent: Sent,
    /// Bytes sent beside the program.
    #[serde(with = "serde_bytes")]
    pub(super) data: Vec<u8>,
    /// Number of data files held by the worker; 0 to check only.
    pub(super) files: u32,
    /// Whether the worker holds a runner's pipes and memory.
    pub(super) runner: bool,
    pub(super) prf: [u8; 32],
    /// Place where the job's model runs.
    pub(super) place: Place,
    /// Whether a model may run even if some sandbox layers around a device are missing.
    pub(super) unwalled: bool,
    /// Minimum number of privacy units of a group; smaller groups are of no use.
    pub(super) least_units: i64,
    /// Whether the rows are mock rows and the program's messages are shown.
    pub(super) rehearsal: bool,
    pub(super) part: Part,
    /// Rows to skip, in order.
    pub(super) without: Vec<Range<u64>>,
    /// Number of bytes of the file for groups already written by other workers.
    pub(super) after: u64,
    /// Pieces on which the worker is to die; in tests only.
    pub(super) dies: Option<String>,
}

/// Answer of a worker, in frames of a length and CBOR.
#[derive(Serialize, Deserialize)]
pub(super) enum Answer {
    Checked {
        shape: Shape,
        declared: Vec<Vec<Key>>,
        pattern: String,
        reads: Vec<String>,
        /// Runtime of the job's model.
        runtime: Option<String>,
        /// Number of rows of each unit that are read, if not all.
        rows_read: Option<u64>,
    },
    /// Sandbox layers in force, and the build of the worker's messages.
    Walls {
        standing: Standing,
        build: String,
    },
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
    /// Number of rows of each unit that are read, if more would not fit the time budget.
    pub rows_read: Option<u64>,
}

/// Failure of a worker, for the owner's log alone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerFailed {
    /// The worker could not be started: the machine's fault, not the program's.
    #[error("no worker: {0}")]
    NotStarted(String),
    /// The owner stopped the worker.
    #[error("worker: stopped by the owner")]
    Stopped,
    /// The worker took longer than the public time budget.
    #[error("worker: exceeded its time budget")]
    Late,
    /// The worker died or reported a failure, although admission promises that this does not happen.
    #[error("worker: {0}")]
    Broken(String),
}

pub(super) fn failed(e: impl std::fmt::Display) -> WorkerFailed {
    WorkerFailed::Broken(e.to_string())
}

pub(super) fn not_started(e: impl std::fmt::Display) -> WorkerFailed {
    WorkerFailed::NotStarted(e.to_string())
}

pub(super) fn write_frame(to: &mut impl Write, answer: &Answer) -> Result<(), WorkerFailed> {
    let mut bytes = Vec::new();
    ciborium::into_writer(answer, &mut bytes).map_err(failed)?;
    let length = u32::try_from(bytes.len()).ok().filter(|n| *n <= FRAME_BYTES).ok_or_else(|| failed("a frame is too long"))?;
    // Nothing stays buffered: what follows may kill the worker.
    to.write_all(&length.to_le_bytes()).and_then(|()| to.write_all(&bytes)).and_then(|()| to.flush()).map_err(failed)
}
