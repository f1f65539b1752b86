//! Kinds of entries of an owner's log: each access, and each act permitting access.

use serde::{Deserialize, Serialize};

use super::{JobFacts, LedgerLink, Party};
use crate::{ContentHash, Cost, Lease, PeerId, Settlement, Sha256Digest, grant::Scope, policy::Answering, refusal::Code};

/// Ending of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// A result was released.
    Released,
    /// The job was charged and closed by the owner without a result.
    SpentNotReleased,
}

/// Reason why a job was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turned {
    /// The policy forbids the job, or the program cannot be admitted.
    RefusedByPolicy,
    /// The remaining budget does not cover the job.
    RefusedByBudget,
}

impl Turned {
    /// Returns the reason in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::RefusedByPolicy => "by the policy",
            Self::RefusedByBudget => "by the remaining budget",
        }
    }

    /// Returns the reason for a logged refusal. Other refusals are about the request or the machine, and are not logged.
    pub fn of(code: Code) -> Option<Self> {
        match code {
            Code::Policy | Code::Program => Some(Self::RefusedByPolicy),
            Code::Budget => Some(Self::RefusedByBudget),
            _ => None,
        }
    }
}

/// Change between successive versions of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The files changed.
    Data,
    /// The policy changed.
    Policy,
    /// The budget set by the policy changed.
    Budget,
}

impl Change {
    /// Returns a word for the change.
    pub fn word(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Policy => "policy",
            Self::Budget => "budget",
        }
    }
}

/// Predicates of entries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case", rename_all_fields = "snake_case", deny_unknown_fields)]
pub enum Predicate {
    /// Budget is reserved, and rows are about to be read. Subject: the job.
    Intent(Box<JobFacts>),
    /// A charged job has ended: the access receipt. Subject: the result's bytes, or the job if there is no result.
    Outcome {
        /// Facts of the intent, repeated.
        facts: Box<JobFacts>,
        /// Log index of the intent being closed.
        intent: u64,
        /// `dp`, `reviewed` for an exact result, or `none`.
        mode: String,
        /// Ending of the job.
        outcome: Ending,
        /// Salted digest of the exact sums behind a result (`docs/reference/receipts.md`). Without the salt, which the owner opens
        /// to auditors who may replay, it tells nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commitment: Option<Sha256Digest>,
    },
    /// A job was refused before being charged. Subject: the job.
    Refusal {
        /// Id of the job.
        job: ContentHash,
        /// Buyer's signature over the job, base64.
        buyer_signature: String,
        /// Buyer.
        buyer: Party,
        /// Manifest named by the job.
        dataset: ContentHash,
        /// Policy in force.
        policy: ContentHash,
        /// Revocation ids of the grant shown.
        grant_ids: Vec<String>,
        /// Reason.
        outcome: Turned,
    },
    /// A dataset version was published. Subject: the manifest.
    Publication {
        /// Id of the manifest.
        manifest: ContentHash,
        /// Id of the policy.
        policy: ContentHash,
        /// Dataset lineage.
        population: ContentHash,
        /// Previous manifest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        previous: Option<ContentHash>,
        /// Changes since the previous manifest.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        changes: Vec<Change>,
        /// Cap in force from now on.
        cap: Cost,
        /// Maximum part of the cap for each buyer.
        per_buyer: Cost,
        /// Publisher, if this log's owner holds the dataset for another party. Only leases are charged then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<PeerId>,
        /// Earlier versions answering from now on, under what both policies allow.
        #[serde(default, skip_serializing_if = "Answering::is_newest")]
        versions: Answering,
    },
    /// A version, or a whole dataset, is retired: no job is run on it, no file of it is copied, no part of its budget is handed
    /// over.
    ///
    /// Subject: the manifest, or the lineage's id as text if the whole dataset is retired.
    Retirement {
        /// Manifest of the version; `None` if the whole dataset is withdrawn.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        manifest: Option<ContentHash>,
        /// Dataset lineage.
        population: ContentHash,
    },
    /// A grant was issued. Subject: the token.
    Grant {
        /// Revocation id of the owner's block, hexadecimal.
        grant: String,
        /// Holder of the grant.
        holder: Party,
        /// Dataset lineage.
        population: ContentHash,
        /// Actions granted, their limits and the time of expiry.
        scope: Box<Scope>,
    },
    /// A grant, or a grant narrowed from it, is revoked. Subject: the id.
    Revocation {
        /// Revocation id of a block of the grant, hexadecimal.
        grant: String,
    },
    /// The owner reviewed a job asking for an exact result. Subject: the job.
    Approval {
        /// Id of the job.
        job: ContentHash,
        /// Id of the signed approval; `None` if denied.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approval: Option<ContentHash>,
    },
    /// A peer may fetch a dataset's files from now on. Subject: the manifest.
    Copy {
        /// Peer.
        peer: Party,
        /// Whether these are the encrypted files, which mirrors may have too.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        sealed: bool,
        /// Whether the peer may fetch no files, and was told the key of their names where nobody may copy them.
        ///
        /// This is for a peer that has the files and holds them by a lease.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        key: bool,
        /// Holder of the grant, if not the peer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        holder: Option<Party>,
        /// Manifest of the files.
        manifest: ContentHash,
        /// Dataset lineage.
        population: ContentHash,
        /// Revocation ids of the grant shown.
        grant_ids: Vec<String>,
        /// Time, RFC 3339.
        time: String,
    },
    /// A peer is sent a part of a file. Subject: the file's hash as text.
    Fetch {
        /// Peer.
        peer: Party,
        /// BLAKE3 of the file. For a file not known to everybody, a secret name chosen by the owner.
        file: ContentHash,
        /// Byte ranges, ends excluded; no end if the rest of the file was asked for. For a file not known to everybody, all of
        /// it, whatever was asked for.
        ranges: Vec<(u64, Option<u64>)>,
        /// Time, RFC 3339.
        time: String,
    },
    /// A part of the budget was handed over. Subject: the lease.
    Lease {
        /// Lease.
        lease: Box<Lease>,
        /// This owner's signature over the lease, base64.
        signature: String,
        /// Charge, in full.
        ledger: LedgerLink,
        /// Revocation ids of the grant shown.
        grant_ids: Vec<String>,
    },
    /// This log's owner was handed a part of another's budget. Subject: the lease.
    LeaseTaken {
        /// Lease.
        lease: Box<Lease>,
        /// Owner of the lease.
        owner: PeerId,
        /// Owner's signature over the lease, base64.
        signature: String,
    },
    /// A lease has ended: nothing more is spent under it. Subject: the settlement, or the lease if burnt.
    LeaseEnd {
        /// Id of the lease.
        lease: ContentHash,
        /// Dataset lineage.
        population: ContentHash,
        /// Leaseholder's statement of spending; the rest is this owner's again. `None` if the lease is burnt: all of it counts as
        /// spent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        settlement: Option<Box<Settlement>>,
        /// Leaseholder's signature over the settlement, base64.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<String>,
    },
    /// A buyer has a result and its receipt. Subject: the receipt's entry.
    Countersignature {
        /// Buyer.
        buyer: Party,
        /// Id of the job.
        job: ContentHash,
        /// Log index of the job's outcome.
        outcome: u64,
        /// Buyer's signature over the [`Countersignature`](crate::Countersignature), base64.
        signature: String,
    },
    /// An auditor received everything needed to rerun a job and compare. Subject: the receipt's entry.
    Replay {
        /// Auditor.
        auditor: Party,
        /// Holder of the grant, if not the auditor.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        holder: Option<Party>,
        /// Dataset lineage.
        population: ContentHash,
        /// Id of the job.
        job: ContentHash,
        /// Log index of the job's outcome.
        outcome: u64,
        /// Revocation ids of the grant shown.
        grant_ids: Vec<String>,
        /// Time, RFC 3339.
        time: String,
    },
}

