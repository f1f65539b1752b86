//! Audit rules about earlier entries, checked in the appending transaction where another step could otherwise interfere.
//!
//! The other rules of this kind follow from how the ledger makes entries; `docs/reference/receipts.md` says how for each.

use std::time::SystemTime;

use redb::ReadableTable as _;
use tidegate_protocol::{
    grant::{Action, Ask, Scope},
    limits,
    receipt::{JobFacts, Predicate},
};

use super::{
    super::{error::StoreError, fetches, grants, schema::decode},
    Tables,
};
use tidegate_audit::Broken;

/// Statement to be appended.
#[derive(Clone, Copy)]
pub(in super::super) enum Says<'a> {
    /// The beginning of a job.
    Intent(&'a JobFacts),
    /// End of a job.
    Outcome,
    /// Statement of no job.
    Other(&'a Predicate),
    /// Entry published before.
    Published,
}

fn time(text: &str) -> Result<SystemTime, StoreError> {
    let time = text.parse::<jiff::Timestamp>().map(SystemTime::from);
    time.map_err(|_| ("time", format!("{text:?} is not an RFC 3339 time")).into())
}

/// Checks whether a statement may come at the end of the log.
pub(super) fn check(tables: &Tables<'_>, says: Says<'_>) -> Result<(), StoreError> {
    match says {
        Says::Outcome | Says::Published => Ok(()),
        Says::Intent(facts) => {
            let start = time(&facts.slot_start)?;
            let ask = Ask {
                cost: facts.ledger.cost,
                program: Some(facts.program),
                reducers: facts.mechanism.columns.iter().map(|column| column.reducer.clone()).collect(),
                ..Ask::of(Action::Compute, start)
            };
            allows(tables, &[ask], &facts.grant_ids)
        }
        Says::Other(predicate) => of_no_job(tables, predicate),
    }
}

fn of_no_job(tables: &Tables<'_>, predicate: &Predicate) -> Result<(), StoreError> {
    match predicate {
        Predicate::Copy { sealed, key, grant_ids, time: at, .. } => {
            let at = time(at)?;
            let asks: Vec<_> = match (sealed, key) {
                (true, _) => vec![Ask::of(Action::Mirror, at), Ask::of(Action::Replicate, at)],
                (false, true) => vec![Ask::of(Action::Hold, at)],
                (false, false) => vec![Ask::of(Action::Replicate, at)],
            };
            allows(tables, &asks, grant_ids)
        }
        Predicate::Replay { outcome, grant_ids, time: at, .. } => {
            if *outcome >= tables.size() {
                return broken(("replay-of-receipt", format!("is for entry {outcome}, which is later")));
            }
            allows(tables, &[Ask::of(Action::Replay, time(at)?)], grant_ids)
        }
        Predicate::Fetch { peer, time: at, .. } => fetches::check(tables, peer, time(at)?),
        Predicate::Lease { lease, grant_ids, .. } => {
            let ask = Ask { cost: lease.amount, ..Ask::of(Action::Hold, time(&lease.given)?) };
            allows(tables, &[ask], grant_ids)
        }
        Predicate::Countersignature { outcome, .. } => {
            if *outcome >= tables.size() || outcome.saturating_add(limits::COUNTERSIGN_WITHIN) < tables.size() {
                return broken(("countersignature", format!("is for entry {outcome}, and is too late to be checked")));
            }
            Ok(())
        }
        // Every kind is listed: what a new kind requires of earlier entries must be considered here.
        Predicate::Intent(_)
        | Predicate::Outcome { .. }
        | Predicate::Refusal { .. }
        | Predicate::Publication { .. }
        | Predicate::Grant { .. }
        | Predicate::Retirement { .. }
        | Predicate::Revocation { .. }
        | Predicate::Approval { .. }
        | Predicate::LeaseTaken { .. }
        | Predicate::LeaseEnd { .. } => Ok(()),
    }
}

fn broken(why: Broken) -> Result<(), StoreError> {
    Err(why.into())
}

/// Checks whether a grant named in the log, and not revoked, covers any of the asks. Its rate limit is checked where jobs are
/// charged.
fn allows(tables: &Tables<'_>, asks: &[Ask], ids: &[String]) -> Result<(), StoreError> {
    let granted = ids.first().map(|id| tables.grants.get(id.as_str())).transpose()?.flatten();
    let Some(granted) = granted else {
        return broken(("grant-issued", "the log has no earlier entry that issues the grant".into()));
    };
    let scope: Scope = decode(granted.value())?;
    grants::not_revoked(tables, ids)?;
    let mut tried = asks.iter().map(|ask| scope.covers(ask));
    let first = tried.next().unwrap_or(Ok(()));
    match first {
        Err(why) if !tried.any(|other| other.is_ok()) => broken((why.rule(), why.to_string())),
        _ => Ok(()),
    }
}
