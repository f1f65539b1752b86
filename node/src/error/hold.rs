//! Errors of holding other owners' datasets.

/// Reason why a dataset cannot be held, or is held no more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HoldError {
    /// The dataset is not held.
    #[error("this party is no longer a replica of the dataset")]
    NotHeld,
    /// The owner revoked the grant by which the dataset was held.
    #[error("the dataset's owner has revoked the grant of this replica")]
    Revoked,
    /// The record of the held dataset is gone.
    #[error("the replica's record is missing: run `tidegate hold begin` again")]
    NoRecord,
    /// The version is not the newest.
    #[error(
        "a newer version of this dataset is in force, and leases are issued only for that version: run `tidegate hold begin` again"
    )]
    Superseded,
    /// The asked peer is not the dataset's owner.
    #[error("--to must be the node of the dataset's owner")]
    NotOwner,
    /// This party witnesses the dataset's receipts.
    #[error("this party is a witness of the dataset's receipts, and a log cannot be its own witness")]
    OwnWitness,
    /// The ledger did not take the lease.
    #[error("{0}")]
    Lease(#[source] tidegate_ledger::store::LeaseError),
}
