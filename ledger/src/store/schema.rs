//! Tables of the ledger's database, with the encoding of their keys and values.

use redb::{ReadableTable, Table, TableDefinition};
use serde::de::DeserializeOwned;
use tidegate_protocol::{ContentHash, Cost, receipt::Party};

use super::error::StoreError;

pub(super) const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
pub(super) const HASHES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("hashes");
pub(super) const LINKS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("links");
/// Last link's sequence and digest in each `population`'s chain.
pub(super) const LAST: TableDefinition<'_, &str, (u64, [u8; 32])> = TableDefinition::new("last");
pub(super) const SPENT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("spent");
pub(super) const META: TableDefinition<'_, &str, &str> = TableDefinition::new("notes");
/// JSON of a job by buyer and request id. Earlier versions also stored the job's state there.
pub(super) const JOBS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("jobs");
/// JSON of a [`State`](super::State), by the same key: absent for a job in [`State::Reserved`](super::State::Reserved).
pub(super) const ENDED: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("ended");
/// Key of the job last answered, by buyer and [`Job::question`](tidegate_protocol::Job::question).
pub(super) const ASKED: TableDefinition<'_, &str, &str> = TableDefinition::new("asked");
/// Scopes of owners' blocks, by revocation id.
pub(super) const GRANTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("granted");
/// Revocation ids of revoked blocks.
pub(super) const REVOKED: TableDefinition<'_, &str, ()> = TableDefinition::new("revoked");
/// Start times of jobs' slots, by grant and in the order of the log: nanoseconds since 1970.
pub(super) const USES: TableDefinition<'_, (&str, u64), i64> = TableDefinition::new("uses");
/// JSON of each party's [`Copies`](tidegate_audit::rules::fetches::Copies).
pub(super) const COPIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("copies");
/// Index of entries restricted to a single occurrence, by content.
pub(super) const ONCE: TableDefinition<'_, &str, u64> = TableDefinition::new("once");
/// Outstanding leases, by `population` and place in its chain: JSON of a [`Given`](super::Given).
pub(super) const LEASES: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("leases");
/// Last lease of each `population` held for another owner: JSON of a [`Taken`](super::Taken).
pub(super) const TAKEN: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("taken");
/// JSON of each `population`'s [`Lineage`](tidegate_audit::lineage::Lineage).
pub(super) const VERSIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("versions");

/// Table open for writing.
pub(super) type Written<'tx, K> = Table<'tx, K, &'static [u8]>;

pub(super) fn job_key(buyer: &Party, request: &str) -> String {
    format!("{buyer}/{request}")
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    Ok(serde_json::from_slice(bytes)?)
}

pub(super) fn spent_key(population: &ContentHash, buyer: Option<&Party>) -> String {
    match buyer {
        Some(buyer) => format!("{population}/{buyer}"),
        None => population.to_string(),
    }
}

pub(super) fn read_cost(table: &impl ReadableTable<&'static str, &'static [u8]>, key: &str) -> Result<Cost, StoreError> {
    Ok(table.get(key)?.map(|v| decode(v.value())).transpose()?.unwrap_or_default())
}
