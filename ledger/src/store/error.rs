//! Why durable state did not come about.

use tidegate_protocol::Cost;

use tidegate_audit::lineage::NotInForce;

/// Durable state failed. Nothing was revealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process holds the ledger: one holder of a budget at a time.
    #[error("the ledger is in use by another process. Stop `tidegate serve` first")]
    InUse,
    /// The database refused: full disk, lost file.
    #[error("the ledger: {0}")]
    Database(#[from] redb::Error),
    /// A file of the log could not be written.
    #[error("the receipt log: {0}")]
    Log(#[from] std::io::Error),
    /// A tree head of this log was published that has more entries than there are here.
    #[error(
        "the log was published with {seen} entries, and the ledger has {here}: it is older than what others saw (a restored backup, a snapshot). \
         Budget that was spent since would be spent again. Put back the newest ledger.redb, or bring the entries back from a copy of the log: \
         `tidegate log restore --from FOLDER`"
    )]
    Behind {
        /// Entries that were published.
        seen: u64,
        /// Entries here.
        here: u64,
    },
    /// A tree head of this log was published that is of another history.
    #[error(
        "the log was published with another history up to entry {size} than the ledger has: two nodes have used one key, or a backup was put back and \
         went on. Put back the ledger.redb of the history that was published; where both were, this key's log is forked for good: begin anew with another key"
    )]
    Forked {
        /// Entries of the tree head that differs.
        size: u64,
    },
    /// The journal was left by a crash, and is of another file than the one that is there.
    #[error(
        "ledger.redb is not the file that ledger.redb.journal goes on from. If it is a backup that was put back, move ledger.redb.journal away; if not, put back \
         the one that was there, which lacks what the journal has"
    )]
    Replaced,
    /// It was written by a later version, which may keep elsewhere what this one looks for: a job that ended would look as if it had not.
    #[error(
        "the ledger is of layout {found}, of which this version knows {known} at most. Use the `tidegate` that wrote it, or a newer one"
    )]
    Newer {
        /// Its layout.
        found: String,
        /// The last one that is known here.
        known: u32,
    },
    /// It is by a version that answers nothing.
    #[error("{0}")]
    NotInForce(NotInForce),
    /// An audit would refuse the entry: it is not written, and nothing that it is about happens.
    #[error("an audit of the log would refuse this ({rule}): {detail}")]
    Rule {
        /// The rule that it breaks.
        rule: &'static str,
        /// What was seen.
        detail: String,
    },
    /// A stored record cannot be read back, or a document does not fit an entry.
    #[error("a stored record: {0}")]
    Record(String),
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
        Self::Record(e.to_string())
    }
}
impl From<tidegate_protocol::dsse::BadDocument> for StoreError {
    fn from(e: tidegate_protocol::dsse::BadDocument) -> Self {
        Self::Record(e.to_string())
    }
}

/// Why nothing was reserved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReserveError {
    /// The population's budget does not cover it.
    #[error("of the dataset's budget {left} is left, the job costs {asked}")]
    Population {
        /// What is left.
        left: Cost,
        /// What was asked.
        asked: Cost,
    },
    /// The buyer's own limit does not cover it.
    #[error("this buyer has {left} left, the job costs {asked}")]
    Buyer {
        /// What is left.
        left: Cost,
        /// What was asked.
        asked: Cost,
    },
    /// The version answers nothing, or not under this policy.
    #[error("{0}")]
    NotInForce(NotInForce),
    /// The grant lets fewer jobs begin within an hour.
    #[error("the grant lets fewer jobs begin within an hour")]
    Rate,
    /// It is to be charged to a lease, and none is open that it can be charged to.
    #[error("no lease is open that this job can be charged to")]
    Lease,
    /// An audit of the log would refuse the job's entries.
    #[error("an audit of the log would refuse this job ({rule}): {detail}")]
    Rule {
        /// The rule that it breaks.
        rule: &'static str,
        /// What was seen.
        detail: String,
    },
    /// The job's receipt would not fit an entry of the log.
    #[error("the receipt would have {bytes} bytes, and an entry of the log can hold {most}")]
    Oversized {
        /// Its size.
        bytes: usize,
        /// What fits.
        most: usize,
    },
    /// The request id was used for another job.
    #[error("request id {0} was used before with another job")]
    Conflict(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why no lease was given, or none taken back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// There is no budget, of the population or for a buyer, to hand over.
    #[error("nothing of the budget is left to hand over")]
    Nothing,
    /// So many are out already.
    #[error("too many leases are out")]
    TooMany,
    /// So many buyers have spent nearly all that they may.
    #[error("too many buyers have less left than this lease would give each: ask for a smaller one")]
    TooManyBuyers,
    /// The version answers nothing any more, or another is newer.
    #[error("{0}")]
    NotInForce(NotInForce),
    /// It came back, or is burnt.
    #[error("this lease has ended")]
    Ended,
    /// No such one was given to this party.
    #[error("no such lease")]
    Unknown,
    /// The settlement is none of this lease.
    #[error("the settlement's `{0}` cannot be")]
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
