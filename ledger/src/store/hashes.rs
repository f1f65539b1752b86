//! Tree hashes of the log, stored in redb.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use redb::ReadableTable;
use tlog_tiles::{Hash, HashReader};

/// Stored hashes in a redb table.
pub(super) struct TableHashes<'a, T>(pub(super) &'a T);

impl<T: ReadableTable<u64, &'static [u8]>> HashReader for TableHashes<'_, T> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        let missing = |i: u64| tlog_tiles::Error::InvalidInput(format!("stored hash {i} is missing"));
        indexes
            .iter()
            .map(|&i| {
                let value = self.0.get(i).ok().flatten().ok_or_else(|| missing(i))?;
                Ok(Hash(value.value().try_into().map_err(|_| missing(i))?))
            })
            .collect()
    }
}

/// Maximum number of cached hashes: some 4 MiB. The hashes near the root are in every proof.
const KEPT: usize = 1 << 16;

/// Cache of stored hashes. They never change.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<HashMap<u64, Hash>>);

/// Stored hashes in a redb table, read through the cache.
pub(super) struct KeptHashes<'a, T>(pub(super) &'a Kept, pub(super) TableHashes<'a, T>);

impl<T: ReadableTable<u64, &'static [u8]>> HashReader for KeptHashes<'_, T> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        let mut kept = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let missing: Vec<u64> = indexes.iter().copied().filter(|i| !kept.contains_key(i)).collect();
        if kept.len() + missing.len() > KEPT {
            kept.clear();
            drop(kept);
            return self.1.read_hashes(indexes);
        }
        let read = self.1.read_hashes(&missing)?;
        kept.extend(missing.into_iter().zip(read));
        Ok(indexes.iter().filter_map(|i| kept.get(i).copied()).collect())
    }
}
