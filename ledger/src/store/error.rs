//! Errors of the store.

use tidegate_protocol::Cost;

use tidegate_audit::lineage::NotInForce;

/// Error of durable state. Nothing was revealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process holds the ledger: a budget has only one holder at a time.
    #[error("another process has the ledger open. Stop `tidegate serve` first")]
    InUse,
    /// The database refused: full disk, lost file.
    #[error("the ledger: {0}")]
    Database(#[from] redb::Error),
    /// A file of the log could not be written.
    #[error("the receipt log: {0}")]
    Log(#[from] std::io::Error),
    /// A published tree head of this log has more entries than the ledger.
    #[error(
        "the log was published with {seen} entries, and the ledger has {here}: the ledger is older than the published log (a restored backup or a snapshot). \
         Budget spent since then would be spent twice. Restore the newest ledger.redb, or restore the entries from a copy of the log: \
         `tidegate log restore --from FOLDER`"
    )]
    Behind {
        /// Number of published entries.
        seen: u64,
        /// Number of entries here.
        here: u64,
    },
    /// A published tree head of this log belongs to another history.
    #[error(
        "the log was published with another history before entry {size} than the ledger has: two nodes have used one key, or a backup was restored and \
         used. Restore the ledger.redb of the published history. If both histories were published, this key's log is forked permanently: start again \
         with another key"
    )]
    Forked {
        /// Size of the differing tree head.
        size: u64,
    },
    /// A crash left the journal, which belongs to another file than the existing one.
    #[error(
        "ledger.redb does not belong to ledger.redb.journal. If ledger.redb is a restored backup, move ledger.redb.journal away; otherwise restore \
         the ledger.redb that the journal was written for"
    )]
    Replaced,
    /// A later version wrote the ledger and may store data elsewhere: a finished job could look unfinished.
    #[error(
        "the ledger has layout {found}, and this version supports layouts up to {known}. Use the version of `tidegate` that wrote it, or a newer one"
    )]
    Newer {
        /// Layout of the ledger.
        found: String,
        /// Latest layout known here.
        known: u32,
    },
    /// The version of the dataset answers nothing.
    #[error("{0}")]
    NotInForce(NotInForce),
    /// An audit would refuse the entry: neither the entry is written nor the act done.
    #[error("an audit of the log would refuse this ({rule}): {detail}")]
    Rule {
        /// Name of the broken rule.
        rule: &'static str,
        /// Observation.
        detail: String,
    },
    /// A stored record cannot be read back, or a document does not fit an entry.
    #[error("a stored record: {0}")]
    Record(#[from] RecordFault),
    /// The copy of the log to restore from is shorter than the ledger.
    #[error("the copy has {copy} entries, and the ledger has {here}")]
    ShortCopy {
        /// Number of entries of the copy.
        copy: u64,
        /// Number of entries of the ledger.
        here: u64,
    },
    /// The thread that writes the ledger has ended.
    #[error("the ledger's thread has ended")]
    Ended,
}

