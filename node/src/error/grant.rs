//! Errors of issuing and using a grant.

use tidegate_protocol::{ContentHash, PeerId, grant::BadGrant};

/// Reason why a grant cannot be issued or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// The grant cannot be issued.
    #[error("the grant: {0}")]
    Issue(#[source] Box<BadGrant>),
    /// The text is not a grant.
    #[error("--grant: {0}")]
    Unreadable(#[source] Box<BadGrant>),
    /// The grant names no owner.
    #[error("--grant: the token does not name its owner")]
    NoOwner,
    /// The grant names no dataset lineage.
    #[error("--grant: the token does not name its dataset lineage")]
    NoPopulation,
    /// The grant came without the keys of encrypted files.
    #[error(
        "--grant: the token lacks the keys of encrypted files: ask the owner for a grant with `replicate`, issued after the policy allows mirrors"
    )]
    NoKeys,
    /// The keys that came with the grant cannot be opened by this party.
    #[error("--grant: the keys of the encrypted files: {0}")]
    Keys(#[source] tidegate_catalog::sealed::SealError),
    /// Another owner signed the grant.
    #[error("the grant was not issued by {owner}")]
    OtherOwner {
        /// Expected owner.
        owner: PeerId,
    },
    /// The grant covers another dataset.
    #[error("the grant is for another dataset")]
    OtherDataset,
    /// The grant covers a dataset of another name.
    #[error("the grant is for {is:?}, version {version}, and not for {name:?}")]
    OtherName {
        /// Name of the covered dataset.
        is: String,
        /// Manifest id of the covered version.
        version: ContentHash,
        /// Name, as given.
        name: String,
    },
    /// The grant does not allow this party to hold the dataset.
    #[error("the grant does not allow this party to be a replica: ask the owner for one by `tidegate grant --action hold`")]
    NotToHold,
}
