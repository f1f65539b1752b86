//! Links of the chains of charges, one chain for each population.

use redb::ReadableTable as _;
use tidegate_protocol::{ContentHash, Sha256Digest, receipt::LedgerLink};

use super::{error::StoreError, tables::Tables};

/// Finds a population's next link: its sequence, and the digest of the one before.
pub(super) fn next(tables: &Tables<'_>, population: &ContentHash) -> Result<(u64, Sha256Digest), StoreError> {
    Ok(match tables.last.get(population.to_string().as_str())? {
        Some(last) => (last.value().0 + 1, Sha256Digest(last.value().1)),
        None => (0, Sha256Digest([0; 32])),
    })
}

/// Keeps a link as its population's last.
pub(super) fn keep(tables: &mut Tables<'_>, link: &LedgerLink) -> Result<(), StoreError> {
    keep_written(tables, &link.population, link.sequence, &link.to_canonical()?)
}

/// As [`keep`], of a link in canonical JSON.
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
