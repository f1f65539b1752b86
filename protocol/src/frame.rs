//! The frames of the job protocol (ALPN [`ALPN`]): one request and one reply a stream, JSON, each bounded by [`crate::limits`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ContentHash, Cost, Envelope, PeerId, Refusal, Sha256Digest, manifest::FileKey, receipt::Party};

/// ALPN of the job protocol.
pub const ALPN: &[u8] = b"tidegate/job/1";

/// What a peer asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Which datasets are here that this peer may see? Answered with signed manifests and policies.
    Listings {
        /// Biscuit token, base64; empty where there is none.
        #[serde(default)]
        grant: String,
    },
    /// Run a job. The attachment, if any, follows as raw bytes of the length given.
    Submit {
        /// The signed job.
        job: Envelope,
        /// Biscuit token, base64.
        grant: String,
        /// Length of the attachment that follows.
        attachment_bytes: u64,
    },
    /// Permission to copy a dataset's files over the blobs protocol on this connection's identity.
    Replicate {
        /// Id of the manifest.
        dataset: ContentHash,
        /// Biscuit token, base64.
        grant: String,
    },
    /// Permission to copy a dataset's files as for [`Request::Replicate`], and of which pieces one of them is made: whoever has an earlier version needs
    /// only those that are new.
    Pieces {
        /// Id of the manifest.
        dataset: ContentHash,
        /// The file.
        file: ContentHash,
        /// Biscuit token, base64.
        grant: String,
    },
    /// The key that a dataset's files are named with where nobody may copy them, for who holds them: so that it sees whether those it has are the published ones.
    FileKey {
        /// Id of the manifest.
        dataset: ContentHash,
        /// Biscuit token, base64: a grant of `hold`.
        grant: String,
    },
    /// The latest version of a population as it is encrypted, and permission to copy its encrypted files: from its owner, or from who mirrors it.
    Sealed {
        /// The population.
        population: ContentHash,
        /// Biscuit token, base64.
        grant: String,
        /// Id of the [`crate::Sealed`] that is here already: where there is no later one, permission is not asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        known: Option<ContentHash>,
    },
    /// The latest list of the grants that an owner revoked.
    Revocations {
        /// Whose.
        owner: PeerId,
    },
    /// Permission to copy a dataset's mock rows.
    Mock {
        /// Id of the manifest.
        dataset: ContentHash,
        /// Biscuit token, base64; empty where there is none.
        #[serde(default)]
        grant: String,
    },
    /// Which listings one side has and the other lacks: a message of range-based set reconciliation.
    Reconcile {
        /// The message (negentropy's protocol 1), base64.
        message: String,
    },
    /// Listings by their ids, as many of them as a reply has room for.
    Catalogue {
        /// Ids of the listings.
        ids: Vec<ContentHash>,
    },
    /// One file of the receipt log: `checkpoint`, `tile/…`.
    LogFile {
        /// C2SP tlog-tiles path.
        path: String,
    },
    /// What it takes to run a receipt's job again, for an auditor who may.
    Replay {
        /// Log index of the receipt.
        entry: u64,
        /// Biscuit token, base64.
        grant: String,
    },
    /// Hand over a part of a population's budget.
    Lease {
        /// The version that is held: where it is not the one in force, nothing is handed over.
        dataset: ContentHash,
        /// Biscuit token, base64: a grant of `hold`.
        grant: String,
        /// What this leaseholder calls it ([`crate::lease::is_nonce`]). An earlier lease of another name that has not come back is burnt.
        nonce: String,
        /// How much; less is handed over where less is left.
        want: Cost,
    },
    /// Take back what was not spent of a lease.
    Settle {
        /// The population.
        population: ContentHash,
        /// The signed [`crate::Settlement`].
        settlement: Envelope,
    },
    /// Log that the buyer has a result and its receipt.
    Countersign {
        /// The signed [`crate::Countersignature`].
        word: Envelope,
    },
    /// Cosign a checkpoint, as a witness.
    AddCheckpoint {
        /// The body of a C2SP tlog-witness `add-checkpoint` request.
        body: String,
    },
    /// The last checkpoint of this origin that the witness cosigned.
    LastCheckpoint {
        /// The log's origin.
        origin: String,
    },
}

