//! Stored listings, whose listings are stored, and errors of the catalogue.

use std::{sync::Arc, time::Instant};

use negentropy::NegentropyStorageVector;
use tidegate_protocol::{
    ContentHash, Envelope, PeerId,
    dsse::BadDocument,
    limits,
    listing::{BadListing, Listing},
};

/// Ids of all listings, with the time of reading.
pub(super) type Ids = (Arc<NegentropyStorageVector>, Instant);

/// Error of the catalogue, or the reason for refusing a listing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// The signature or form is bad.
    #[error(transparent)]
    Document(#[from] BadDocument),
    /// A field is bad.
    #[error(transparent)]
    Listing(#[from] BadListing),
    /// The owner has the maximum number of listings.
    #[error("{0} has reached the limit of listings for one owner")]
    Quota(PeerId),
    /// The owner is not on the list of accepted owners.
    #[error("{0} is not an owner whose listings this catalogue accepts")]
    NotHeard(PeerId),
    /// The maximum number of listings is stored.
    #[error("the catalogue is full")]
    Full,
    /// No such listing was found.
    #[error(
        "no listing {word:?} here. See `tidegate catalog search`, or fetch more listings with `tidegate catalog sync --from PEER`"
    )]
    None {
        /// Name or id searched for.
        word: String,
    },
    /// Several owners have a dataset of this name.
    #[error("several owners have a dataset {word:?}: {owners}. Give the first characters of its id or its manifest's id")]
    Several {
        /// Name searched for.
        word: String,
        /// Manifests and owners.
        owners: String,
    },
    /// The file failed.
    #[error("the catalogue's file: {0}")]
    File(#[from] rusqlite::Error),
    /// A message of a reconciliation is bad.
    #[error("the reconciliation: {0}")]
    Reconciliation(String),
    /// The table of listings cannot be built.
    #[error("{0}")]
    Table(#[source] arrow::error::ArrowError),
    /// A listing cannot be encoded as JSON.
    #[error("{0}")]
    Encode(#[source] serde_json::Error),
    /// A Croissant file holds no signed listing.
    #[error(
        "no `tidegate:listing` in the file: only files exported from a catalogue can be imported. To publish your own rows with this description, use \
         `publish --croissant`"
    )]
    NoListing,
    /// The signed listing in a Croissant file is malformed.
    #[error("`tidegate:listing`: {0}")]
    Croissant(#[source] serde_json::Error),
}

/// Stored listing, whose signature was checked on arrival.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Owner of the dataset.
    pub owner: PeerId,
    /// Id of the listing.
    pub id: ContentHash,
    /// Content of the listing.
    pub listing: Listing,
    /// Listing as signed.
    pub envelope: Envelope,
}

/// Owners whose listings are stored.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Owners known to this party: a catalogue filled by others makes room for theirs.
    pub known: Vec<PeerId>,
    /// Whether only their listings are stored.
    pub only_known: bool,
    /// Maximum number of stored listings.
    pub most: usize,
}

impl Heard {
    /// Accepts everybody's listings, and makes room for these owners'.
    pub fn everybody(known: Vec<PeerId>) -> Self {
        Self { known, only_known: false, most: limits::LISTINGS }
    }
}
