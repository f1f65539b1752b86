//! A redo journal under the database.
//!
//! A commit writes all over the file, and disks write one long piece many times faster than as many scattered pages.
//!
//! Writes wait in memory until the database asks for durability. Then they go to the journal, in one piece with a digest, and
//! only once they are durable there to the file, which is made durable when the journal is full or closed. After a crash the
//! journal is written over the file again; an incomplete last piece was never acknowledged, and is skipped. (Write-ahead logging
//! of pages: Mohan et al., ARIES, 1992, section 1.1.)

use std::{
    hash::{BuildHasher as _, RandomState},
    io::{Error, Result},
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use redb::{BackendError, StorageBackend};

mod piece;

use piece::{ACT, Act, DIGEST_AT, HEADER, MAGIC, RESIZE, act, acts, digest, head, overlay, recover};

/// Maximum size of a journal in bytes; a larger transaction goes to the file itself.
const LIMIT: u64 = 32 << 20;
/// Growth step of the journal in bytes.
const STEP: u64 = 256 << 10;
/// Capacity in bytes kept for pending writes.
const SPARE: usize = 4 << 20;
/// File with a journal.
#[derive(Debug)]
pub(super) struct Journaled<F, J> {
    file: F,
    journal: J,
    limit: u64,
    /// Writes not durable yet. Readers look here first.
    pending: RwLock<Pending>,
    end: Mutex<End>,
}

/// Content of the next piece.
#[derive(Debug, Default)]
struct Pending {
    acts: Vec<u8>,
    /// Future length of the file.
    len: u64,
    /// Whether the writes exceed the journal and go to the file.
    direct: bool,
}

/// End of the journal, where the next piece goes.
#[derive(Debug, Default)]
struct End {
    epoch: [u8; 16],
    sequence: u64,
    at: u64,
    /// Whether a write failed. Then only the journal tells the file's content.
    failed: bool,
}

impl Pending {
    fn push(&mut self, offset: u64, length: u32, data: &[u8]) {
        self.acts.extend_from_slice(&offset.to_le_bytes());
        self.acts.extend_from_slice(&length.to_le_bytes());
        self.acts.extend_from_slice(data);
    }

    fn clear(&mut self) {
        self.acts.clear();
        self.acts.shrink_to(SPARE);
    }
}

impl<F: StorageBackend, J: StorageBackend> Journaled<F, J> {
    /// Puts a journal over `file`, after writing the journal's old content to the file; both belong to this process alone.
    ///
    /// Returns `None` if the journal belongs to another file.
    ///
    /// # Errors
    /// Returns the errors of reading and writing the file and the journal.
    pub(super) fn open(file: F, journal: J) -> Result<Option<Self>> {
        Self::with_limit(file, journal, LIMIT)
    }

    fn with_limit(file: F, journal: J, limit: u64) -> Result<Option<Self>> {
        if !recover(&file, &journal)? {
            return Ok(None);
        }
        let pending = RwLock::new(Pending { len: file.len()?, ..Pending::default() });
        Ok(Some(Self { file, journal, limit, pending, end: Mutex::default() }))
    }

    fn pending(&self) -> RwLockReadGuard<'_, Pending> {
        self.pending.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn changing(&self) -> RwLockWriteGuard<'_, Pending> {
        self.pending.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the journal's end for writing, which is refused after a failure.
    fn writing(&self) -> Result<MutexGuard<'_, End>> {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if end.failed { Err(Error::other("an earlier write failed: reopen the ledger")) } else { Ok(end) }
    }

    fn guarded<T>(&self, write: impl FnOnce(&mut End) -> Result<T>) -> Result<T> {
        let mut end = self.writing()?;
        let done = write(&mut end);
        end.failed = done.is_err();
        done
    }

    /// Makes the file durable with the journal's whole content, and restarts the journal.
    fn checkpoint(&self, end: &mut End) -> Result<()> {
        if end.at > 0 {
            self.file.sync_data()?;
            self.journal.write(0, &[0; MAGIC.len()])?;
            self.journal.sync_data()?;
            end.at = 0;
        }
        Ok(())
    }

    fn add(&self, offset: u64, length: u32, data: &[u8]) -> Result<()> {
        self.guarded(|end| {
            let mut pending = self.changing();
            if !pending.direct && (HEADER + pending.acts.len() + ACT + data.len()) as u64 > self.limit {
                self.checkpoint(end)?;
                acts(&pending.acts).try_for_each(|each| act(&self.file, &each))?;
                pending.clear();
                pending.direct = true;
            }
            if pending.direct {
                return act(&self.file, &if length == RESIZE { Act::Resize(offset) } else { Act::Write(offset, data) });
            }
            pending.push(offset, length, data);
            Ok(())
        })
    }

    /// Writes a piece to the journal, durably.
    fn commit(&self, end: &mut End, acts: &[u8]) -> Result<()> {
        let length = (HEADER + acts.len()) as u64;
        if end.at + length > self.limit {
            self.checkpoint(end)?;
        }
        if end.at == 0 {
            let time = std::time::UNIX_EPOCH.elapsed().map_or(0, |t| t.as_nanos() as u64);
            end.epoch[..8].copy_from_slice(&time.to_le_bytes());
            end.epoch[8..].copy_from_slice(&RandomState::new().hash_one(time).to_le_bytes());
            end.sequence = 0;
        }
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&MAGIC);
        header[8..24].copy_from_slice(&end.epoch);
        header[24..32].copy_from_slice(&end.sequence.to_le_bytes());
        header[32..40].copy_from_slice(&(acts.len() as u64).to_le_bytes());
        header[40..DIGEST_AT].copy_from_slice(&head(&self.file)?);
        let digest = digest(&header, acts);
        header[DIGEST_AT..].copy_from_slice(digest.as_bytes());
        let until = end.at + length;
        if self.journal.len()? < until {
            self.journal.set_len(until.next_multiple_of(STEP))?;
        }
        self.journal.write(end.at, &header)?;
        self.journal.write(end.at + HEADER as u64, acts)?;
        self.journal.sync_data()?;
        (end.at, end.sequence) = (until, end.sequence + 1);
        Ok(())
    }
}

