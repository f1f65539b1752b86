//! Every kind of entry that an owner's log has: each access, and each thing that lets one happen.

use serde::{Deserialize, Serialize};

use super::{JobFacts, LedgerLink, Party};
use crate::{ContentHash, Cost, Lease, PeerId, Settlement, Sha256Digest, grant::Scope, policy::Answering, refusal::Code};

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// A result was released.
    Released,
    /// It was charged, and the owner closed it without a result.
    SpentNotReleased,
}

/// Why a job was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turned {
    /// By the policy, or by what it says of programs.
    RefusedByPolicy,
    /// By what is left of a budget.
    RefusedByBudget,
}

impl Turned {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::RefusedByPolicy => "by the policy",
            Self::RefusedByBudget => "by what is left of a budget",
        }
    }

    /// Of a refusal, where it is one that is logged: others are about the request or the machine.
    pub fn of(code: Code) -> Option<Self> {
        match code {
            Code::Policy | Code::Program => Some(Self::RefusedByPolicy),
            Code::Budget => Some(Self::RefusedByBudget),
            _ => None,
        }
    }
}

/// What changed from one version of a dataset to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The files.
    Data,
    /// The policy.
    Policy,
    /// What the policy lets be spent.
    Budget,
}

impl Change {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Policy => "policy",
            Self::Budget => "budget",
        }
    }
}

/// The predicates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case", rename_all_fields = "snake_case", deny_unknown_fields)]
pub enum Predicate {
    /// Budget is reserved, rows are about to be read. Subject: the job.
    Intent(Box<JobFacts>),
    /// A job that was charged has ended: the access receipt. Subject: the result's bytes; the job, where there is none.
    Outcome {
        /// The facts of the intent, repeated.
        facts: Box<JobFacts>,
        /// Log index of the intent it closes.
        intent: u64,
        /// `dp`, `reviewed` for an exact result, or `none`.
        mode: String,
        /// How.
        outcome: Ending,
        /// Of a result: the salted digest of the exact sums that it was made of (`docs/receipts.md`). Without the salt, which the owner opens to auditors
        /// who may replay, it tells nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commitment: Option<Sha256Digest>,
    },
    /// A job was turned away before it was charged. Subject: the job.
    Refusal {
        /// Id of the job.
        job: ContentHash,
        /// The buyer's signature over it, base64.
        buyer_signature: String,
        /// The buyer.
        buyer: Party,
        /// The manifest that it names.
        dataset: ContentHash,
        /// The policy in force.
        policy: ContentHash,
        /// Revocation ids of the grant shown.
        grant_ids: Vec<String>,
        /// Why.
        outcome: Turned,
    },
    /// A dataset version was published. Subject: the manifest.
    Publication {
        /// Id of the manifest.
        manifest: ContentHash,
        /// Id of the policy.
        policy: ContentHash,
        /// The population.
        population: ContentHash,
        /// The manifest before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        previous: Option<ContentHash>,
        /// What differs from it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        changes: Vec<Change>,
        /// The cap in force from now on.
        cap: Cost,
        /// What one buyer may spend of it.
        per_buyer: Cost,
        /// Who published it, where this log's owner holds it for another: it is charged to leases alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<PeerId>,
        /// Which versions before it answer from now on, under what both policies allow.
        #[serde(default, skip_serializing_if = "Answering::is_newest")]
        versions: Answering,
    },
    /// A version, or a whole dataset, answers nothing any more: no job is run on it, no file of it is copied, no part of its budget handed over. Subject: the
    /// manifest; the population's id as text, where it is all of it.
    Retirement {
        /// The manifest of the version; none where the whole dataset is withdrawn.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        manifest: Option<ContentHash>,
        /// The population.
        population: ContentHash,
    },
    /// A grant was issued. Subject: the token.
    Grant {
        /// Revocation id of the owner's block, hexadecimal.
        grant: String,
        /// Who holds it.
        holder: Party,
        /// On which population.
        population: ContentHash,
        /// To do what, how much of it and until when.
        scope: Box<Scope>,
    },
    /// A grant, or one that was narrowed from it, is good for nothing any more. Subject: the id.
    Revocation {
        /// The revocation id of one of its blocks, hexadecimal.
        grant: String,
    },
    /// The owner read a job that asks for an exact result. Subject: the job.
    Approval {
        /// Id of the job.
        job: ContentHash,
        /// Id of the signed approval; none where it was denied.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approval: Option<ContentHash>,
    },
    /// A peer may fetch a dataset's files from now on. Subject: the manifest.
    Copy {
        /// Who.
        peer: Party,
        /// Whether they are the encrypted ones, which who mirrors them may have too.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        sealed: bool,
        /// Whether it may fetch none of them, and was told the key that they are named with where nobody may copy them: for who has them, and holds them by a
        /// lease.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        key: bool,
        /// Who was granted it, where that is another than the peer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        holder: Option<Party>,
        /// Of which manifest.
        manifest: ContentHash,
        /// Its population.
        population: ContentHash,
        /// Revocation ids of the grant shown.
        grant_ids: Vec<String>,
        /// When, RFC 3339.
        time: String,
    },
    /// A peer is sent a part of a file. Subject: the file's hash as text.
    Fetch {
        /// Who.
        peer: Party,
        /// BLAKE3 of the file; of one that not everybody may know of, a name that is the owner's secret.
        file: ContentHash,
        /// From byte to byte, the last excluded; no end where everything to the file's end was asked for. Of a file that not everybody may know of all of it,
        /// whatever was asked for.
        ranges: Vec<(u64, Option<u64>)>,
        /// When, RFC 3339.
        time: String,
    },
    /// A part of the budget was handed over. Subject: the lease.
    Lease {
        /// The lease.
        lease: Box<Lease>,
        /// This owner's signature over it, base64.
        signature: String,
        /// The charge, in full.
        ledger: LedgerLink,
        /// Revocation ids of the grant shown.
        grant_ids: Vec<String>,
    },
    /// This log's owner was handed a part of another's budget. Subject: the lease.
    LeaseTaken {
        /// The lease.
        lease: Box<Lease>,
        /// Who handed it over.
        owner: PeerId,
        /// Its signature over it, base64.
        signature: String,
    },
    /// Nothing is spent under a lease any more. Subject: the settlement; the lease, where it is burnt.
    LeaseEnd {
        /// Id of the lease.
        lease: ContentHash,
        /// The population.
        population: ContentHash,
        /// What the leaseholder says was spent: the rest is this owner's again. None where the lease is burnt: all of it counts as spent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        settlement: Option<Box<Settlement>>,
        /// The leaseholder's signature over that, base64.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<String>,
    },
    /// A buyer has a result and its receipt. Subject: the receipt's entry.
    Countersignature {
        /// The buyer.
        buyer: Party,
        /// Id of the job.
        job: ContentHash,
        /// Log index of its outcome.
        outcome: u64,
        /// The buyer's signature over the [`Countersignature`](crate::Countersignature) of it, base64.
        signature: String,
    },
    /// An auditor is told what it takes to run a job again and compare. Subject: the receipt's entry.
    Replay {
        /// Who.
        auditor: Party,
        /// Who was granted it, where that is another than the auditor.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        holder: Option<Party>,
        /// The population.
        population: ContentHash,
        /// Id of the job.
        job: ContentHash,
        /// Log index of its outcome.
        outcome: u64,
        /// Revocation ids of the grant shown.
        grant_ids: Vec<String>,
        /// When, RFC 3339.
        time: String,
    },
}

/// The kinds of entries.
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
    /// in-toto's predicate type.
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
    /// Which kind it is.
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
