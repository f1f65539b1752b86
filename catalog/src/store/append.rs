//! Entries of the log: signed, hashed into the tree, never altered.

use redb::{ReadableTable as _, TableDefinition, WriteTransaction};
use tidegate_protocol::{
    Identity, PeerId, Sha256Digest, Signed, limits,
    receipt::{Predicate, Statement, entry::Turned},
};

use super::{ENTRIES, HASHES, Store, StoreError, grants, hashes::TableHashes};

/// Entries of which there is one at most, by what they say.
pub(super) const ONCE: TableDefinition<'_, &str, u64> = TableDefinition::new("once");

/// Signs and appends a statement within `tx`; returns its index.
pub(super) fn append(tx: &WriteTransaction, identity: &Identity, statement: Statement) -> Result<u64, StoreError> {
    let entry = Signed::sign(statement, identity)?.envelope().to_canonical()?;
    append_bytes(tx, &entry)
}

/// Appends an entry within `tx`; returns its index.
pub(super) fn append_bytes(tx: &WriteTransaction, entry: &[u8]) -> Result<u64, StoreError> {
    if entry.len() > limits::ENTRY_BYTES {
        return Err(StoreError::Record("an entry is longer than the log format allows".into()));
    }
    let mut entries = tx.open_table(ENTRIES)?;
    let mut hashes = tx.open_table(HASHES)?;
    let index = entries.last()?.map_or(0, |(k, _)| k.value() + 1);
    let new = {
        let reader = TableHashes(&hashes);
        tlog_tiles::stored_hashes(index, entry, &reader).map_err(|e| StoreError::Record(e.to_string()))?
    };
    entries.insert(index, entry)?;
    let start = tlog_tiles::stored_hash_index(0, index);
    for (i, hash) in new.into_iter().enumerate() {
        hashes.insert(start + i as u64, &hash.0[..])?;
    }
    Ok(index)
}

/// What an entry that there is once at most is known by.
pub(super) fn once(predicate: &Predicate) -> Option<String> {
    Some(match predicate {
        Predicate::Grant { grant, .. } => format!("grant {grant}"),
        Predicate::Revocation { grant } => format!("revocation {grant}"),
        Predicate::Approval { job, .. } => format!("approval {job}"),
        Predicate::Countersignature { outcome, .. } => format!("countersignature {outcome}"),
        Predicate::Refusal { job, outcome, .. } => format!("refusal {job} {}", matches!(outcome, Turned::RefusedByBudget)),
        _ => return None,
    })
}

impl Store {
    /// Logs what is no job's intent or outcome, and exports it. Saying the same grant, revocation, approval, refusal or countersignature again gives the entry that is there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn record(&self, name: &str, subject: Sha256Digest, predicate: Predicate) -> Result<u64, StoreError> {
        let identity = self.identity.clone();
        let statement = Statement::about(name, subject, predicate);
        let index = self.committer.run(move |tx| {
            let key = once(&statement.predicate);
            if let Some(key) = &key
                && let Some(index) = tx.open_table(ONCE)?.get(key.as_str())?
            {
                return Ok(index.value());
            }
            let index = append(tx, &identity, statement.clone())?;
            grants::remember(tx, &statement.predicate)?;
            if let Some(key) = key {
                tx.open_table(ONCE)?.insert(key.as_str(), index)?;
            }
            Ok(index)
        })?;
        self.export()?;
        Ok(index)
    }

    /// Whose log it is.
    pub fn owner(&self) -> PeerId {
        self.identity.id()
    }
}
