//! State of an open store.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use redb::Database;
use tidegate_protocol::Identity;

use super::{commit::Committer, hashes};

/// Durable state of an owner.
pub struct Store {
    pub(super) db: Arc<Database>,
    pub(super) committer: Committer,
    pub(super) folder: PathBuf,
    pub(super) identity: Identity,
    /// Number of entries in the log's folder.
    pub(super) exported: Mutex<u64>,
    /// Cache of tree hashes for proofs.
    pub(super) kept: hashes::Kept,
    /// Last checkpoint signed for a proof, and its size.
    pub(super) signed: Mutex<Option<(u64, String)>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.folder.display())
    }
}
