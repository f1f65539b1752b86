//! The log's tree hashes, as they lie in redb.

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
