//! Leases, versions and grants as one log states them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_protocol::{ContentHash, Cost, Lease, PeerId, grant::Scope, receipt::Party};

/// A lease as one log has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Index of the entry.
    pub entry: u64,
    /// Whose budget it is of.
    pub owner: PeerId,
    /// Who has it, or had it.
    pub holder: PeerId,
    /// Of which population.
    pub population: ContentHash,
    /// How much.
    pub amount: Cost,
    /// What the leaseholder says was spent, once it has ended so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<Cost>,
    /// Whether it is lost, and counts as spent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub burnt: bool,
}

/// What leases there were, and which are open.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Leases {
    /// Those that this log's owner gave and that have not ended.
    pub(super) out: BTreeMap<ContentHash, Lease>,
    /// By population, the one that it took.
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

/// What a log states, to be held against another's.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stated {
    /// Whose log it is.
    pub owner: Option<PeerId>,
    /// Versions by manifest.
    pub versions: BTreeMap<ContentHash, VersionSeen>,
    /// Grants by their revocation ids.
    pub grants: BTreeMap<String, GrantSeen>,
}

/// A version that a log says was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionSeen {
    /// Index of the entry.
    pub entry: u64,
    /// The policy.
    pub policy: ContentHash,
    /// The population.
    pub population: ContentHash,
    /// Whose it is, where it is held for another.
    pub owner: Option<PeerId>,
}

/// A grant that a log says was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantSeen {
    /// Index of the entry.
    pub entry: u64,
    /// Who holds it.
    pub holder: Party,
    /// On which population.
    pub population: ContentHash,
    /// For what.
    pub scope: Scope,
}
