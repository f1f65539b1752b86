//! The rooms wired into provider, buyer and auditor. What the command line and every other face stand on.
//!
//! # Goals
//! - The path of a job in one file a step: [`provider`] (admit → reserve → run → release → log → reply), [`worker`] (the process that
//!   runs a buyer's program), [`buyer`] (ask, verify, only then show).
//! - The node itself never parses a buyer's SQL or runs a buyer's code.
//!
//! # Non-goals
//! - Words for people (`cli`).

#![forbid(unsafe_code)]

pub mod answer;
mod asking;
pub mod auditor;
pub mod book;
pub mod budget;
pub mod buyer;
pub mod check;
pub mod code;
pub mod copies;
mod defaults;
pub mod doctor;
pub mod expected;
pub mod fallbacks;
mod fault;
pub mod finding;
mod given;
pub mod grants;
pub mod history;
pub mod holding;
pub mod home;
pub mod ids;
pub mod inspect;
pub mod jobfile;
pub mod meter;
pub mod mirror;
mod model;
mod offers;
pub mod pace;
pub mod parties;
pub mod pointing;
pub mod provider;
mod public;
pub mod publish;
pub mod quarantine;
mod question;
pub mod rehearse;
pub mod results;
pub mod retire;
pub mod review;
pub mod running;
mod salts;
pub mod sample;
mod spool;
pub mod survey;
pub mod table;
pub mod telling;
pub mod training;
mod verified;
pub mod witness;
pub mod worker;

pub use tidegate_exchange::Address;
pub use tidegate_sandbox::sql::kind_of_manifest;

/// What went wrong, in words for the person at the keyboard.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// A file or folder.
    #[error("{0}")]
    File(String),
    /// A policy.
    #[error(transparent)]
    Policy(#[from] tidegate_protocol::policy::BadPolicy),
    /// A dataset.
    #[error(transparent)]
    Data(#[from] tidegate_catalog::dataset::DataError),
    /// Ledger or log.
    #[error(transparent)]
    Store(#[from] tidegate_ledger::StoreError),
    /// The network.
    #[error(transparent)]
    Net(#[from] tidegate_exchange::NetError),
    /// The other side, or our own admission, said no.
    #[error(transparent)]
    Refused(#[from] tidegate_protocol::Refusal),
    /// The weights of a training run left all bounds: it ends with that round, and the rest is not charged.
    #[error(
        "the weights diverged in round {round} of {rounds} (weight {at} is {weight:e}): the run ends here, and the other rounds are not charged. \
         Give it a smaller loop.rate, or a price that buys less noise"
    )]
    Diverged {
        /// The round, from 1 on.
        round: u32,
        /// Of how many.
        rounds: u32,
        /// Which weight.
        at: usize,
        /// What it came to.
        weight: f64,
    },
    /// A job was sent, and no answer came: whether it was charged is not known.
    #[error(
        "{why}. The job was sent as request {request}, and may have been charged. What was paid for is had at no further charge: \
         `tidegate results fetch {request}`, with --to where the owner's node has another address since"
    )]
    Unanswered {
        /// The request's id.
        request: String,
        /// What came instead of an answer.
        why: String,
    },
    /// Something a peer or an owner sent does not verify. Nothing of it was used.
    #[error("verification failed: {0}")]
    Unverified(String),
}

impl From<tidegate_protocol::dsse::BadDocument> for NodeError {
    fn from(e: tidegate_protocol::dsse::BadDocument) -> Self {
        Self::Unverified(e.to_string())
    }
}

impl From<tidegate_protocol::manifest::BadVersion> for NodeError {
    fn from(e: tidegate_protocol::manifest::BadVersion) -> Self {
        Self::Unverified(e.to_string())
    }
}

impl From<tidegate_audit::note::BadNote> for NodeError {
    fn from(e: tidegate_audit::note::BadNote) -> Self {
        Self::Unverified(e.to_string())
    }
}

pub(crate) fn file_error(path: &std::path::Path, e: impl std::fmt::Display) -> NodeError {
    NodeError::File(format!("{}: {e}", path.display()))
}