/// Fault of a stored record, or of a document to be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordFault {
    /// A record is not of the expected form.
    #[error("{0}")]
    Json(#[source] serde_json::Error),
    /// A document is malformed or too long.
    #[error("{0}")]
    Document(#[source] tidegate_protocol::dsse::BadDocument),
    /// A checkpoint or a copy of the log does not verify.
    #[error("{0}")]
    Log(#[source] tidegate_audit::note::BadNote),
    /// The log's tree cannot be read or extended.
    #[error("{0}")]
    Tree(#[source] tlog_tiles::Error),
    /// An entry is longer than the log format allows.
    #[error("an entry is longer than the log format allows")]
    LongEntry,
    /// An entry is not of the form in which entries are stored.
    #[error("an entry cannot be read back")]
    Entry,
    /// An entry differs from the log's tree.
    #[error("entry {index} does not match the log's tree: the ledger's file is damaged")]
    OtherEntry {
        /// Index of the entry.
        index: u64,
    },
    /// The log has no such entry.
    #[error("no entry {index}")]
    NoEntry {
        /// Index of the entry.
        index: u64,
    },
    /// The sum of charges overflows.
    #[error("the charges overflow")]
    Charges,
    /// The sum of what leases set aside overflows.
    #[error("the amount set aside for leases overflows")]
    SetAside,
    /// A key of a record names no party.
    #[error("{name:?} is not a party")]
    Party {
        /// Name in the key.
        name: String,
    },
}

macro_rules! from_redb {
    ($($kind:ty),*) => {$(
        impl From<$kind> for StoreError {
            fn from(e: $kind) -> Self {
                Self::Database(e.into())
            }
        }
    )*};
}
from_redb!(redb::DatabaseError, redb::TransactionError, redb::TableError, redb::StorageError, redb::CommitError);

impl From<tidegate_audit::Broken> for StoreError {
    fn from((rule, detail): tidegate_audit::Broken) -> Self {
        Self::Rule { rule, detail }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(e: serde_json::Error) -> Self {
        Self::Record(RecordFault::Json(e))
    }
}
impl From<tidegate_protocol::dsse::BadDocument> for StoreError {
    fn from(e: tidegate_protocol::dsse::BadDocument) -> Self {
        Self::Record(RecordFault::Document(e))
    }
}

/// Reason why nothing was reserved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReserveError {
    /// The dataset lineage's budget does not cover the job.
    #[error("the job costs {asked}, and the dataset's remaining budget is {left}")]
    Population {
        /// Remaining budget.
        left: Cost,
        /// Requested amount.
        asked: Cost,
    },
    /// The buyer's own limit does not cover the job.
    #[error("the job costs {asked}, and this buyer's remaining budget is {left}")]
    Buyer {
        /// Remaining budget.
        left: Cost,
        /// Requested amount.
        asked: Cost,
    },
    /// The version answers nothing, or not under this policy.
    #[error("{0}")]
    NotInForce(NotInForce),
    /// The grant allows fewer jobs per hour.
    #[error("the grant's limit of jobs per hour is reached")]
    Rate,
    /// The job must be charged to a lease, but no suitable lease is open.
    #[error("there is no open lease to charge this job to")]
    Lease,
    /// An audit of the log would refuse the job's entries.
    #[error("an audit of the log would refuse this job ({rule}): {detail}")]
    Rule {
        /// Name of the broken rule.
        rule: &'static str,
        /// Observation.
        detail: String,
    },
    /// The job's receipt would not fit an entry of the log.
    #[error("the receipt would have {bytes} bytes, and a log entry can have at most {most}")]
    Oversized {
        /// Size of the receipt in bytes.
        bytes: usize,
        /// Maximum size in bytes.
        most: usize,
    },
    /// The request id was used for another job.
    #[error("request id {request} was used before with another job")]
    Conflict {
        /// The request id.
        request: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reason why no lease was given, or none taken back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// No budget is left to hand over, of the dataset lineage or for a buyer.
    #[error("no budget is left for a lease")]
    Nothing,
    /// Too many leases are out.
    #[error("too many leases are outstanding")]
    TooMany,
    /// Too many buyers have spent nearly all of their limits.
    #[error("too many buyers have less budget left than this lease would give each of them: request a smaller lease")]
    TooManyBuyers,
    /// The version answers nothing any more, or a newer version exists.
    #[error("{0}")]
    NotInForce(NotInForce),
    /// The lease came back, or is burnt.
    #[error("this lease has ended")]
    Ended,
    /// No such lease was given to this party.
    #[error("no such lease")]
    Unknown,
    /// The settlement does not belong to this lease.
    #[error("the settlement's `{0}` is invalid")]
    Settlement(&'static str),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<redb::StorageError> for LeaseError {
    fn from(e: redb::StorageError) -> Self {
        Self::Store(e.into())
    }
}

impl From<serde_json::Error> for LeaseError {
    fn from(e: serde_json::Error) -> Self {
        Self::Store(e.into())
    }
}
