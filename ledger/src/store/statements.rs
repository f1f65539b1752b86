//! Entries that are of no job: publications, grants, revocations, approvals, copies and the like.

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
