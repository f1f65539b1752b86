//! Issued and revoked grants, and the uses of each, according to the log: a grant not named there is not valid.

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

/// Status of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Issued with this scope, and not revoked.
    Good(Box<Scope>),
    /// The log has no record of its issue.
    Unknown,
    /// The token, or a token from which it was narrowed, was revoked.
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

/// Returns whether a block's revocation id was revoked.
fn is_revoked(tables: &Tables<'_>, id: &str) -> Result<bool, StoreError> {
    Ok(tables.revoked.get(id)?.is_some())
}

/// Refuses a grant with a revoked block.
pub(super) fn not_revoked(tables: &Tables<'_>, ids: &[String]) -> Result<(), StoreError> {
    for id in ids {
        if is_revoked(tables, id)? {
            return Err(("grant-revoked", format!("its grant {}… had been revoked", id.get(..10).unwrap_or(id))).into());
        }
    }
    Ok(())
}

/// Counts a charged job as a use of its grant.
pub(super) fn count(tables: &mut Tables<'_>, facts: &JobFacts) -> Result<(), StoreError> {
    let (Some(id), Some(start)) = (facts.grant_ids.first(), start(facts)) else { return Ok(()) };
    let uses = &mut tables.uses;
    let next =
        uses.range((id.as_str(), 0)..=(id.as_str(), u64::MAX))?.next_back().transpose()?.map_or(0, |(key, _)| key.value().1 + 1);
    uses.insert((id.as_str(), next), start)?;
    Ok(())
}

/// Returns whether another job may begin, given the hourly limit of the log's grant.
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
    /// Returns the status of the token whose blocks have these revocation ids, the owner's first.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
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

    /// Builds the revocation list for mirrors and replicas from the log as of `now`.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn revocations(&self, now: SystemTime, lifetime: Duration) -> Result<Revocations, StoreError> {
        let tx = self.db.begin_read()?;
        let (grants, revoked) = (tx.open_table(GRANTS)?, tx.open_table(REVOKED)?);
        let mut ids = BTreeSet::new();
        let mut over = BTreeSet::new();
        for item in revoked.iter()? {
            let id = item?.0.value().to_owned();
            // The scope of a narrowed block is unknown, so its end is too.
            if let Some(scope) = grants.get(id.as_str())?
                && !decode::<Scope>(scope.value())?.lasts_after(now)
            {
                over.insert(id.clone());
            }
            ids.insert(id);
        }
        Ok(Revocations::of(&ids, |id| !over.contains(id), now, lifetime))
    }

    /// Counts the jobs with this grant (`id` is the revocation id of the owner's block) begun within the hour before `now`.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn used(&self, id: &str, now: SystemTime) -> Result<u32, StoreError> {
        used(&self.db.begin_read()?.open_table(USES)?, id, now)
    }
}
