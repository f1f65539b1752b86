//! Errors of holding other owners' datasets.

/// Reason why a dataset cannot be held, or is held no more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HoldError {
    /// The dataset is not held.
    #[error("it is not held any more")]
    NotHeld,
    /// The owner revoked the grant by which the dataset was held.
    #[error("its owner has revoked the grant by which it is held")]
    Revoked,
    /// The record of the held dataset is gone.
    #[error("its record is gone: hold it anew")]
    NoRecord,
    /// The version is not the newest.
    #[error("a newer version of this dataset is in force, over which alone leases are given")]
    Superseded,
    /// The asked peer is not the dataset's owner.
    #[error("a dataset is held for its owner: give the owner's address with --to")]
    NotOwner,
    /// This party witnesses the dataset's receipts.
    #[error("this party is a witness of the dataset's receipts: no log is its own witness")]
    OwnWitness,
    /// The ledger did not take the lease.
    #[error("{0}")]
    Lease(#[source] tidegate_ledger::store::LeaseError),
}
