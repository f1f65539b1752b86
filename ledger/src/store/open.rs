//! Opening a store: its database, its journal, its layout.

use std::{
    fs::TryLockError,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use redb::{Database, ReadableTable as _, StorageBackend, backends::FileBackend};
use tidegate_files as files;
use tidegate_protocol::Identity;

use super::{
    commit::Committer,
    error::StoreError,
    hashes,
    journal::Journaled,
    schema::{
        ASKED, COPIES, ENDED, ENTRIES, GRANTS, HASHES, JOBS, LAST, LEASES, LINKS, META, ONCE, REVOKED, SPENT, TAKEN, USES,
        VERSIONS,
    },
    state::Store,
};
use crate::write;

/// Key of the layout in [`META`], and the layout written by this version.
///
/// 4 has leases ([`leases`](super::leases)); 3 has a journal ([`journal`](super::journal)) and shorter stored entries
/// ([`stored`](super::stored)); 2 has jobs' ends in a table of their own ([`row`](super::row)); 1, which is not recorded, came
/// before.
const LAYOUT: (&str, u32) = ("layout", 4);

impl Store {
    /// Opens (or creates) the store in `folder`, and exports entries kept from the log folder by a crash.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the file is damaged, held by another process, or cannot be written; [`StoreError::Behind`] and
    /// [`StoreError::Forked`] if it is older than, or different from, the publication in its log folder.
    pub fn open(folder: &Path, identity: Identity) -> Result<Self, StoreError> {
        Self::with(database(folder)?, folder, identity)
    }

    /// Opens a store like [`Store::open`], with database and journal in the caller's storage: for fault injection.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub fn with_storage(
        file: impl StorageBackend,
        journal: impl StorageBackend,
        folder: &Path,
        identity: Identity,
    ) -> Result<Self, StoreError> {
        Self::with(journaled(file, journal)?, folder, identity)
    }

    fn with(db: Database, folder: &Path, identity: Identity) -> Result<Self, StoreError> {
        let store = Self::unguarded(db, folder, identity)?;
        store.meet_published()?;
        write::sweep(&store.log_folder())?;
        store.export()?;
        Ok(store)
    }

    /// Opens the store without checking the published checkpoint.
    pub(super) fn unguarded(db: Database, folder: &Path, identity: Identity) -> Result<Self, StoreError> {
        let tx = db.begin_write()?;
        tx.open_table(ENTRIES)?;
        tx.open_table(HASHES)?;
        tx.open_table(JOBS)?;
        tx.open_table(ENDED)?;
        tx.open_table(LINKS)?;
        tx.open_table(LAST)?;
        tx.open_table(SPENT)?;
        settle_layout(&mut tx.open_table(META)?)?;
        tx.open_table(ASKED)?;
        tx.open_table(GRANTS)?;
        tx.open_table(REVOKED)?;
        tx.open_table(USES)?;
        tx.open_table(COPIES)?;
        tx.open_table(ONCE)?;
        tx.open_table(LEASES)?;
        tx.open_table(TAKEN)?;
        tx.open_table(VERSIONS)?;
        tx.commit()?;
        let db = Arc::new(db);
        let committer = Committer::start(db.clone(), identity.clone())?;
        Ok(Self {
            db,
            committer,
            folder: folder.to_owned(),
            identity,
            exported: Mutex::new(0),
            kept: hashes::Kept::default(),
            signed: Mutex::default(),
        })
    }

    /// Returns whether a write failed, as on a full disk.
    ///
    /// Nothing more is written then: drop the store and open it anew. All charges are in it.
    pub fn has_failed(&self) -> bool {
        self.committer.has_failed()
    }

    /// Returns the folder of the exported log.
    pub fn log_folder(&self) -> PathBuf {
        self.folder.join("log")
    }
}

/// Opens the database in `folder`. A new one is created under another name, so that a crash leaves a complete database or none.
pub(super) fn database(folder: &Path) -> Result<Database, StoreError> {
    files::create_folder(folder)?;
    let path = folder.join("ledger.redb");
    if !path.exists() {
        let new = folder.join(format!("ledger.redb.{}.new", std::process::id()));
        drop(std::fs::remove_file(&new));
        drop(Database::builder().create_with_backend(FileBackend::new(files::create(&new)?)?)?);
        // Must not replace a database that another process made meanwhile.
        let linked = std::fs::hard_link(&new, &path);
        std::fs::remove_file(&new)?;
        match linked {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(e.into()),
            _ => std::fs::File::open(folder)?.sync_all()?,
        }
    }
    let path = folder.join("ledger.redb.journal");
    let new = !path.exists();
    let journal = files::open_kept(&path)?;
    if new {
        std::fs::File::open(folder)?.sync_all()?;
    }
    // Locked before reading: a running process's journal is not ours to write out.
    match journal.try_lock() {
        Err(TryLockError::WouldBlock) => return Err(StoreError::InUse),
        locked => locked.map_err(std::io::Error::from)?,
    }
    journaled(FileBackend::new(files::open_kept(folder.join("ledger.redb"))?)?, FileBackend::new(journal)?)
}

fn journaled(file: impl StorageBackend, journal: impl StorageBackend) -> Result<Database, StoreError> {
    let storage = Journaled::open(file, journal)?.ok_or(StoreError::Replaced)?;
    match Database::builder().create_with_backend(storage) {
        Err(redb::DatabaseError::DatabaseAlreadyOpen) => Err(StoreError::InUse),
        db => Ok(db?),
    }
}

/// Refuses a ledger of a later layout, and marks an earlier layout as current: an older version must not continue with the file.
fn settle_layout(meta: &mut redb::Table<'_, &str, &str>) -> Result<(), StoreError> {
    let (key, known) = LAYOUT;
    let found = meta.get(key)?.map(|found| found.value().to_owned());
    match found.as_deref().map(str::parse::<u32>) {
        Some(Ok(found)) if found == known => Ok(()),
        Some(Ok(found)) if found > known => Err(StoreError::Newer { found: found.to_string(), known }),
        Some(Err(_)) => Err(StoreError::Newer { found: found.unwrap_or_default(), known }),
        _ => {
            meta.insert(key, known.to_string().as_str())?;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ledger that a later version has written to is left alone; one from before is taken over.
    #[test]
    fn a_ledger_of_a_later_layout_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Store::open(folder.path(), Identity::from_seed([1; 32]));
        drop(open().unwrap());
        let write = |value: Option<&str>| {
            let db = Database::open(folder.path().join("ledger.redb")).unwrap();
            let tx = db.begin_write().unwrap();
            {
                let mut meta = tx.open_table(META).unwrap();
                let before = meta.remove(LAYOUT.0).unwrap().map(|v| v.value().to_owned());
                assert!(before.is_some());
                if let Some(value) = value {
                    meta.insert(LAYOUT.0, value).unwrap();
                }
            }
            tx.commit().unwrap();
        };
        for (found, refused) in [("4", false), ("5", true), ("99", true), ("x", true), ("1", false), ("2", false), ("3", false)] {
            write(Some(found));
            let opened = open().map(drop);
            assert_eq!(matches!(&opened, Err(StoreError::Newer { .. })), refused, "{found}: {opened:?}");
            assert_eq!(opened.is_ok(), !refused, "{found}: {opened:?}");
        }
        write(None);
        open().unwrap();
        write(Some("4"));
    }
}
