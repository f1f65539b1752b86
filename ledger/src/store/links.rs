//! Links of the chains of charges, a chain for each dataset lineage.

use redb::ReadableTable as _;
use tidegate_protocol::{ContentHash, Sha256Digest, receipt::LedgerLink};

use super::{error::StoreError, tables::Tables};

/// Returns the next link of a dataset lineage: its sequence, and the digest of the previous link.
pub(super) fn next(tables: &Tables<'_>, population: &ContentHash) -> Result<(u64, Sha256Digest), StoreError> {
    Ok(match tables.last.get(population.to_string().as_str())? {
        Some(last) => (last.value().0 + 1, Sha256Digest(last.value().1)),
        None => (0, Sha256Digest([0; 32])),
    })
}

/// Stores a link as the last of its dataset lineage.
pub(super) fn keep(tables: &mut Tables<'_>, link: &LedgerLink) -> Result<(), StoreError> {
    keep_written(tables, &link.population, link.sequence, &link.to_canonical()?)
}

/// Stores a link in canonical JSON like [`keep`].
pub(super) fn keep_written(
    tables: &mut Tables<'_>,
    population: &ContentHash,
    sequence: u64,
    link: &str,
) -> Result<(), StoreError> {
    let name = population.to_string();
    tables.links.insert((name.as_str(), sequence), link.as_bytes())?;
    tables.last.insert(name.as_str(), (sequence, Sha256Digest::of(link.as_bytes()).0))?;
    Ok(())
}
