//! What an audit tells.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_protocol::{ContentHash, Cost};

use super::leases;

/// A broken rule, and what was seen of it.
pub type Broken = (&'static str, String);

/// A broken rule at one entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Index of the offending entry.
    pub entry: u64,
    /// The rule that is broken.
    pub rule: String,
    /// What was seen.
    pub detail: String,
}

/// What an audit saw.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Entries read.
    pub entries: u64,
    /// Versions of datasets that were published.
    pub publications: u64,
    /// Versions and datasets that were retired.
    #[serde(default)]
    pub retirements: u64,
    /// Jobs that were charged.
    pub intents: u64,
    /// Charged jobs whose result was released.
    pub outcomes: u64,
    /// Charged jobs that the owner closed without a result.
    pub spent_not_released: u64,
    /// Jobs that were turned away.
    pub refusals: u64,
    /// Grants that were issued.
    pub grants: u64,
    /// Revocations.
    pub revocations: u64,
    /// Jobs that the owner read, approved or not.
    pub approvals: u64,
    /// Times that a peer was let copy a dataset.
    pub copies: u64,
    /// Parts of files that were sent.
    pub fetches: u64,
    /// Receipts that their buyers countersigned.
    #[serde(default)]
    pub countersigned: u64,
    /// Replays by auditors.
    pub replays: u64,
    /// Leases that this log's owner gave or took, by their ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub leases: BTreeMap<ContentHash, leases::Seen>,
    /// Leases that the owner gave, that ran out and that did not come back: their budget counts as spent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_leases: Vec<ContentHash>,
    /// Charged jobs without an outcome: running, or lost.
    pub open: Vec<u64>,
    /// What was spent on each population.
    pub spent: BTreeMap<String, Cost>,
    /// What may be spent on each population, by the last charge.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub caps: BTreeMap<String, Cost>,
    /// The first and the last time that an entry states, RFC 3339: slots of jobs, and when copies and replays were allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<(String, String)>,
    /// What this log states of a leaseholder's jobs, to compare with the leaseholder's own log.
    #[serde(skip)]
    pub stated: leases::Stated,
    /// Broken rules, the first of them; empty when all rules hold.
    pub findings: Vec<Finding>,
    /// The number of broken rules beyond those listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub further_findings: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}
