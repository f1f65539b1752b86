//! The only way for an entry to enter the tables: after the audit's rules for its place have been checked.

use tidegate_audit::rules::alone::Checked;

use super::{
    super::{error::StoreError, stored::Entry},
    Appended, Tables,
    standing::{self, Says},
};

impl Tables<'_> {
    /// Appends an entry after checking the audit's rules, and returns its index.
    ///
    /// `Checked` proves the rules for an entry by itself; the rules for its place are checked here.
    ///
    /// # Errors
    /// Returns [`StoreError::Rule`] if a rule is broken; nothing is appended then.
    pub(in super::super) fn append(&mut self, says: Says<'_>, entry: Entry, _: Checked) -> Result<u64, StoreError> {
        self.next(says, Appended::Entry(entry))
    }

    /// Appends a statement in canonical JSON like [`Tables::append`].
    ///
    /// # Errors
    /// As for [`Tables::append`].
    pub(in super::super) fn append_statement(&mut self, says: Says<'_>, payload: String, _: Checked) -> Result<u64, StoreError> {
        self.next(says, Appended::Statement(payload))
    }

    fn next(&mut self, says: Says<'_>, appended: Appended) -> Result<u64, StoreError> {
        standing::check(self, says)?;
        Ok(self.push(appended))
    }
}
