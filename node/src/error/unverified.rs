//! Reasons why data from a peer or an owner does not verify.

use std::path::PathBuf;

use tidegate_protocol::PeerId;

use super::{BundleFault, Cause, ReceiptFault};

/// Reason why data from a peer or an owner does not verify.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unverified {
    /// A signed document is malformed, or its signature does not hold.
    #[error(transparent)]
    Document(#[from] tidegate_protocol::dsse::BadDocument),
    /// Manifest and policy of a dataset version are malformed, or do not belong together.
    #[error(transparent)]
    Version(#[from] tidegate_protocol::manifest::BadVersion),
    /// A checkpoint, a cosignature, a proof or the log itself does not verify.
    #[error(transparent)]
    Log(#[from] tidegate_audit::note::BadNote),
    /// A receipt does not fit its job, result, policy or log entry.
    #[error(transparent)]
    Receipt(#[from] ReceiptFault),
    /// A receipt in an auditor's folder or archive does not verify.
    #[error("receipts/{file}: {fault}")]
    Bundle {
        /// Name of the file.
        file: String,
        /// Reason.
        #[source]
        fault: BundleFault,
    },
    /// The log signed two histories. Evidence is kept.
    #[error("{source}. What shows it is kept in {}", .evidence.display())]
    Forked {
        /// Difference between the histories.
        source: tidegate_audit::note::BadNote,
        /// Path of the evidence.
        evidence: PathBuf,
    },
    /// The checkpoint does not extend the witness's.
    #[error("{0}")]
    NotCosigned(#[source] tidegate_ledger::witness::NotCosigned),
    /// The owner's log has another name than the owner's key.
    #[error("the owner has another log")]
    OtherLog,
    /// A peer answered with another kind of reply.
    #[error("the {who} answered something else than {wanted}")]
    Reply {
        /// Peer or owner.
        who: &'static str,
        /// Expected content.
        wanted: &'static str,
    },
    /// A request is not about the catalogue.
    #[error("no question about the catalogue")]
    Request,
    /// A reply is not valid base64.
    #[error("{0}")]
    Base64(#[source] base64::DecodeError),
    /// A reply is not the expected JSON document.
    #[error("{0}")]
    Json(#[source] serde_json::Error),
    /// The result does not fit the query.
    #[error("{0}")]
    Answer(#[source] Cause),
    /// A column of the manifest has a type unknown to this version.
    #[error("the manifest's column {column} has an unknown type {arrow}")]
    ColumnType {
        /// Name of the column.
        column: String,
        /// Type in the manifest.
        arrow: String,
    },
    /// Two files of the manifest would have one path.
    #[error(
        "the manifest has two files that would both be {}: ask its owner to publish them under names of their own",
        .path.display()
    )]
    SamePath {
        /// The path.
        path: PathBuf,
    },
    /// A file name of the manifest could leave its folder.
    #[error("the manifest names a file {name:?}")]
    FileName {
        /// The name.
        name: String,
    },
    /// A file differs from the manifest's.
    #[error("{} is not the file that was published", .path.display())]
    OtherFile {
        /// Path of the file.
        path: PathBuf,
    },
    /// A listing names a newer policy of another owner.
    #[error("a listing names the policy of a newer version that is another owner's")]
    ListingPolicy,
    /// A listing is neither signed by the peer nor shows a lease of the signer.
    #[error("a listing is not signed by this peer, and it shows no lease of who did")]
    ListingSigner,
    /// The peer claims more listings than a catalogue holds.
    #[error("the peer has more listings than are kept anywhere")]
    TooManyListings,
    /// A program is longer than a job's can be.
    #[error("what the owner sends as the job's program has more than {most} bytes")]
    ProgramSize {
        /// Limit in bytes.
        most: u64,
    },
    /// The owner answered with another lease.
    #[error("the owner calls another lease by this name")]
    OtherLease,
    /// A field of a lease is invalid.
    #[error("the lease's `{field}` cannot be")]
    LeaseField {
        /// Name of the field.
        field: &'static str,
    },
    /// The lease has another signer, holder, dataset or nonce.
    #[error("the lease is not this owner's, or not this node's")]
    LeaseParties,
    /// The rows laid out here differ from the owner's.
    #[error(
        "the rows, laid out here for jobs, are not byte for byte what the owner's node has: it needs the same version of tidegate"
    )]
    Layout,
    /// A list of revoked grants has another signer.
    #[error("a list of revoked grants is {signer}'s, not {owner}'s")]
    ListSigner {
        /// Signer of the list.
        signer: PeerId,
        /// Expected owner.
        owner: PeerId,
    },
    /// A field of a list of revoked grants is invalid.
    #[error("a list of revoked grants: `{field}`")]
    ListField {
        /// Name of the field.
        field: &'static str,
    },
    /// The encrypted files have another owner or lineage.
    #[error("the encrypted files are another owner's, or of another population")]
    SealedParties,
    /// A field of the document that names the encrypted files is invalid.
    #[error("what names the encrypted files: `{field}`")]
    SealedField {
        /// Name of the field.
        field: &'static str,
    },
    /// The encrypted manifest cannot be opened.
    #[error("the encrypted manifest: {0}. Where the owner changed the key, ask for a new grant")]
    SealedManifest(#[source] tidegate_catalog::sealed::SealError),
    /// The encrypted manifest is not the one that the owner signed.
    #[error("the encrypted manifest is not the one that the owner's signature names")]
    OtherManifest,
    /// An encrypted file cannot be opened.
    #[error("{name}: {source}")]
    SealedFile {
        /// Name of the file.
        name: String,
        /// Reason.
        source: tidegate_catalog::sealed::SealError,
    },
    /// The content of an encrypted file differs from the manifest's.
    #[error("{name}: what was encrypted is not what the manifest names")]
    SealedContent {
        /// Name of the file.
        name: String,
    },
    /// A line of a file of opened names is not of the expected form.
    #[error("{}: line {line}: {source}", .path.display())]
    NameLine {
        /// Path of the file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// Reason.
        source: serde_json::Error,
    },
    /// A salt does not open the name beside it.
    #[error("{}: line {line}: the salt does not open this name", .path.display())]
    NameSalt {
        /// Path of the file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
    },
    /// An approval is another party's, or of another job.
    #[error("{} is not the owner's approval of this job", .path.display())]
    Approval {
        /// Path of the approval.
        path: PathBuf,
    },
    /// The charges of the log overflow.
    #[error("the charges overflow")]
    Charges,
}
