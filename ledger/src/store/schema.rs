//! The tables of the ledger's database, and how their keys and values are written.

use redb::{ReadableTable, Table, TableDefinition};
use serde::de::DeserializeOwned;
use tidegate_protocol::{ContentHash, Cost, receipt::Party};

use super::error::StoreError;

pub(super) const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
pub(super) const HASHES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("hashes");
pub(super) const LINKS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("links");
/// Of each population's chain: the last link's sequence and digest.
pub(super) const LAST: TableDefinition<'_, &str, (u64, [u8; 32])> = TableDefinition::new("last");
pub(super) const SPENT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("spent");
pub(super) const META: TableDefinition<'_, &str, &str> = TableDefinition::new("notes");
/// JSON of a job by buyer and request id. Earlier versions kept a job's state there too.
pub(super) const JOBS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("jobs");
/// JSON of a [`State`](super::State), by the same: none of a job that is [`State::Reserved`](super::State::Reserved).
pub(super) const ENDED: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("ended");
/// By buyer and [`Job::question`](tidegate_protocol::Job::question): the job that was answered last.
pub(super) const ASKED: TableDefinition<'_, &str, &str> = TableDefinition::new("asked");
/// What owners' blocks grant, by their revocation ids.
pub(super) const GRANTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("granted");
/// Revocation ids of any block that was revoked.
pub(super) const REVOKED: TableDefinition<'_, &str, ()> = TableDefinition::new("revoked");
/// When the slots of jobs began, of each grant in the order of the log: nanoseconds since 1970.
pub(super) const USES: TableDefinition<'_, (&str, u64), i64> = TableDefinition::new("uses");
/// By party, JSON of its [`Copies`](tidegate_audit::rules::fetches::Copies).
pub(super) const COPIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("copies");
/// Entries of which there is one at most, by what they say.
pub(super) const ONCE: TableDefinition<'_, &str, u64> = TableDefinition::new("once");
/// Leases that have not come back, by population and place in its chain: JSON of a [`Given`](super::Given).
pub(super) const LEASES: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("leases");
/// Of each population that is held for another, the last lease: JSON of a [`Taken`](super::Taken).
pub(super) const TAKEN: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("taken");
/// By population, JSON of its [`Lineage`](tidegate_audit::lineage::Lineage).
pub(super) const VERSIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("versions");

/// A table that is written to.
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
