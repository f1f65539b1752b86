//! Tables for the steps of a transaction, opened once for all of them.
//!
//! The entries that the steps append are signed and hashed together.

use rayon::prelude::*;
use redb::{ReadableTable as _, Table, WriteTransaction};
use tidegate_protocol::{Identity, limits};
use tlog_tiles::record_hash;

use super::{
    error::{RecordFault, StoreError},
    hashes::TableHashes,
    row::Rows,
    schema::{
        ASKED, COPIES, ENTRIES, GRANTS, HASHES, LAST, LEASES, LINKS, META, ONCE, REVOKED, SPENT, TAKEN, USES, VERSIONS, Written,
    },
    stored::Entry,
};

mod append;
pub(super) mod standing;

/// Minimum number of entries for which signing in parallel pays.
const FEW: usize = 4;

/// Every table, for a transaction.
pub(super) struct Tables<'tx> {
    /// Jobs, and the log's entries except the ones still to be written by [`Tables::settle`].
    pub(super) rows: Rows<Written<'tx, &'static str>, Written<'tx, &'static str>, Written<'tx, u64>>,
    hashes: Written<'tx, u64>,
    pub(super) links: Table<'tx, (&'static str, u64), &'static [u8]>,
    pub(super) last: Table<'tx, &'static str, (u64, [u8; 32])>,
    pub(super) spent: Written<'tx, &'static str>,
    pub(super) meta: Table<'tx, &'static str, &'static str>,
    pub(super) asked: Table<'tx, &'static str, &'static str>,
    pub(super) grants: Written<'tx, &'static str>,
    pub(super) revoked: Table<'tx, &'static str, ()>,
    pub(super) uses: Table<'tx, (&'static str, u64), i64>,
    pub(super) copies: Written<'tx, &'static str>,
    pub(super) once: Table<'tx, &'static str, u64>,
    pub(super) leases: Written<'tx, (&'static str, u64)>,
    pub(super) taken: Written<'tx, &'static str>,
    pub(super) versions: Written<'tx, &'static str>,
    identity: &'tx Identity,
    appended: Vec<Appended>,
    size: u64,
}

/// Entry with an assigned index.
enum Appended {
    Entry(Entry),
    /// Payload of an unsigned statement.
    Statement(String),
}

impl<'tx> Tables<'tx> {
    pub(super) fn of(tx: &'tx WriteTransaction, identity: &'tx Identity) -> Result<Self, StoreError> {
        let entries = tx.open_table(ENTRIES)?;
        let size = entries.last()?.map_or(0, |(index, _)| index.value() + 1);
        Ok(Self {
            rows: Rows::writing(tx, entries)?,
            hashes: tx.open_table(HASHES)?,
            links: tx.open_table(LINKS)?,
            last: tx.open_table(LAST)?,
            spent: tx.open_table(SPENT)?,
            meta: tx.open_table(META)?,
            asked: tx.open_table(ASKED)?,
            grants: tx.open_table(GRANTS)?,
            revoked: tx.open_table(REVOKED)?,
            uses: tx.open_table(USES)?,
            copies: tx.open_table(COPIES)?,
            once: tx.open_table(ONCE)?,
            leases: tx.open_table(LEASES)?,
            taken: tx.open_table(TAKEN)?,
            versions: tx.open_table(VERSIONS)?,
            identity,
            appended: vec![],
            size,
        })
    }

    /// Returns the identity of the ledger's owner.
    pub(super) fn identity(&self) -> &'tx Identity {
        self.identity
    }

    /// Returns the number of entries, including entries appended in this transaction.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Appends an entry: only for [`append`], which has checked the entry.
    fn push(&mut self, appended: Appended) -> u64 {
        self.appended.push(appended);
        self.size += 1;
        self.size - 1
    }

    /// Writes the appended entries: signs them on every processor and puts them into the tree in their order.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        let identity = self.identity;
        let appended = std::mem::take(&mut self.appended);
        let start = self.size - appended.len() as u64;
        let sign = |appended| -> Result<_, StoreError> {
            let entry = match appended {
                Appended::Entry(entry) => entry,
                Appended::Statement(payload) => Entry::sign(&payload, identity)?,
            };
            if entry.text.len() > limits::ENTRY_BYTES {
                return Err(RecordFault::LongEntry.into());
            }
            let hash = record_hash(&entry.text);
            Ok((entry.stored, hash))
        };
        let entries: Vec<_> = if appended.len() < FEW {
            appended.into_iter().map(sign).collect::<Result<_, _>>()?
        } else {
            appended.into_par_iter().map(sign).collect::<Result<_, _>>()?
        };
        for (index, (stored, hash)) in (start..).zip(entries) {
            let new = tlog_tiles::stored_hashes_for_record_hash(index, hash, &TableHashes(&self.hashes));
            self.rows.entries.insert(index, stored.as_slice())?;
            let first = tlog_tiles::stored_hash_index(0, index);
            for (at, hash) in (first..).zip(new.map_err(RecordFault::Tree)?) {
                self.hashes.insert(at, &hash.0[..])?;
            }
        }
        Ok(())
    }
}
