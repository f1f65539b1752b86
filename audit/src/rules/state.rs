//! How far an audit has come: what later entries are checked against.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_protocol::{
    ContentHash, Cost, PeerId, Sha256Digest,
    receipt::{JobFacts, LedgerLink, Party},
};

use super::{answered, fetches, leases, report::Report, rights, versions};

/// A charged job that has no outcome yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Intent {
    pub(super) facts: Box<JobFacts>,
    pub(super) subject: Option<Sha256Digest>,
}

/// An audit of one owner's log, as far as it has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Audit {
    pub(super) owner: PeerId,
    pub(super) report: Report,
    /// Charged jobs without an outcome, by log index.
    pub(super) intents: BTreeMap<u64, Intent>,
    /// The last link of each population's chain.
    pub(super) last: BTreeMap<ContentHash, LedgerLink>,
    /// What each buyer spent, by population and buyer.
    pub(super) by_buyer: BTreeMap<String, Cost>,
    pub(super) rights: rights::Rights,
    pub(super) versions: versions::Versions,
    /// Jobs that were approved, by their approvals' ids.
    pub(super) approved: BTreeMap<ContentHash, ContentHash>,
    /// The last receipts, which their buyers may countersign.
    pub(super) answered: answered::Answered,
    /// Leases, given and taken.
    #[serde(default)]
    pub(super) leases: leases::Leases,
    /// What each party may begin to fetch files by.
    pub(super) copies: BTreeMap<Party, fetches::Copies>,
    /// Number of these parties after the last time that some were forgotten.
    pub(super) copying_at_most: usize,
    /// Whose names were opened to this auditor.
    #[serde(skip)]
    pub(super) opened: BTreeMap<Party, PeerId>,
}
