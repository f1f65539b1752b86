//! Frames of the job protocol (ALPN [`ALPN`]): a request and a reply per stream, as JSON, each bounded by [`crate::limits`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ContentHash, Cost, Envelope, PeerId, Refusal, Sha256Digest, manifest::FileKey, receipt::Party};

/// ALPN of the job protocol.
pub const ALPN: &[u8] = b"tidegate/job/1";

/// Request of a peer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// List the datasets here, as far as this peer may see them. Answered with signed manifests and policies.
    Listings {
        /// Biscuit token, base64, or empty.
        #[serde(default)]
        grant: String,
    },
    /// Run a job. The attachment, if any, follows as raw bytes of the given length.
    Submit {
        /// The signed job.
        job: Envelope,
        /// Biscuit token, base64.
        grant: String,
        /// Length of the attachment.
        attachment_bytes: u64,
    },
    /// Ask for permission to copy a dataset's files over the blobs protocol, for the identity of this connection.
    Replicate {
        /// Id of the manifest.
        dataset: ContentHash,
        /// Biscuit token, base64.
        grant: String,
    },
    /// Ask for permission as in [`Request::Replicate`], and for the list of a file's pieces: a peer with an earlier version needs
    /// only the new pieces.
    Pieces {
        /// Id of the manifest.
        dataset: ContentHash,
        /// The file.
        file: ContentHash,
        /// Biscuit token, base64.
        grant: String,
    },
    /// Ask for the key to a dataset's file names where nobody may copy the files. Holders use it to check whether their files are
    /// the published ones.
    FileKey {
        /// Id of the manifest.
        dataset: ContentHash,
        /// Biscuit token, base64: a grant of `hold`.
        grant: String,
    },
    /// Ask an owner or its mirror for the latest encrypted version of a dataset lineage, and for permission to copy its encrypted
    /// files.
    Sealed {
        /// Lineage.
        population: ContentHash,
        /// Biscuit token, base64.
        grant: String,
        /// Id of the [`crate::Sealed`] already here. Without a later one, no permission is asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        known: Option<ContentHash>,
    },
    /// Ask for an owner's latest list of revoked grants.
    Revocations {
        /// Owner.
        owner: PeerId,
    },
    /// Ask for permission to copy a dataset's mock rows.
    Mock {
        /// Id of the manifest.
        dataset: ContentHash,
        /// Biscuit token, base64, or empty.
        #[serde(default)]
        grant: String,
    },
    /// Compare the listings of both sides: a message of range-based set reconciliation.
    Reconcile {
        /// The message (negentropy's protocol 1), base64.
        message: String,
    },
    /// Ask for listings by their ids. The reply has as many as fit.
    Catalogue {
        /// Ids of the listings.
        ids: Vec<ContentHash>,
    },
    /// Ask for a file of the receipt log: `checkpoint`, `tile/…`.
    LogFile {
        /// C2SP tlog-tiles path.
        path: String,
    },
    /// Ask for everything needed to rerun a receipt's job, as an auditor with permission.
    Replay {
        /// Log index of the receipt.
        entry: u64,
        /// Biscuit token, base64.
        grant: String,
    },
    /// Hand over a part of a dataset lineage's privacy budget.
    Lease {
        /// Version held by the delegate. Unless it is the version in force, nothing is handed over.
        dataset: ContentHash,
        /// Biscuit token, base64: a grant of `hold`.
        grant: String,
        /// Leaseholder's name for the lease ([`crate::lease::is_nonce`]). An earlier lease of another name that has not been
        /// returned is burnt.
        nonce: String,
        /// Amount asked for. Less is handed over if less is left.
        want: Cost,
    },
    /// Take back the unspent part of a lease.
    Settle {
        /// Lineage.
        population: ContentHash,
        /// The signed [`crate::Settlement`].
        settlement: Envelope,
    },
    /// Log the buyer's confirmation of receiving a result and its receipt.
    Countersign {
        /// The signed [`crate::Countersignature`].
        word: Envelope,
    },
    /// Cosign a checkpoint, as a witness.
    AddCheckpoint {
        /// The body of a C2SP tlog-witness `add-checkpoint` request.
        body: String,
    },
    /// Ask for the last checkpoint of this origin cosigned by the witness.
    LastCheckpoint {
        /// Origin of the log.
        origin: String,
    },
}

