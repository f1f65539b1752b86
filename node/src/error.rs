//! Errors of a node and its commands.

/// An error, in words for the person at the keyboard.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// A file or folder cannot be used.
    #[error("{0}")]
    File(String),
    /// A policy is invalid.
    #[error(transparent)]
    Policy(#[from] tidegate_protocol::policy::BadPolicy),
    /// A dataset is invalid.
    #[error(transparent)]
    Data(#[from] tidegate_catalog::dataset::DataError),
    /// The ledger or log failed.
    #[error(transparent)]
    Store(#[from] tidegate_ledger::StoreError),
    /// The network failed.
    #[error(transparent)]
    Net(#[from] tidegate_exchange::NetError),
    /// The other side, or this node's own admission, refused.
    #[error(transparent)]
    Refused(#[from] tidegate_protocol::Refusal),
    /// The weights of a training run diverged: the run ends with this round, and the rest is not charged.
    #[error(
        "the weights diverged in round {round} of {rounds} (weight {at} is {weight:e}): the run ends here, and the other rounds are not charged. \
         Give it a smaller loop.rate, or a price that buys less noise"
    )]
    Diverged {
        /// The round, counted from 1.
        round: u32,
        /// Number of rounds.
        rounds: u32,
        /// Index of the weight.
        at: usize,
        /// Value of the weight.
        weight: f64,
    },
    /// A job was sent and no answer came; the job may have been charged.
    #[error(
        "{why}. The job was sent as request {request}, and may have been charged. What was paid for is had at no further charge: \
         `tidegate results fetch {request}`, with --to where the owner's node has another address since"
    )]
    Unanswered {
        /// Id of the request.
        request: String,
        /// Reason why no answer came.
        why: String,
    },
    /// Something from a peer or an owner does not verify. Nothing of it was used.
    #[error("verification failed: {0}")]
    Unverified(String),
}

impl From<tidegate_protocol::dsse::BadDocument> for NodeError {
    fn from(e: tidegate_protocol::dsse::BadDocument) -> Self {
        Self::Unverified(e.to_string())
    }
}

impl From<tidegate_protocol::manifest::BadVersion> for NodeError {
    fn from(e: tidegate_protocol::manifest::BadVersion) -> Self {
        Self::Unverified(e.to_string())
    }
}

impl From<tidegate_audit::note::BadNote> for NodeError {
    fn from(e: tidegate_audit::note::BadNote) -> Self {
        Self::Unverified(e.to_string())
    }
}

pub(crate) fn file_error(path: &std::path::Path, e: impl std::fmt::Display) -> NodeError {
    NodeError::File(format!("{}: {e}", path.display()))
}
