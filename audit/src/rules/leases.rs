//! Leases, versions and grants as stated in a log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_protocol::{ContentHash, Cost, Lease, PeerId, grant::Scope, receipt::Party};

/// A lease as stated in a log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Index of the entry.
    pub entry: u64,
    /// Owner of the budget.
    pub owner: PeerId,
    /// Present or former holder of the lease.
    pub holder: PeerId,
    /// Dataset lineage of the budget.
    pub population: ContentHash,
    /// Leased amount.
    pub amount: Cost,
    /// Amount spent according to the leaseholder, if the lease ended with a settlement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<Cost>,
    /// Whether the lease is lost, and counts as spent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub burnt: bool,
}

/// All leases, with the open ones.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Leases {
    /// Open leases given by this log's owner.
    pub(super) out: BTreeMap<ContentHash, Lease>,
    /// The lease last taken, by `population` (dataset lineage).
    pub(super) taken: BTreeMap<ContentHash, Taken>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Taken {
    pub(super) id: ContentHash,
    pub(super) lease: Lease,
    pub(super) base: Cost,
    pub(super) buyers: BTreeMap<Party, Cost>,
    pub(super) open: bool,
}

/// Statements of a log, for comparison with another log.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stated {
    /// Owner of the log.
    pub owner: Option<PeerId>,
    /// Versions by manifest.
    pub versions: BTreeMap<ContentHash, VersionSeen>,
    /// Grants by revocation id.
    pub grants: BTreeMap<String, GrantSeen>,
}

/// Published version, according to a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionSeen {
    /// Index of the entry.
    pub entry: u64,
    /// Hash of the policy.
    pub policy: ContentHash,
    /// Dataset lineage.
    pub population: ContentHash,
    /// Owner of the dataset, if the version is held for another.
    pub owner: Option<PeerId>,
}

/// Issued grant, according to a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantSeen {
    /// Index of the entry.
    pub entry: u64,
    /// Holder of the grant.
    pub holder: Party,
    /// Dataset lineage of the grant.
    pub population: ContentHash,
    /// Scope of the grant.
    pub scope: Scope,
}
