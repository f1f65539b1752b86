//! The version of each dataset in force, according to the log: checked in the transaction that logs an act, so that no act
//! follows its version's end.

use redb::{ReadableDatabase as _, ReadableTable};
use tidegate_protocol::{
    ContentHash,
    receipt::Predicate,
    revocations::{of_population, of_version},
};

use super::{
    error::StoreError,
    schema::{VERSIONS, decode},
    state::Store,
    tables::Tables,
};
use tidegate_audit::lineage::{Lineage, NotInForce};

fn get(
    versions: &impl ReadableTable<&'static str, &'static [u8]>,
    population: &ContentHash,
) -> Result<Option<Lineage>, StoreError> {
    versions.get(population.to_string().as_str())?.map(|lineage| decode(lineage.value())).transpose()
}

/// Records a publication or a retirement accepted by [`may_say`]; retirements are added to the revocation list.
pub(super) fn remember(tables: &mut Tables<'_>, says: &Predicate) -> Result<(), StoreError> {
    let Some(population) = Lineage::of(says) else { return Ok(()) };
    let after = Lineage::after(get(&tables.versions, &population)?, says).map_err(StoreError::NotInForce)?;
    let Some(after) = after else { return Ok(()) };
    tables.versions.insert(population.to_string().as_str(), serde_json::to_vec(&after)?.as_slice())?;
    if let Predicate::Retirement { manifest, .. } = says {
        let name = manifest.map_or_else(|| of_population(&population), |manifest| of_version(&manifest));
        tables.revoked.insert(name.as_str(), ())?;
    }
    Ok(())
}

/// Checks whether an act by this version may be logged now.
///
/// `newest` is the policy of the newest version under which the act says it also is. Versions that the log never published are
/// not checked here.
pub(super) fn acts(
    tables: &Tables<'_>,
    population: &ContentHash,
    manifest: &ContentHash,
    newest: Option<ContentHash>,
) -> Result<Result<(), NotInForce>, StoreError> {
    let Some(lineage) = get(&tables.versions, population)? else { return Ok(Ok(())) };
    Ok(match lineage.governed_by(manifest, newest) {
        Ok(_) | Err(NotInForce::Unknown) => Ok(()),
        Err(why) => Err(why),
    })
}

/// Checks an entry other than a job's like [`acts`]; also checks whether a publication or retirement may come next.
pub(super) fn may_say(tables: &Tables<'_>, says: &Predicate) -> Result<Result<(), NotInForce>, StoreError> {
    if let Some(population) = Lineage::of(says) {
        return Ok(Lineage::after(get(&tables.versions, &population)?, says).map(drop));
    }
    let Predicate::Copy { population, manifest, .. } = says else { return Ok(Ok(())) };
    let Some(lineage) = get(&tables.versions, population)? else { return Ok(Ok(())) };
    Ok(match lineage.governed(manifest) {
        Ok(_) | Err(NotInForce::Unknown) => Ok(()),
        Err(why) => Err(why),
    })
}

impl Store {
    /// Returns the versions of a dataset lineage, if the log has any.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn lineage(&self, population: &ContentHash) -> Result<Option<Lineage>, StoreError> {
        get(&self.db.begin_read()?.open_table(VERSIONS)?, population)
    }
}
