//! The log as files, and proofs from the log, for others.

use std::sync::PoisonError;

use redb::{ReadableDatabase as _, ReadableTable as _};
use tidegate_protocol::Envelope;
use tlog_tiles::{Hash, HashReader, TreeProof};

use super::{
    error::{RecordFault, StoreError},
    hashes::{KeptHashes, TableHashes},
    schema::{ENTRIES, HASHES, META},
    state::Store,
    stored,
};
use crate::write;
use tidegate_audit::note::{self, Checkpoint, Note, NoteSignature, Verifier, checkpoint};

/// Key of the note with witnesses' cosignatures.
const COSIGNED: &str = "cosigned";

fn tree(e: tlog_tiles::Error) -> StoreError {
    RecordFault::Tree(e).into()
}

impl Store {
    /// Returns the number of entries in the ledger's log, exported or not.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn size(&self) -> Result<u64, StoreError> {
        let tx = self.db.begin_read()?;
        Ok(tx.open_table(ENTRIES)?.last()?.map_or(0, |(k, _)| k.value() + 1))
    }

    /// Returns the tree's root at `size` entries, or `None` if the log is shorter.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn root_at(&self, size: u64) -> Result<Option<Hash>, StoreError> {
        if size > self.size()? {
            return Ok(None);
        }
        let tx = self.db.begin_read()?;
        let hashes = tx.open_table(HASHES)?;
        tlog_tiles::tree_hash(size, &TableHashes(&hashes)).map(Some).map_err(tree)
    }

    /// Proves that the tree of `new` entries extends the tree of `old` entries.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn consistency(&self, old: u64, new: u64) -> Result<TreeProof, StoreError> {
        if old == 0 || old == new {
            return Ok(TreeProof::new());
        }
        let tx = self.db.begin_read()?;
        let hashes = tx.open_table(HASHES)?;
        tlog_tiles::prove_tree(new, old, &TableHashes(&hashes)).map_err(tree)
    }

    /// Checks a signed tree head of this log against the ledger.
    ///
    /// # Errors
    /// Returns [`StoreError::Behind`] if it has more entries than the ledger, [`StoreError::Forked`] if it is of another history.
    pub fn meet(&self, seen: &Checkpoint) -> Result<(), StoreError> {
        match self.root_at(seen.size)? {
            None => Err(StoreError::Behind { seen: seen.size, here: self.size()? }),
            Some(root) if root != seen.root => Err(StoreError::Forked { size: seen.size }),
            Some(_) => Ok(()),
        }
    }

    /// Checks the checkpoint in the log's folder against the ledger, and continues from there.
    pub(super) fn meet_published(&self) -> Result<(), StoreError> {
        let published = std::fs::read_to_string(self.log_folder().join("checkpoint"));
        // A file that is not our checkpoint was not published by us: it is rewritten.
        let Some(published) = published.ok().and_then(|text| note::open_checkpoint(&text, &self.identity.id()).ok()) else {
            return Ok(());
        };
        self.meet(&published)?;
        *self.exported.lock().unwrap_or_else(PoisonError::into_inner) = published.size;
        Ok(())
    }

    /// Writes tiles, bundles and checkpoint up to the last entry. Idempotent; concurrent callers share a single write.
    ///
    /// # Errors
    /// Returns [`StoreError::Log`] if a file cannot be written.
    pub fn export(&self) -> Result<(), StoreError> {
        let mut done = self.exported.lock().unwrap_or_else(PoisonError::into_inner);
        let size = self.size()?;
        if *done == size && self.log_folder().join("checkpoint").exists() {
            return Ok(());
        }
        let tx = self.db.begin_read()?;
        let (entries, hashes) = (tx.open_table(ENTRIES)?, tx.open_table(HASHES)?);
        let reader = TableHashes(&hashes);
        let checkpoint = self.sign_checkpoint(size, &reader)?;
        let entry = |index: u64| -> std::io::Result<Vec<u8>> {
            let missing = || std::io::Error::other(format!("entry {index} is missing"));
            stored::text(&entries, &hashes, index).map_err(std::io::Error::other)?.ok_or_else(missing)
        };
        write::export(&self.log_folder(), (*done).min(size), size, &reader, entry, &checkpoint)?;
        *done = size;
        Ok(())
    }

    /// Rewrites every file of the log from the ledger.
    ///
    /// # Errors
    /// As for [`Store::export`].
    pub fn export_again(&self) -> Result<(), StoreError> {
        let mut done = self.exported.lock().unwrap_or_else(PoisonError::into_inner);
        *done = 0;
        drop(done);
        let checkpoint = self.log_folder().join("checkpoint");
        if checkpoint.exists() {
            std::fs::remove_file(checkpoint)?;
        }
        self.export()
    }

    fn sign_checkpoint(&self, size: u64, hashes: &impl HashReader) -> Result<String, StoreError> {
        let root = tlog_tiles::tree_hash(size, hashes).map_err(tree)?;
        Ok(note::sign_checkpoint(&self.identity, size, &root))
    }

    /// Returns a signed checkpoint, signed once for all proofs of the same size.
    fn checkpoint_for_proofs(&self, size: u64, hashes: &impl HashReader) -> Result<String, StoreError> {
        let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, note)) = signed.as_ref().filter(|(of, _)| *of == size) {
            return Ok(note.clone());
        }
        let note = self.sign_checkpoint(size, hashes)?;
        *signed = Some((size, note.clone()));
        Ok(note)
    }

    /// Returns the number of exported entries.
    pub fn published(&self) -> u64 {
        *self.exported.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs a checkpoint of all exported entries.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn checkpoint(&self) -> Result<Note, StoreError> {
        let size = *self.exported.lock().unwrap_or_else(PoisonError::into_inner);
        let tx = self.db.begin_read()?;
        let note = self.sign_checkpoint(size, &TableHashes(&tx.open_table(HASHES)?))?;
        Ok(Note::parse(&note).map_err(RecordFault::Log)?)
    }

    /// Stores witnesses' cosignatures on `note`, and publishes them if it covers the newest entries.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails, or `note` is not a checkpoint of this log.
    pub fn cosigned(&self, mut note: Note, cosignatures: Vec<NoteSignature>) -> Result<(), StoreError> {
        let checkpoint = checkpoint::open(&note, &Verifier::log(&self.identity.id())).map_err(RecordFault::Log)?;
        self.meet(&checkpoint)?;
        note.signatures.extend(cosignatures);
        let size = checkpoint.size;
        let newest = self.committer.run(move |tables| {
            let meta = &mut tables.meta;
            let before = meta.get(COSIGNED)?.map(|v| v.value().to_owned());
            let before = before.and_then(|text| Note::parse(&text).ok());
            let mut note = note.clone();
            match before.and_then(|before| Some((Checkpoint::of_text(&before.text).ok()?, before))) {
                Some((older, _)) if older.size > size => return Ok(None),
                // Witnesses that cosigned it before but do not answer now have cosigned it all the same.
                Some((_, before)) if before.text == note.text => {
                    note.merge(before.signatures, usize::MAX);
                }
                _ => {}
            }
            let text = note.to_text();
            meta.insert(COSIGNED, text.as_str())?;
            Ok(Some(text))
        })?;
        let done = self.exported.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = newest.filter(|_| *done == size) {
            write::checkpoint(&self.log_folder(), &text)?;
        }
        Ok(())
    }

    /// Returns the last checkpoint with cosignatures.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn last_cosigned(&self) -> Result<Option<(Checkpoint, Note)>, StoreError> {
        let tx = self.db.begin_read()?;
        let Some(text) = tx.open_table(META)?.get(COSIGNED)?.map(|v| v.value().to_owned()) else { return Ok(None) };
        let read = Note::parse(&text).and_then(|note| Ok((Checkpoint::of_text(&note.text)?, note)));
        Ok(read.map(Some).map_err(RecordFault::Log)?)
    }

    /// Returns the entry at `index` with its C2SP tlog-proof.
    ///
    /// The proof is under the last checkpoint cosigned by witnesses, or a new one if that does not cover the entry.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn prove(&self, index: u64) -> Result<(Envelope, String), StoreError> {
        let cosigned = self.last_cosigned()?.filter(|(checkpoint, _)| index < checkpoint.size);
        let tx = self.db.begin_read()?;
        let (entries, hashes) = (tx.open_table(ENTRIES)?, tx.open_table(HASHES)?);
        let reader = KeptHashes(&self.kept, TableHashes(&hashes));
        let (size, note) = match cosigned {
            Some((checkpoint, note)) => (checkpoint.size, note.to_text()),
            None => {
                let size = entries.last()?.map_or(0, |(k, _)| k.value() + 1);
                (size, self.checkpoint_for_proofs(size, &reader)?)
            }
        };
        let path = tlog_tiles::prove_record(size, index, &reader).map_err(tree)?;
        let entry = stored::text(&entries, &hashes, index)?.ok_or(RecordFault::NoEntry { index })?;
        // The envelope is our own: it was signed before it was stored.
        let envelope = Envelope::from_canonical_unchecked(&entry)?;
        Ok((envelope, note::write_proof(index, &path, &note)))
    }
}
