//! Which grants were issued, which revoked and how often each was used: as the log says, so that none is good that it does not name.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use redb::{ReadableDatabase as _, ReadableTable};
use tidegate_protocol::{
    Revocations,
    grant::{Scope, within_hour},
    receipt::{JobFacts, Predicate},
};

use super::{
    error::StoreError,
    schema::{GRANTS, REVOKED, USES, decode},
    state::Store,
    tables::Tables,
};

/// How a token stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Issued with this scope, and not revoked.
    Good(Box<Scope>),
    /// The log does not say that it was issued.
    Unknown,
    /// It, or what it was narrowed from, was revoked.
    Revoked,
}

pub(super) fn remember(tables: &mut Tables<'_>, predicate: &Predicate) -> Result<(), StoreError> {
    match predicate {
        Predicate::Grant { grant, scope, .. } => {
            tables.grants.insert(grant.as_str(), serde_json::to_vec(scope)?.as_slice())?;
        }
        Predicate::Revocation { grant } => drop(tables.revoked.insert(grant.as_str(), ())?),
        _ => {}
    }
    Ok(())
}

/// Whether a block's revocation id was revoked.
fn is_revoked(tables: &Tables<'_>, id: &str) -> Result<bool, StoreError> {
    Ok(tables.revoked.get(id)?.is_some())
}

/// Refuses a grant of which a block was revoked.
pub(super) fn not_revoked(tables: &Tables<'_>, ids: &[String]) -> Result<(), StoreError> {
    for id in ids {
        if is_revoked(tables, id)? {
            return Err(("grant-revoked", format!("its grant {}… had been revoked", id.get(..10).unwrap_or(id))).into());
        }
    }
    Ok(())
}

/// Counts a job that is charged.
pub(super) fn count(tables: &mut Tables<'_>, facts: &JobFacts) -> Result<(), StoreError> {
    let (Some(id), Some(start)) = (facts.grant_ids.first(), start(facts)) else { return Ok(()) };
    let uses = &mut tables.uses;
    let next =
        uses.range((id.as_str(), 0)..=(id.as_str(), u64::MAX))?.next_back().transpose()?.map_or(0, |(key, _)| key.value().1 + 1);
    uses.insert((id.as_str(), next), start)?;
    Ok(())
}

/// Whether one job more may begin, where the log's grant says how many may within an hour.
pub(super) fn may_begin(tables: &Tables<'_>, facts: &JobFacts) -> Result<bool, StoreError> {
    let Some(id) = facts.grant_ids.first() else { return Ok(true) };
    let most = match tables.grants.get(id.as_str())? {
        Some(scope) => decode::<Scope>(scope.value())?.per_hour,
        None => None,
    };
    let (Some(most), Some(start)) = (most, start(facts)) else { return Ok(true) };
    Ok(used(&tables.uses, id, time(start))? < most)
}

fn start(facts: &JobFacts) -> Option<i64> {
    i64::try_from(facts.slot_start.parse::<jiff::Timestamp>().ok()?.as_nanosecond()).ok()
}

fn time(nanoseconds: i64) -> SystemTime {
    jiff::Timestamp::from_nanosecond(nanoseconds.into()).map_or(SystemTime::UNIX_EPOCH, SystemTime::from)
}

fn used(uses: &impl ReadableTable<(&'static str, u64), i64>, id: &str, start: SystemTime) -> Result<u32, StoreError> {
    let mut failed = None;
    let starts = uses.range((id, 0)..=(id, u64::MAX))?.rev().map_while(|item| match item {
        Ok((_, begun)) => Some(time(begun.value())),
        Err(e) => {
            failed = Some(e);
            None
        }
    });
    let used = within_hour(starts, start);
    failed.map_or(Ok(used), |e| Err(e.into()))
}

impl Store {
    /// How the token stands whose blocks have these revocation ids, the owner's first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn standing(&self, ids: &[String]) -> Result<Standing, StoreError> {
        let tx = self.db.begin_read()?;
        let (grants, revoked) = (tx.open_table(GRANTS)?, tx.open_table(REVOKED)?);
        for id in ids {
            if revoked.get(id.as_str())?.is_some() {
                return Ok(Standing::Revoked);
            }
        }
        let Some(id) = ids.first() else { return Ok(Standing::Unknown) };
        match grants.get(id.as_str())? {
            Some(scope) => Ok(Standing::Good(Box::new(decode(scope.value())?))),
            None => Ok(Standing::Unknown),
        }
    }

    /// What those are told who hold this owner's encrypted files, or answer jobs for it, as the log has it at `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn revocations(&self, now: SystemTime, lifetime: Duration) -> Result<Revocations, StoreError> {
        let tx = self.db.begin_read()?;
        let (grants, revoked) = (tx.open_table(GRANTS)?, tx.open_table(REVOKED)?);
        let mut ids = BTreeSet::new();
        let mut over = BTreeSet::new();
        for item in revoked.iter()? {
            let id = item?.0.value().to_owned();
            // Of a block that was narrowed, nobody can say.
            if let Some(scope) = grants.get(id.as_str())?
                && !decode::<Scope>(scope.value())?.lasts_after(now)
            {
                over.insert(id.clone());
            }
            ids.insert(id);
        }
        Ok(Revocations::of(&ids, |id| !over.contains(id), now, lifetime))
    }

    /// How many jobs that came with this grant (the owner's block's revocation id) began within the hour before `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn used(&self, id: &str, now: SystemTime) -> Result<u32, StoreError> {
        used(&self.db.begin_read()?.open_table(USES)?, id, now)
    }
}
