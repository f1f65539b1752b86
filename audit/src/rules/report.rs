//! Result of an audit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_protocol::{ContentHash, Cost};

use super::leases;

/// A broken rule, and the observation.
pub type Broken = (&'static str, String);

/// A broken rule at an entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Index of the offending entry.
    pub entry: u64,
    /// Name of the broken rule.
    pub rule: String,
    /// Observation.
    pub detail: String,
}

/// Report of an audit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Number of entries read.
    pub entries: u64,
    /// Number of published versions of datasets.
    pub publications: u64,
    /// Number of retired versions and datasets.
    #[serde(default)]
    pub retirements: u64,
    /// Number of charged jobs.
    pub intents: u64,
    /// Number of charged jobs with a released result.
    pub outcomes: u64,
    /// Number of charged jobs closed by the owner without a result.
    pub spent_not_released: u64,
    /// Number of refused jobs.
    pub refusals: u64,
    /// Number of issued grants.
    pub grants: u64,
    /// Number of revocations.
    pub revocations: u64,
    /// Number of jobs read by the owner, approved or not.
    pub approvals: u64,
    /// Number of times a peer was allowed to copy a dataset.
    pub copies: u64,
    /// Number of sent parts of files.
    pub fetches: u64,
    /// Number of receipts countersigned by their buyers.
    #[serde(default)]
    pub countersigned: u64,
    /// Number of replays by auditors.
    pub replays: u64,
    /// Leases given or taken by this log's owner, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub leases: BTreeMap<ContentHash, leases::Seen>,
    /// Leases given by the owner, expired and not returned: their budget counts as spent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_leases: Vec<ContentHash>,
    /// Charged jobs without an outcome: running, or lost.
    pub open: Vec<u64>,
    /// Budget spent on each `population` (dataset lineage).
    pub spent: BTreeMap<String, Cost>,
    /// Cap of each `population`, by its last charge.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub caps: BTreeMap<String, Cost>,
    /// First and last time stated by an entry, RFC 3339: slots of jobs, and times at which copies and replays were allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<(String, String)>,
    /// Statements of this log about a leaseholder's jobs, for comparison with the leaseholder's own log.
    #[serde(skip)]
    pub stated: leases::Stated,
    /// The first broken rules; empty if all rules hold.
    pub findings: Vec<Finding>,
    /// Number of broken rules beyond the listed ones.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub further_findings: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}
