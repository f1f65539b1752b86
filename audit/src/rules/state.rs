//! State of an audit, against which later entries are checked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_protocol::{
    ContentHash, Cost, PeerId, Sha256Digest,
    receipt::{JobFacts, LedgerLink, Party},
};

use super::{answered, fetches, leases, report::Report, rights, versions};

/// Charged job without an outcome so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Intent {
    pub(super) facts: Box<JobFacts>,
    pub(super) subject: Option<Sha256Digest>,
}

/// Audit of an owner's log, up to some entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Audit {
    pub(super) owner: PeerId,
    pub(super) report: Report,
    /// Charged jobs without an outcome, by log index.
    pub(super) intents: BTreeMap<u64, Intent>,
    /// Last link of each dataset lineage's chain.
    pub(super) last: BTreeMap<ContentHash, LedgerLink>,
    /// Spending of each buyer, by `population` (dataset lineage) and buyer.
    pub(super) by_buyer: BTreeMap<String, Cost>,
    pub(super) rights: rights::Rights,
    pub(super) versions: versions::Versions,
    /// Approved jobs, with their approvals' ids.
    pub(super) approved: BTreeMap<ContentHash, ContentHash>,
    /// Recent receipts, which their buyers may countersign.
    pub(super) answered: answered::Answered,
    /// Given and taken leases.
    #[serde(default)]
    pub(super) leases: leases::Leases,
    /// Permissions of each party to begin fetching files.
    pub(super) copies: BTreeMap<Party, fetches::Copies>,
    /// Number of these parties after the last purge.
    pub(super) copying_at_most: usize,
    /// Parties whose names were opened to this auditor.
    #[serde(skip)]
    pub(super) opened: BTreeMap<Party, PeerId>,
}
