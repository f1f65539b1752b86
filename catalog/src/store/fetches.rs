//! Who was let copy what a while ago, as the log says: parts of files are said to be sent to nobody else.

use std::time::SystemTime;

use redb::{ReadableTable as _, TableDefinition};
use tidegate_protocol::{
    grant::Scope,
    receipt::{Party, Predicate},
};

use super::{StoreError, decode, grants, tables::Tables};
use crate::audit::fetches::{Copies, copied, in_time};

/// By party, JSON of its [`Copies`].
pub(super) const COPIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("copies");

fn get(tables: &Tables<'_>, party: &str) -> Result<Copies, StoreError> {
    Ok(tables.copies.get(party)?.map(|found| decode(found.value())).transpose()?.unwrap_or_default())
}

/// Takes in a copy or a replay. One of a log that states no time for it lets nobody fetch anything.
pub(super) fn remember(tables: &mut Tables<'_>, says: &Predicate) -> Result<(), StoreError> {
    let Some((party, ids, Ok(at))) = copied(says) else { return Ok(()) };
    let party = party.to_string();
    let mut copies = get(tables, &party)?;
    copies.add(ids, at);
    tables.copies.insert(party.as_str(), serde_json::to_vec(&copies)?.as_slice())?;
    Ok(())
}

/// Whether it may be said that `party` is sent a part of a file at that time.
pub(super) fn check(tables: &Tables<'_>, party: &Party, at: SystemTime) -> Result<(), StoreError> {
    get(tables, &party.to_string())?.let_begin(party, at, |ids| {
        grants::not_revoked(tables, ids)?;
        let granted = ids.first().map(|id| tables.grants.get(id.as_str())).transpose()?.flatten();
        granted.map_or(Ok(()), |granted| Ok(in_time(&decode::<Scope>(granted.value())?, at)?))
    })
}
