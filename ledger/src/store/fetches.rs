//! Recent permissions to copy, according to the log: no other party may be logged as a receiver of parts of files.

use std::time::SystemTime;

use redb::{ReadableTable as _, ReadableTableMetadata as _};
use tidegate_protocol::{
    grant::Scope,
    receipt::{Party, Predicate},
};

use super::{error::StoreError, grants, schema::decode, tables::Tables};
use tidegate_audit::rules::fetches::{Copies, PARTIES, copied, in_time};

fn get(tables: &Tables<'_>, party: &str) -> Result<Copies, StoreError> {
    Ok(tables.copies.get(party)?.map(|found| decode(found.value())).transpose()?.unwrap_or_default())
}

/// Records a copy or a replay. An entry without a time permits no fetches.
pub(super) fn remember(tables: &mut Tables<'_>, says: &Predicate) -> Result<(), StoreError> {
    let Some((party, ids, Ok(at))) = copied(says) else { return Ok(()) };
    let party = party.to_string();
    let mut copies = get(tables, &party)?;
    copies.add(ids, at);
    let known = tables.copies.insert(party.as_str(), serde_json::to_vec(&copies)?.as_slice())?.is_some();
    // Once per given number of additions, so that the additions pay for the scan.
    if !known && tables.copies.len()? % PARTIES as u64 == 0 {
        forget(tables, at)?;
    }
    Ok(())
}

/// Forgets parties whose permissions have all ended by `at`.
fn forget(tables: &mut Tables<'_>, at: SystemTime) -> Result<(), StoreError> {
    let mut over = Vec::new();
    for found in tables.copies.iter()? {
        let (party, copies) = found?;
        if decode::<Copies>(copies.value())?.are_over(at) {
            over.push(party.value().to_owned());
        }
    }
    for party in over {
        tables.copies.remove(party.as_str())?;
    }
    Ok(())
}

/// Checks whether `party` may be logged as the receiver of a part of a file at time `at`.
pub(super) fn check(tables: &Tables<'_>, party: &Party, at: SystemTime) -> Result<(), StoreError> {
    get(tables, &party.to_string())?.let_begin(party, at, |ids| {
        grants::not_revoked(tables, ids)?;
        let granted = ids.first().map(|id| tables.grants.get(id.as_str())).transpose()?.flatten();
        granted.map_or(Ok(()), |granted| Ok(in_time(&decode::<Scope>(granted.value())?, at)?))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use redb::{Database, ReadableTableMetadata as _, backends::InMemoryBackend};
    use tidegate_protocol::{ContentHash, Identity};

    use super::*;

    #[test]
    fn parties_whose_permissions_have_ended_are_forgotten() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let (tx, owner) = (database.begin_write().unwrap(), Identity::from_seed([0; 32]));
        let mut tables = Tables::of(&tx, &owner).unwrap();
        let copy = |party: usize, time: SystemTime| Predicate::Copy {
            peer: Identity::from_seed(std::array::from_fn(|i| (party >> (i % 4 * 8)) as u8)).id().into(),
            holder: None,
            sealed: false,
            key: false,
            manifest: ContentHash::of(b"a"),
            population: ContentHash::of(b"b"),
            grant_ids: vec!["aa".into()],
            time: jiff::Timestamp::try_from(time).unwrap().to_string(),
        };
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let late = start + 2 * tidegate_protocol::limits::COPY_TIME;
        for party in 1..PARTIES {
            remember(&mut tables, &copy(party, if party % 2 == 0 { start } else { late })).unwrap();
        }
        assert_eq!(tables.copies.len().unwrap(), PARTIES as u64 - 1);
        remember(&mut tables, &copy(PARTIES, late)).unwrap();
        assert_eq!(tables.copies.len().unwrap(), PARTIES as u64 / 2 + 1);
    }
}
