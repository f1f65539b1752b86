//! Entries of the log: signed, hashed into the tree, never altered.

use redb::{ReadableTable as _, TableDefinition};
use tidegate_protocol::{
    PeerId, Sha256Digest, Signed,
    receipt::{Predicate, Statement, entry::Turned},
};

use super::{Store, StoreError, fetches, grants, standing::Says, stored::Entry, tables::Tables, taken, versions};
use tidegate_audit::rules::alone;

/// Entries of which there is one at most, by what they say.
pub(super) const ONCE: TableDefinition<'_, &str, u64> = TableDefinition::new("once");

/// Signs and appends a statement that meets the audit's rules; returns its index.
pub(super) fn append(tables: &mut Tables<'_>, statement: Statement) -> Result<u64, StoreError> {
    let checked = alone::checked(&statement, &tables.identity().id())?;
    let signed = Signed::sign(statement, tables.identity())?;
    let entry = Entry::of(signed.envelope().to_canonical()?);
    tables.append(Says::Other(&signed.body().predicate), entry, checked)
}

/// What an entry that there is once at most is known by.
pub(super) fn once(predicate: &Predicate) -> Option<String> {
    Some(match predicate {
        Predicate::Grant { grant, .. } => format!("grant {grant}"),
        Predicate::Revocation { grant } => format!("revocation {grant}"),
        Predicate::Retirement { population, manifest: None } => format!("retirement {population}"),
        Predicate::Retirement { population, manifest: Some(manifest) } => format!("retirement {population} {manifest}"),
        // Another approval of the same job names what else has left meanwhile.
        Predicate::Approval { job, approval: Some(approval) } => format!("approval {job} {approval}"),
        Predicate::Approval { job, approval: None } => format!("approval {job}"),
        Predicate::Countersignature { outcome, .. } => format!("countersignature {outcome}"),
        Predicate::Publication { manifest, owner: Some(_), .. } => format!("held {manifest}"),
        Predicate::Refusal { job, outcome, .. } => format!("refusal {job} {}", matches!(outcome, Turned::RefusedByBudget)),
        _ => return None,
    })
}

impl Store {
    /// Logs what is no job's intent or outcome, and exports it. Saying the same grant, revocation, retirement, approval, refusal, countersignature or held version again gives the entry that is there.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::NotInForce`] for a copy of a version that answers nothing, and for a version of a dataset that was retired;
    /// [`StoreError::Rule`] where an audit would refuse it.
    pub fn record(&self, name: &str, subject: Sha256Digest, predicate: Predicate) -> Result<u64, StoreError> {
        let statement = Statement::about(name, subject, predicate);
        let index = self.committer.run(move |tables| {
            let key = once(&statement.predicate);
            if let Some(key) = &key
                && let Some(index) = tables.once.get(key.as_str())?
            {
                return Ok(Ok(index.value()));
            }
            // What is refused has written nothing: those beside it are not held up.
            if let Err(why) = versions::may_say(tables, &statement.predicate)? {
                return Ok(Err(StoreError::NotInForce(why)));
            }
            let index = match append(tables, statement.clone()) {
                // What is refused has written nothing: those beside it are not held up.
                Err(rule @ StoreError::Rule { .. }) => return Ok(Err(rule)),
                appended => appended?,
            };
            versions::remember(tables, &statement.predicate)?;
            grants::remember(tables, &statement.predicate)?;
            fetches::remember(tables, &statement.predicate)?;
            taken::hold(tables, &statement.predicate)?;
            if let Some(key) = key {
                tables.once.insert(key.as_str(), index)?;
            }
            Ok(Ok(index))
        })??;
        self.export()?;
        Ok(index)
    }

    /// Whose log it is.
    pub fn owner(&self) -> PeerId {
        self.identity.id()
    }
}
