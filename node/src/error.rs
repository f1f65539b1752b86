//! Errors of a node and its commands.
//!
//! [`NodeError`] names the operation or the party at fault; the enums below it name the fault and carry its values. A variant that
//! wraps another error shows the wrapped error's text too, and returns the error as its source.

mod cause;
mod dataset;
mod grant;
mod hold;
pub(crate) mod made;
mod publish;
mod receipt;
mod unverified;

use std::{io, path::PathBuf};

use tidegate_protocol::PeerId;

pub use cause::Cause;
pub use dataset::{Denied, NoSuchDataset};
pub use grant::GrantError;
pub use hold::HoldError;
pub use publish::{FileAdvice, PublishError};
pub use receipt::{BundleFault, ReceiptFault};
pub use unverified::Unverified;

/// Error of a node, or of an operation of an owner, buyer, auditor, witness or mirror.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// A file or folder cannot be read or written.
    #[error("{}: {doing}{source}{fix}", .path.display())]
    Io {
        /// Path of the file or folder.
        path: PathBuf,
        /// Failed act, up to a colon and a space; empty if the error says enough.
        doing: &'static str,
        /// Advice, with its punctuation; empty if there is none.
        fix: &'static str,
        /// Error of the system.
        source: io::Error,
    },
    /// The content of a file is not of the expected form.
    #[error("{}: {source}{fix}", .path.display())]
    Corrupt {
        /// Path of the file.
        path: PathBuf,
        /// Advice, with its punctuation; empty if there is none.
        fix: &'static str,
        /// Description of the fault, or the reader's error.
        source: Cause,
    },
    /// The disk is full. What a transfer has brought so far is kept.
    #[error(
        "{}: the disk is full ({free} bytes are free). The received part is kept: free some space and run the same command again",
        .path.display()
    )]
    DiskFull {
        /// Folder on the full disk.
        path: PathBuf,
        /// Number of free bytes.
        free: u64,
    },
    /// A value cannot be converted to the format of a file.
    #[error("{}: {source}", .path.display())]
    Unwritable {
        /// Path of the file, which was not written.
        path: PathBuf,
        /// Error of the writer.
        source: Cause,
    },
    /// A file is missing that was there before.
    #[error("{}: no longer exists{fix}", .path.display())]
    Gone {
        /// Path of the file.
        path: PathBuf,
        /// Advice, with its punctuation; empty if there is none.
        fix: &'static str,
    },
    /// A file differs from the content under which it was recorded.
    #[error("{}: has changed since {since}", .path.display())]
    Changed {
        /// Path of the file.
        path: PathBuf,
        /// Time of the record, and advice.
        since: &'static str,
    },
    /// Another process uses the file.
    #[error("{}: {what}", .path.display())]
    InUse {
        /// Path of the file.
        path: PathBuf,
        /// Use of the file, and advice.
        what: &'static str,
    },
    /// Output would overwrite what is at its path.
    #[error("{}: {why}", .path.display())]
    Exists {
        /// Path of the existing file or folder.
        path: PathBuf,
        /// Description of the content, and advice.
        why: &'static str,
    },
    /// A path given by the caller does not suit its purpose.
    #[error("{}: {why}", .path.display())]
    BadPath {
        /// Path as given.
        path: PathBuf,
        /// Reason, and advice.
        why: String,
    },
    /// An argument is unsuitable.
    #[error("{field} {why}")]
    BadInput {
        /// Argument, as in the command's options, or its value.
        field: String,
        /// Reason, and advice.
        why: String,
    },
    /// A field of a job file is unsuitable.
    #[error("job file: {why}")]
    JobFile {
        /// Field or section.
        field: &'static str,
        /// Reason, and advice.
        why: String,
    },
    /// A document cannot be encoded as JSON.
    #[error("{0}")]
    Encode(#[source] serde_json::Error),
    /// The system gives no random numbers.
    #[error("no entropy: {0}")]
    Entropy(#[source] getrandom::Error),
    /// A task of this process panicked or was cancelled.
    #[error("{0}")]
    Task(#[source] tokio::task::JoinError),
    /// The process may open too few files for its jobs.
    #[error(
        "{jobs} concurrent jobs over up to {files} files need {needs} file descriptors, and this process is limited to {has}: raise the limit \
         (`ulimit -n {needs}`, or \
         LimitNOFILE={needs} of a systemd service), or give a smaller --jobs"
    )]
    Descriptors {
        /// Number of jobs at a time.
        jobs: usize,
        /// Maximum number of files of a dataset.
        files: usize,
        /// Number of descriptors needed.
        needs: u64,
        /// Number of descriptors allowed.
        has: u64,
    },
    /// No dataset has this name or id.
    #[error(transparent)]
    NoSuchDataset(#[from] NoSuchDataset),
    /// No grant has this id.
    #[error("no grant {id:?}. See `tidegate grants`")]
    NoSuchGrant {
        /// Prefix of an id, as given.
        id: String,
    },
    /// No job in the wanted state has this id.
    #[error("no job {id:?} {state}")]
    NoSuchJob {
        /// Id or prefix of an id, as given.
        id: String,
        /// Wanted state, and advice.
        state: &'static str,
    },
    /// No request of this party has this id.
    #[error("no stored request {id:?}. See `tidegate results list`")]
    NoSuchRequest {
        /// Prefix of an id, as given.
        id: String,
    },
    /// Nothing in quarantine has this id.
    #[error("no id in quarantine begins with {id}: see `tidegate quarantine list`")]
    NotQuarantined {
        /// Prefix of an id, as given.
        id: String,
    },
    /// The catalogue of heard listings failed, or refused.
    #[error(transparent)]
    Catalogue(#[from] tidegate_catalog::listings::CatalogueError),
    /// The address book has no such name.
    #[error("the address book has no peer {name:?}")]
    NoSuchPeer {
        /// Name, as given.
        name: String,
    },
    /// A word is neither an address nor a name in the address book.
    #[error("{0}; and the address book has no peer of that name (`tidegate peers`)")]
    NoAddress(#[source] tidegate_exchange::BadAddress),
    /// The address book has the name for another key.
    #[error("the name {name:?} is in use for {key}: run `tidegate peers remove {name}` first")]
    NameTaken {
        /// Name, as given.
        name: String,
        /// Key that has the name.
        key: PeerId,
    },
    /// The address book is empty, and only its keys are to be heard.
    #[error("the address book is empty, so that no listing would be accepted. See `tidegate peers add`")]
    NobodyKnown,
    /// A prefix begins several ids.
    #[error("{id:?} is ambiguous: it begins {of}. Give more characters")]
    Ambiguous {
        /// Prefix, as given.
        id: String,
        /// Ids that begin so.
        of: &'static str,
    },
    /// A policy is invalid.
    #[error(transparent)]
    Policy(#[from] tidegate_protocol::policy::BadPolicy),
    /// A policy allows an act to nobody.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A grant cannot be issued or used.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// A dataset cannot be published under these terms.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A dataset of another owner cannot be held, or is held no more.
    #[error(transparent)]
    Hold(#[from] HoldError),
    /// A dataset is invalid.
    #[error(transparent)]
    Data(#[from] tidegate_catalog::dataset::DataError),
    /// A dataset cannot be encrypted, or its keys cannot be passed on.
    #[error(transparent)]
    Seal(#[from] tidegate_catalog::sealed::SealError),
    /// The encrypted files are larger than this mirror's limit.
    #[error("the encrypted files have {bytes} bytes, and the limit is {most}: raise it with --most-mib")]
    OverLimit {
        /// Size of the files in bytes.
        bytes: u64,
        /// Limit in MiB.
        most: u64,
    },
    /// No source has the encrypted files.
    #[error("no peer has the encrypted files. {}", shown(.answers))]
    NoSource {
        /// Asked sources, with the answer of each.
        answers: Vec<(PeerId, NodeError)>,
    },
    /// The owner no longer has the program of a job.
    #[error("the owner no longer has the program of this job. Give it with --program FILE, exactly as the buyer sent it")]
    NoProgram,
    /// No rows were given.
    #[error("there are no data files")]
    NoRows,
    /// The dataset was published without mock rows.
    #[error(
        "this dataset has no mock rows, which its owner adds with `tidegate publish --mock FILE`. Rehearse on your own rows: \
         `tidegate rehearse JOB --mock FILE --policy FILE`"
    )]
    NoMock,
    /// The folder given as a dataset's files lacks one of them.
    #[error("{0}. --data must be a folder with the files of exactly this version, as written by `tidegate fetch`")]
    NotGiven(#[source] tidegate_catalog::dataset::DataError),
    /// The job cannot run on this machine.
    #[error("the job does not run here: {0}")]
    NotRun(#[source] crate::worker::WorkerFailed),
    /// The gate refused a release on this machine.
    #[error(transparent)]
    Gate(#[from] tidegate_gate::GateError),
    /// A table cannot be shown as text.
    #[error("{0}")]
    Table(#[source] arrow::error::ArrowError),
    /// A query over the log failed.
    #[error("{0}")]
    Query(#[source] Box<tidegate_audit::query::QueryError>),
    /// Exact results about the same people have left, and the approval does not name them.
    #[error(
        "exact results about the same people are already released, and two tables that differ by a few people disclose those people. Read them together \
         (`tidegate pending` shows them), then `tidegate approve {job} --beside {}`",
        .beside.join(" --beside ")
    )]
    NotRead {
        /// Prefix of the waiting job's id, as given.
        job: String,
        /// Beginnings of the ids of the other jobs.
        beside: Vec<String>,
    },
    /// The running node did not carry out an order in time. The order stays.
    #[error(
        "the running node has not processed this command after {seconds} s. The command is stored in {} and will be logged when the node processes it",
        .path.display()
    )]
    NotTaken {
        /// Path of the order.
        path: PathBuf,
        /// Waiting time in seconds.
        seconds: u64,
    },
    /// The running node refused an order, for the given reason.
    #[error("{0}")]
    OrderRefused(String),
    /// A witness has seen another state of this party's log, so nothing is served any more.
    #[error("the witness {witness} says: {why}")]
    Witness {
        /// Name of the witness.
        witness: String,
        /// Difference between the two states.
        why: String,
    },
    /// The ledger or log failed.
    #[error(transparent)]
    Store(#[from] tidegate_ledger::StoreError),
    /// A peer's address is unknown, and this party does not look up keys.
    #[error(
        "the address of {peer} is unknown, and address lookup is off: give the address, or run `tidegate network --local on`"
    )]
    Nowhere {
        /// Key of the peer.
        peer: PeerId,
    },
    /// The network failed.
    #[error(transparent)]
    Net(#[from] tidegate_exchange::NetError),
    /// The other side, or this node's own admission, refused.
    #[error(transparent)]
    Refused(#[from] tidegate_protocol::Refusal),
    /// This kernel lacks parts of the workers' process confinement, and the owner did not say that the node serves all the same.
    #[error("this kernel lacks {}: an escape from the sandbox would reach more", .missing.join(", "))]
    Unconfined {
        /// The missing parts.
        missing: Vec<&'static str>,
    },
    /// The program that workers are started from does not answer as a worker of this build.
    #[error(
        "{program} does not work as a worker: {why}. Call `run_worker_if_asked` first in its `main`, before any thread or runtime is started, or name \
         the `tidegate` binary of this build as the worker program"
    )]
    NoWorker {
        /// The program.
        program: String,
        /// Reason of the failure.
        why: String,
    },
    /// The weights of a training run diverged: the run ends with this round, and the rest is not charged.
    #[error(
        "the weights diverged in round {round} of {rounds} (weight {at} is {weight:e}): the run ends here, and the other rounds are not charged. \
         Use a smaller loop.rate, or a higher cost, which gives less noise"
    )]
    Diverged {
        /// The round, counted from 1.
        round: u32,
        /// Number of rounds.
        rounds: u32,
        /// Index of the weight.
        at: usize,
        /// Value of the weight.
        weight: f64,
    },
    /// A job was sent and no answer came; the job may have been charged.
    #[error(
        "{why}. The job was sent as request {request}, and may have been charged. Get its result at no further charge: \
         `tidegate results fetch {request}`, with --to if the owner's node has a new address"
    )]
    Unanswered {
        /// Id of the request.
        request: String,
        /// Reason why no answer came.
        why: String,
    },
    /// Data from a peer or an owner does not verify. Nothing of it was used.
    #[error("verification failed: {0}")]
    Unverified(#[from] Unverified),
}

impl From<ReceiptFault> for NodeError {
    fn from(e: ReceiptFault) -> Self {
        Self::Unverified(e.into())
    }
}

impl From<tidegate_protocol::dsse::BadDocument> for NodeError {
    fn from(e: tidegate_protocol::dsse::BadDocument) -> Self {
        Self::Unverified(e.into())
    }
}

impl From<tidegate_protocol::manifest::BadVersion> for NodeError {
    fn from(e: tidegate_protocol::manifest::BadVersion) -> Self {
        Self::Unverified(e.into())
    }
}

impl From<tidegate_audit::note::BadNote> for NodeError {
    fn from(e: tidegate_audit::note::BadNote) -> Self {
        Self::Unverified(e.into())
    }
}

fn shown(answers: &[(PeerId, NodeError)]) -> String {
    answers.iter().map(|(peer, e)| format!("{}: {e}", peer.short())).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