/// Kinds of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// [`Predicate::Intent`].
    Intent,
    /// [`Predicate::Outcome`].
    Receipt,
    /// [`Predicate::Refusal`].
    Refusal,
    /// [`Predicate::Publication`].
    Publication,
    /// [`Predicate::Retirement`].
    Retirement,
    /// [`Predicate::Grant`].
    Grant,
    /// [`Predicate::Revocation`].
    Revocation,
    /// [`Predicate::Approval`].
    Approval,
    /// [`Predicate::Copy`].
    Copy,
    /// [`Predicate::Fetch`].
    Fetch,
    /// [`Predicate::Countersignature`].
    Countersignature,
    /// [`Predicate::Replay`].
    Replay,
    /// [`Predicate::Lease`].
    Lease,
    /// [`Predicate::LeaseTaken`].
    LeaseTaken,
    /// [`Predicate::LeaseEnd`].
    LeaseEnd,
}

impl Kind {
    /// Returns in-toto's predicate type.
    pub fn uri(self) -> &'static str {
        match self {
            Self::Intent => "https://tidegate.dev/access-intent/v1",
            Self::Receipt => "https://tidegate.dev/access-receipt/v1",
            Self::Refusal => "https://tidegate.dev/refusal/v1",
            Self::Publication => "https://tidegate.dev/publication/v1",
            Self::Retirement => "https://tidegate.dev/retirement/v1",
            Self::Grant => "https://tidegate.dev/grant/v1",
            Self::Revocation => "https://tidegate.dev/revocation/v1",
            Self::Approval => "https://tidegate.dev/approval/v1",
            Self::Copy => "https://tidegate.dev/copy/v1",
            Self::Fetch => "https://tidegate.dev/fetch/v1",
            Self::Countersignature => "https://tidegate.dev/countersignature/v1",
            Self::Replay => "https://tidegate.dev/replay/v1",
            Self::Lease => "https://tidegate.dev/lease/v1",
            Self::LeaseTaken => "https://tidegate.dev/lease-taken/v1",
            Self::LeaseEnd => "https://tidegate.dev/lease-end/v1",
        }
    }
}

impl Predicate {
    /// Returns the kind of the predicate.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Intent(_) => Kind::Intent,
            Self::Outcome { .. } => Kind::Receipt,
            Self::Refusal { .. } => Kind::Refusal,
            Self::Publication { .. } => Kind::Publication,
            Self::Retirement { .. } => Kind::Retirement,
            Self::Grant { .. } => Kind::Grant,
            Self::Revocation { .. } => Kind::Revocation,
            Self::Approval { .. } => Kind::Approval,
            Self::Copy { .. } => Kind::Copy,
            Self::Fetch { .. } => Kind::Fetch,
            Self::Countersignature { .. } => Kind::Countersignature,
            Self::Replay { .. } => Kind::Replay,
            Self::Lease { .. } => Kind::Lease,
            Self::LeaseTaken { .. } => Kind::LeaseTaken,
            Self::LeaseEnd { .. } => Kind::LeaseEnd,
        }
    }
}