impl<F: StorageBackend, J: StorageBackend> StorageBackend for Journaled<F, J> {
    fn len(&self) -> Result<u64> {
        Ok(self.pending().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let pending = self.pending();
        if pending.acts.is_empty() {
            return self.file.read(offset, out);
        }
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > pending.len) {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let there = self.file.len()?.saturating_sub(offset).min(out.len() as u64) as usize;
        self.file.read(offset, &mut out[..there])?;
        out[there..].fill(0);
        acts(&pending.acts).for_each(|act| overlay(out, offset, &act));
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.add(len, RESIZE, &[])?;
        self.changing().len = len;
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        self.guarded(|end| {
            if std::mem::take(&mut self.changing().direct) {
                return self.file.sync_data();
            }
            {
                // Readers find pending writes here until they are in the file.
                let pending = self.pending();
                if pending.acts.is_empty() {
                    return Ok(());
                }
                self.commit(end, &pending.acts)?;
                acts(&pending.acts).try_for_each(|each| act(&self.file, &each))?;
            }
            self.changing().clear();
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        let length = u32::try_from(data.len()).ok().filter(|length| *length != RESIZE);
        self.add(offset, length.ok_or_else(|| Error::from(std::io::ErrorKind::InvalidInput))?, data)
    }

    fn close(&self) -> Result<()> {
        // After a failure, the journal has the authoritative content.
        let done = self.sync_data().and_then(|()| {
            self.guarded(|end| {
                self.checkpoint(end)?;
                self.journal.set_len(0)?;
                self.journal.sync_data()
            })
        });
        self.file.close()?;
        self.journal.close()?;
        done
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> std::result::Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> std::result::Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> std::result::Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> std::result::Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> std::result::Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> std::result::Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests;
