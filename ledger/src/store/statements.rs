//! Entries other than jobs': publications, grants, revocations, approvals, copies and the like.

use redb::ReadableTable as _;
use tidegate_protocol::{
    PeerId, Sha256Digest,
    receipt::{Predicate, Statement},
};

use super::{
    append::{append, once},
    error::StoreError,
    fetches, grants,
    state::Store,
    taken, versions,
};

impl Store {
    /// Logs and exports a statement other than a job's intent or outcome.
    ///
    /// Repeating a grant, revocation, retirement, approval, refusal, countersignature or held version returns the existing entry.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails; [`StoreError::NotInForce`] for a copy of a version that answers nothing, and
    /// for a version of a retired dataset; [`StoreError::Rule`] if an audit would refuse it.
    pub fn record(&self, name: &str, subject: Sha256Digest, predicate: Predicate) -> Result<u64, StoreError> {
        let statement = Statement::about(name, subject, predicate);
        let index = self.committer.run(move |tables| {
            let key = once(&statement.predicate);
            if let Some(key) = &key
                && let Some(index) = tables.once.get(key.as_str())?
            {
                return Ok(Ok(index.value()));
            }
            // A refused step has written nothing, so the other steps of the group go on.
            if let Err(why) = versions::may_say(tables, &statement.predicate)? {
                return Ok(Err(StoreError::NotInForce(why)));
            }
            let index = match append(tables, statement.clone()) {
                // A refused step has written nothing, so the other steps of the group go on.
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

    /// Returns the owner of the log.
    pub fn owner(&self) -> PeerId {
        self.identity.id()
    }
}
