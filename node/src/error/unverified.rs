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
    #[error("{source}. The evidence is in {}", .evidence.display())]
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
    #[error("the log is signed by a key other than the owner's")]
    OtherLog,
    /// A peer answered with another kind of reply.
    #[error("the {who} sent an unexpected reply; expected {wanted}")]
    Reply {
        /// Peer or owner.
        who: &'static str,
        /// Expected content.
        wanted: &'static str,
    },
    /// A request is not about the catalogue.
    #[error("not a request about the catalogue")]
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
        "the manifest has two files for one path {}: ask the owner to publish them under different names",
        .path.display()
    )]
    SamePath {
        /// The path.
        path: PathBuf,
    },
    /// A file name of the manifest could leave its folder.
    #[error("the manifest has an unsafe file name {name:?}")]
    FileName {
        /// The name.
        name: String,
    },
    /// A file differs from the manifest's.
    #[error("{} differs from the published file", .path.display())]
    OtherFile {
        /// Path of the file.
        path: PathBuf,
    },
    /// A listing names a newer policy of another owner.
    #[error("a listing names the policy of a newer version of another owner")]
    ListingPolicy,
    /// A listing is neither signed by the peer nor shows a lease of the signer.
    #[error("a listing is not signed by this peer, and the peer shows no lease of its signer")]
    ListingSigner,
    /// The peer claims more listings than a catalogue holds.
    #[error("the peer has more listings than a catalogue can have")]
    TooManyListings,
    /// A program is longer than a job's can be.
    #[error("the job's program from the owner has more than {most} bytes")]
    ProgramSize {
        /// Limit in bytes.
        most: u64,
    },
    /// The owner answered with another lease.
    #[error("the owner has another lease with this nonce")]
    OtherLease,
    /// A field of a lease is invalid.
    #[error("the lease's `{field}` is invalid")]
    LeaseField {
        /// Name of the field.
        field: &'static str,
    },
    /// The lease has another signer, holder, dataset or nonce.
    #[error("the lease is not from this owner, or not for this node")]
    LeaseParties,
    /// The rows laid out here differ from the owner's.
    #[error(
        "the rows prepared here for jobs differ from those of the owner's node: use the same version of tidegate as the owner"
    )]
    Layout,
    /// A list of revoked grants has another signer.
    #[error("a revocation list is signed by {signer}, not by {owner}")]
    ListSigner {
        /// Signer of the list.
        signer: PeerId,
        /// Expected owner.
        owner: PeerId,
    },
    /// A field of a list of revoked grants is invalid.
    #[error("a revocation list: invalid `{field}`")]
    ListField {
        /// Name of the field.
        field: &'static str,
    },
    /// The encrypted files have another owner or lineage.
    #[error("the encrypted files are from another owner, or for another dataset lineage")]
    SealedParties,
    /// A field of the document that names the encrypted files is invalid.
    #[error("the index of the encrypted files: invalid `{field}`")]
    SealedField {
        /// Name of the field.
        field: &'static str,
    },
    /// The encrypted manifest cannot be opened.
    #[error("the encrypted manifest: {0}. If the owner changed the key, ask for a new grant")]
    SealedManifest(#[source] tidegate_catalog::sealed::SealError),
    /// The encrypted manifest is not the one that the owner signed.
    #[error("the encrypted manifest is not the one that the owner signed")]
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
    #[error("{name}: the decrypted content does not match the manifest")]
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
    #[error("{}: line {line}: the salt does not match this name", .path.display())]
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
