//! Statements as entries of the log: checked against the audit's rules, signed, and appended.

use tidegate_protocol::{
    Signed,
    receipt::{Predicate, Statement, entry::Turned},
};

use super::{
    error::StoreError,
    stored::Entry,
    tables::{Tables, standing::Says},
};
use tidegate_audit::rules::alone;

/// Signs and appends a statement that meets the audit's rules; returns its index.
pub(super) fn append(tables: &mut Tables<'_>, statement: Statement) -> Result<u64, StoreError> {
    let checked = alone::checked(&statement, &tables.identity().id())?;
    let signed = Signed::sign(statement, tables.identity())?;
    let entry = Entry::of(signed.envelope().to_canonical()?);
    tables.append(Says::Other(&signed.body().predicate), entry, checked)
}

/// Returns the key of an entry that may occur only once.
pub(super) fn once(predicate: &Predicate) -> Option<String> {
    Some(match predicate {
        Predicate::Grant { grant, .. } => format!("grant {grant}"),
        Predicate::Revocation { grant } => format!("revocation {grant}"),
        Predicate::Retirement { population, manifest: None } => format!("retirement {population}"),
        Predicate::Retirement { population, manifest: Some(manifest) } => format!("retirement {population} {manifest}"),
        // Another approval of the same job lists the results released meanwhile.
        Predicate::Approval { job, approval: Some(approval) } => format!("approval {job} {approval}"),
        Predicate::Approval { job, approval: None } => format!("approval {job}"),
        Predicate::Countersignature { outcome, .. } => format!("countersignature {outcome}"),
        Predicate::Publication { manifest, owner: Some(_), .. } => format!("held {manifest}"),
        Predicate::Refusal { job, outcome, .. } => format!("refusal {job} {}", matches!(outcome, Turned::RefusedByBudget)),
        _ => return None,
    })
}
