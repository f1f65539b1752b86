//! Set reconciliation of two parties' listings: range-based (A. Meyer, 2023; negentropy's protocol 1).
//!
//! A message is of bounded size, and the amount sent grows with the difference, not with the number of listings in common.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use negentropy::{Id, Negentropy, NegentropyStorageBase as _, NegentropyStorageVector};
use rusqlite::params;
use tidegate_protocol::ContentHash;

use super::{Catalogue, CatalogueError, rows::nanoseconds};

/// Maximum message length in bytes.
pub const MESSAGE_BYTES: usize = 64 << 10;
/// Maximum number of messages of a reconciliation: a peer needing more leads this party on.
pub const ROUNDS: usize = 400;
/// Time for which a large set of ids is cached, as reading the ids takes a while.
const FRESH: Duration = Duration::from_secs(2);
/// Minimum size of a cached set of ids.
const MANY: usize = 4096;

fn failed(e: impl std::fmt::Display) -> CatalogueError {
    CatalogueError::Reconciliation(e.to_string())
}

impl Catalogue {
    fn read_ids(&self, now: SystemTime) -> Result<NegentropyStorageVector, CatalogueError> {
        let db = self.db();
        let mut all = db.prepare_cached("SELECT issued, id FROM listings WHERE expires > ?1")?;
        let mut ids = NegentropyStorageVector::new();
        let rows = all.query_map(params![nanoseconds(now)], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?)))?;
        for row in rows {
            let (issued, id) = row?;
            ids.insert(issued.unsigned_abs() / 1_000_000_000, Id::from_byte_array(id)).map_err(failed)?;
        }
        ids.seal().map_err(failed)?;
        Ok(ids)
    }

    /// Answers a message of a peer reconciling with this party.
    ///
    /// # Errors
    /// Returns [`CatalogueError::Reconciliation`] if it is not such a message.
    pub fn answer(&self, message: &[u8], now: SystemTime) -> Result<Vec<u8>, CatalogueError> {
        if message.len() > 2 * MESSAGE_BYTES {
            return Err(failed("the message is too long"));
        }
        let kept = self.ids.lock().unwrap_or_else(PoisonError::into_inner).clone().filter(|(_, read)| read.elapsed() < FRESH);
        let ids = match kept {
            Some((ids, _)) => ids,
            None => {
                let ids = Arc::new(self.read_ids(now)?);
                let many = ids.size().map_err(failed)? > MANY;
                *self.ids.lock().unwrap_or_else(PoisonError::into_inner) = many.then(|| (ids.clone(), Instant::now()));
                ids
            }
        };
        Negentropy::borrowed(&*ids, MESSAGE_BYTES as u64).map_err(failed)?.reconcile(message).map_err(failed)
    }

    /// Begins a reconciliation with a peer; returns the first message.
    ///
    /// # Errors
    /// Returns [`CatalogueError`] if the ids cannot be read.
    pub fn reconcile(&self, now: SystemTime) -> Result<(Reconciliation, Vec<u8>), CatalogueError> {
        let mut ours = Negentropy::owned(self.read_ids(now)?, MESSAGE_BYTES as u64).map_err(failed)?;
        let first = ours.initiate().map_err(failed)?;
        Ok((Reconciliation { ours, rounds: 0 }, first))
    }
}

/// Reconciliation begun by this party.
pub struct Reconciliation {
    ours: Negentropy<'static, NegentropyStorageVector>,
    rounds: usize,
}

impl std::fmt::Debug for Reconciliation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reconciliation(round {})", self.rounds)
    }
}

impl Reconciliation {
    /// Reads the peer's reply; returns the ids missing here, and the next message, if any.
    ///
    /// # Errors
    /// Returns [`CatalogueError::Reconciliation`] if the reply is bad or the peer does not end.
    pub fn read(&mut self, reply: &[u8]) -> Result<(Vec<ContentHash>, Option<Vec<u8>>), CatalogueError> {
        self.rounds += 1;
        if self.rounds > ROUNDS || reply.len() > 2 * MESSAGE_BYTES {
            return Err(failed("the peer does not finish"));
        }
        let (mut have, mut need) = (Vec::new(), Vec::new());
        let next = self.ours.reconcile_with_ids(reply, &mut have, &mut need).map_err(failed)?;
        Ok((need.into_iter().map(|id| ContentHash(id.to_bytes())).collect(), next))
    }
}
