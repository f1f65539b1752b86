//! The only way by which an entry comes into the tables: after what the audit's rules ask of it at its place.

use tidegate_audit::rules::alone::Checked;

use super::{
    super::{error::StoreError, stored::Entry},
    Appended, Tables,
    standing::{self, Says},
};

impl Tables<'_> {
    /// Appends an entry that meets the audit's rules: those of one entry by itself, as `Checked` says, and here those of its place. Its index.
    ///
    /// # Errors
    /// [`StoreError::Rule`]; nothing is appended then.
    pub(in super::super) fn append(&mut self, says: Says<'_>, entry: Entry, _: Checked) -> Result<u64, StoreError> {
        self.next(says, Appended::Entry(entry))
    }

    /// As [`Tables::append`], of a statement that is canonical JSON.
    ///
    /// # Errors
    /// As [`Tables::append`].
    pub(in super::super) fn append_statement(&mut self, says: Says<'_>, payload: String, _: Checked) -> Result<u64, StoreError> {
        self.next(says, Appended::Statement(payload))
    }

    fn next(&mut self, says: Says<'_>, appended: Appended) -> Result<u64, StoreError> {
        standing::check(self, says)?;
        Ok(self.push(appended))
    }
}
