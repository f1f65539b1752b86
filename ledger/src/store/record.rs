//! A job in the ledger: the request, its charge, and its progress.

use serde::{Deserialize, Serialize};
use tidegate_protocol::{
    Cost, Envelope, PeerId,
    receipt::{JobFacts, draft::Facts},
};

/// Progress of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Charged and logged; no result yet.
    Reserved,
    /// The noised bytes and the receipt are durable.
    Done {
        /// Canonical JSON of the result document.
        result: String,
        /// Log index of the OUTCOME.
        outcome: u64,
    },
    /// Charged, and closed by the owner without a result.
    Closed {
        /// Log index of the OUTCOME.
        outcome: u64,
    },
}

/// Stored job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// The buyer's signed job.
    pub job: Envelope,
    /// Facts stated in both entries.
    pub facts: JobFacts,
    /// Log index of the INTENT.
    pub intent: u64,
    /// Progress.
    pub state: State,
}

impl JobRecord {
    /// Returns the signer of the job, whatever name the log uses.
    pub fn buyer(&self) -> Option<PeerId> {
        self.job.signatures.first()?.keyid.parse().ok()
    }
}

/// Request for a reservation.
#[derive(Debug, Clone)]
pub struct Reserve {
    /// The buyer's request id.
    pub request: String,
    /// The signed job.
    pub job: Envelope,
    /// Facts of the job; `ledger.sequence` and `ledger.previous` are filled in here.
    pub facts: JobFacts,
    /// The buyer's own cap.
    pub per_buyer: Cost,
}

/// A durable charge. Comes only out of [`Store::reserve`] and [`Store::unfinished`].
#[derive(Debug)]
pub struct Reservation {
    pub(super) key: String,
    pub(super) record: JobRecord,
    /// Facts as in the INTENT, to the last digit of their numbers.
    pub(super) written: Facts,
}

impl Reservation {
    /// Returns the record of the reserved job.
    pub fn record(&self) -> &JobRecord {
        &self.record
    }
}