impl Request {
    /// Returns the request's token, or an empty string.
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

/// A piece of a file, cut at boundaries determined by content. After an insertion or a removal, the pieces behind it stay as they
/// were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// Size in bytes. A piece begins where the previous piece ends.
    pub bytes: u32,
    /// BLAKE3 of the piece.
    pub hash: ContentHash,
}

/// A published dataset as its owner shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// The signed manifest.
    pub manifest: Envelope,
    /// The signed policy.
    pub policy: Envelope,
    /// Owner's signed [`crate::Lease`], if another peer than the owner shows the dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Envelope>,
    /// Signed policy of the newest version, if there is a newer one.
    ///
    /// It says whether this version answers, and then only what both policies allow is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Envelope>,
}

/// A lease as it is handed over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandedOver {
    /// The signed [`crate::Lease`].
    pub lease: Envelope,
    /// Buyers with less left than the lease's share of a buyer, and how much each has left.
    pub less: BTreeMap<Party, Cost>,
}

/// A result with everything needed for an offline check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Canonical JSON of a [`crate::result::ResultDoc`], base64.
    pub result: String,
    /// Receipt: the OUTCOME entry as logged.
    pub receipt: Envelope,
    /// C2SP tlog-proof of the receipt, checkpoint included.
    pub proof: String,
    /// Remaining budget of this buyer after the delivery.
    pub remaining: Cost,
    /// Salt of the receipt's commitment to the buyer's name, if the name is hidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buyer_salt: Option<Sha256Digest>,
    /// Earlier job of the buyer whose result is repeated here: the question is the same, and the policy repeats it at no cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Envelope>,
    /// Owner's signed [`crate::Lease`] charged for the result, if another peer than the owner answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Envelope>,
}

/// Everything needed to rerun a receipt's job over the same rows, and to compare the sums with the receipt's commitment.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// The buyer's signed job.
    pub job: Envelope,
    /// The receipt as logged.
    pub receipt: Envelope,
    /// Version named in the receipt, and the policy of the then newest version if different, whatever answers today.
    pub version: Published,
    /// C2SP tlog-proof of the receipt, checkpoint included.
    pub proof: String,
    /// Salt of the commitment.
    pub salt: Sha256Digest,
    /// Key of the function that chooses among a privacy unit's rows and groups, and assigns units to blocks.
    pub prf: Sha256Digest,
    /// Salt of the receipt's commitment to the buyer's name, if the name is hidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buyer_salt: Option<Sha256Digest>,
    /// BLAKE3 of the job's attachment, which may be fetched over the blobs protocol. `None` if nothing was attached or kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<ContentHash>,
    /// Key for the dataset's file names, if nobody may copy the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_key: Option<FileKey>,
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opening(withheld)")
    }
}

/// Reply of the owner.
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
    /// A key for file names.
    FileKey(FileKey),
    /// A file's pieces.
    Pieces(Vec<Piece>),
    /// A signed [`crate::Sealed`]. Its files may be fetched now, if permission was asked for.
    Sealed(Box<Envelope>),
    /// A signed [`crate::Revocations`].
    Revocations(Box<Envelope>),
    /// A log file, base64.
    LogFile(String),
    /// The statement is in the log, at this index.
    Logged(u64),
    /// Everything needed to rerun a job.
    Opened(Box<Opening>),
    /// A part of the budget.
    HandedOver(Box<HandedOver>),
    /// A witness's cosignature lines.
    Cosigned(String),
    /// The witness has another tree size than the request claims: a C2SP conflict.
    Conflict {
        /// Size of the last checkpoint cosigned by the witness.
        size: u64,
    },
    /// Last checkpoint of a log with the witness's cosignature, if there is one.
    LastCheckpoint(Option<String>),
    /// The request was refused.
    Refused(Refusal),
}
