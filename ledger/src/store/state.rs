//! What an open store holds.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use redb::Database;
use tidegate_protocol::Identity;

use super::{commit::Committer, hashes};

/// The durable state of one owner.
pub struct Store {
    pub(super) db: Arc<Database>,
    pub(super) committer: Committer,
    pub(super) folder: PathBuf,
    pub(super) identity: Identity,
    /// Entries that lie in the log's folder.
    pub(super) exported: Mutex<u64>,
    /// For proofs.
    pub(super) kept: hashes::Kept,
    /// The last checkpoint that was signed for a proof, and its size.
    pub(super) signed: Mutex<Option<(u64, String)>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.folder.display())
    }
}
