//! Which grants were issued and which revoked: as the log says, so that none is good that it does not name.

use redb::{ReadableDatabase as _, TableDefinition, WriteTransaction};
use tidegate_protocol::receipt::Predicate;

use super::{Store, StoreError};

/// Revocation ids of owners' blocks.
pub(super) const GRANTS: TableDefinition<'_, &str, ()> = TableDefinition::new("grants");
/// Revocation ids of any block that was revoked.
pub(super) const REVOKED: TableDefinition<'_, &str, ()> = TableDefinition::new("revoked");

/// How a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Issued, and not revoked.
    Good,
    /// The log does not say that it was issued.
    Unknown,
    /// It, or what it was narrowed from, was revoked.
    Revoked,
}

pub(super) fn remember(tx: &WriteTransaction, predicate: &Predicate) -> Result<(), StoreError> {
    let (table, id) = match predicate {
        Predicate::Grant { grant, .. } => (GRANTS, grant),
        Predicate::Revocation { grant } => (REVOKED, grant),
        _ => return Ok(()),
    };
    tx.open_table(table)?.insert(id.as_str(), ())?;
    Ok(())
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
        let issued = match ids.first() {
            Some(id) => grants.get(id.as_str())?.is_some(),
            None => false,
        };
        Ok(if issued { Standing::Good } else { Standing::Unknown })
    }
}
