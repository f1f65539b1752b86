//! A listing that is kept, whose are, and why one is not.

use std::{sync::Arc, time::Instant};

use negentropy::NegentropyStorageVector;
use tidegate_protocol::{
    ContentHash, Envelope, PeerId,
    dsse::BadDocument,
    limits,
    listing::{BadListing, Listing},
};

/// The ids of all listings, and when they were read.
pub(super) type Ids = (Arc<NegentropyStorageVector>, Instant);

/// A listing was not taken, or the catalogue failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// Its signature or form.
    #[error(transparent)]
    Document(#[from] BadDocument),
    /// A field.
    #[error(transparent)]
    Listing(#[from] BadListing),
    /// Its owner has as many as one may have.
    #[error("{0} has as many listings here as one owner may have")]
    Quota(PeerId),
    /// Owners that are not on the list of those who are heard.
    #[error("{0} is not among the owners whose listings are kept here")]
    NotHeard(PeerId),
    /// There are as many as are kept.
    #[error("the catalogue is full")]
    Full,
    /// Not found.
    #[error("no listing {0:?} here. See `tidegate catalog search`, or hear more with `tidegate catalog sync --from PEER`")]
    None(String),
    /// Several owners have one of that name.
    #[error("several owners have a dataset {word:?}: {owners}. Say which by how its id or its manifest's begins")]
    Several {
        /// The name.
        word: String,
        /// Manifests and owners.
        owners: String,
    },
    /// The file.
    #[error("the catalogue's file: {0}")]
    File(#[from] rusqlite::Error),
    /// A message of another's reconciliation.
    #[error("the reconciliation: {0}")]
    Reconciliation(String),
    /// Arrow or a query.
    #[error("{0}")]
    Query(String),
}

/// A listing that is kept: its signature was checked when it came.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Whose dataset it is.
    pub owner: PeerId,
    /// Its id.
    pub id: ContentHash,
    /// What it says.
    pub listing: Listing,
    /// As it was signed.
    pub envelope: Envelope,
}

/// Whose listings are kept.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Owners that this party knows: a catalogue that others have filled makes room for theirs.
    pub known: Vec<PeerId>,
    /// Only theirs.
    pub only_known: bool,
    /// How many are kept at most.
    pub most: usize,
}

impl Heard {
    /// Everybody's, and room for these.
    pub fn everybody(known: Vec<PeerId>) -> Self {
        Self { known, only_known: false, most: limits::LISTINGS }
    }
}