impl Request {
    /// The token that came with it; empty where none did.
    pub fn grant(&self) -> &str {
        match self {
            Self::Listings { grant }
            | Self::Submit { grant, .. }
            | Self::Replicate { grant, .. }
            | Self::Pieces { grant, .. }
            | Self::FileKey { grant, .. }
            | Self::Sealed { grant, .. }
            | Self::Mock { grant, .. }
            | Self::Replay { grant, .. }
            | Self::Lease { grant, .. } => grant,
            Self::Revocations { .. }
            | Self::Reconcile { .. }
            | Self::Catalogue { .. }
            | Self::LogFile { .. }
            | Self::Settle { .. }
            | Self::Countersign { .. }
            | Self::AddCheckpoint { .. }
            | Self::LastCheckpoint { .. } => "",
        }
    }
}

/// A piece of a file, cut where its content says so: where something is put in or taken out, the pieces after it stay as they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// Its size in bytes; it begins where the one before it ends.
    pub bytes: u32,
    /// Its BLAKE3.
    pub hash: ContentHash,
}

/// A published dataset as its owner shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// The signed manifest.
    pub manifest: Envelope,
    /// The signed policy.
    pub policy: Envelope,
    /// Where another than its owner shows it: the owner's signed [`crate::Lease`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Envelope>,
    /// Where there is a newer version: that one's signed policy, which says whether this one answers. What both policies allow is in force then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Envelope>,
}

/// A lease as it is handed over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandedOver {
    /// The signed [`crate::Lease`].
    pub lease: Envelope,
    /// Who has less left than the lease's share of a buyer, and how much.
    pub less: BTreeMap<Party, Cost>,
}

/// A result with all that is needed to check it offline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Canonical JSON of a [`crate::result::ResultDoc`], base64.
    pub result: String,
    /// The receipt: the OUTCOME entry as logged.
    pub receipt: Envelope,
    /// C2SP tlog-proof of the receipt, checkpoint included.
    pub proof: String,
    /// What is left for this buyer after it.
    pub remaining: Cost,
    /// Opens the receipt's name of the buyer, where that is a commitment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buyer_salt: Option<Sha256Digest>,
    /// The buyer's earlier job that this is the result of: it asked the same, and the policy has it answered again at no cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Envelope>,
    /// Where another than the owner answers: the owner's signed [`crate::Lease`] that it was charged to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Envelope>,
}

/// What it takes to run a receipt's job again over the rows that it read, and to hold the sums against what the receipt commits to.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// The buyer's signed job.
    pub job: Envelope,
    /// The receipt as logged.
    pub receipt: Envelope,
    /// The version that it names, and the policy that was the newest's then, where that was another: whatever answers today.
    pub version: Published,
    /// C2SP tlog-proof of it, checkpoint included.
    pub proof: String,
    /// Salt of the commitment.
    pub salt: Sha256Digest,
    /// Key of the function that chooses among a unit's rows and groups, and lays units into blocks.
    pub prf: Sha256Digest,
    /// Opens the receipt's name of the buyer, where that is a commitment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buyer_salt: Option<Sha256Digest>,
    /// BLAKE3 of what came with the job, which may be fetched over the blobs protocol; none where nothing came, or it is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<ContentHash>,
    /// The key that the dataset's files are named with, where nobody may copy them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_key: Option<FileKey>,
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opening(withheld)")
    }
}

/// What the owner answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The datasets here.
    Listings(Vec<Published>),
    /// The next message of the reconciliation, base64.
    Reconciled(String),
    /// Signed listings, each an envelope in canonical form.
    Catalogue(Vec<String>),
    /// The result.
    Delivered(Box<Delivery>),
    /// The files named in the manifest may be fetched now.
    Replicating,
    /// A key that files are named with.
    FileKey(FileKey),
    /// A file's pieces.
    Pieces(Vec<Piece>),
    /// A signed [`crate::Sealed`]; its files may be fetched now, where that was asked for.
    Sealed(Box<Envelope>),
    /// A signed [`crate::Revocations`].
    Revocations(Box<Envelope>),
    /// A log file, base64.
    LogFile(String),
    /// What was said is in the log, at this index.
    Logged(u64),
    /// What was asked for to run a job again.
    Opened(Box<Opening>),
    /// A part of the budget.
    HandedOver(Box<HandedOver>),
    /// A witness's cosignature lines.
    Cosigned(String),
    /// A witness has another size than the request says that it has: a C2SP conflict.
    Conflict {
        /// The size of the last checkpoint that it cosigned.
        size: u64,
    },
    /// A log's last checkpoint with the witness's cosignature, where it has one.
    LastCheckpoint(Option<String>),
    /// Turned away.
    Refused(Refusal),
}
