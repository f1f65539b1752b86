//! The owner's durable state: ledger, jobs and log entries in one redb file, so that each step is one transaction, and steps that come at the same time
//! share one fsync ([`commit`]).
//!
//! Order of a job: [`Store::reserve`] (budget and INTENT, durable) → rows are read → [`Store::finish`] (noised bytes and OUTCOME,
//! durable) → [`Store::export`] → reveal. A crash between any two leaves either nothing charged, or a charged job that
//! [`Store::unfinished`] names, or a stored result that the same request id gets again.

use std::{
    fs::TryLockError,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use redb::{Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition, backends::FileBackend};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tidegate_protocol::{
    ContentHash, Cost, Envelope, Identity, PeerId,
    receipt::{JobFacts, LedgerLink, Party, draft::Facts},
};

mod append;
mod commit;
mod error;
mod export;
mod fetches;
mod find;
mod grants;
mod hashes;
mod jobs;
mod journal;
mod leases;
mod restore;
mod row;
mod standing;
mod stored;
mod tables;
mod taken;
mod versions;

use commit::Committer;
use journal::Journaled;

use crate::write;
use tidegate_files as files;

pub use error::{LeaseError, ReserveError, StoreError};
pub use grants::Standing;
pub use leases::{Ask as LeaseAsk, Given, Whereabouts};
pub use restore::Restored;
pub use taken::{Standing as LeaseStanding, Taken};

const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const HASHES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("hashes");
const LINKS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("links");
/// Of each population's chain: the last link's sequence and digest.
const LAST: TableDefinition<'_, &str, (u64, [u8; 32])> = TableDefinition::new("last");
const SPENT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("spent");
const META: TableDefinition<'_, &str, &str> = TableDefinition::new("notes");
/// Where [`META`] has the layout, and the one that this version writes: 4 since there are leases ([`leases`]), 3 since there is a journal ([`journal`]) and entries lie there in fewer bytes
/// ([`stored`]), 2 since jobs' ends lie apart ([`row`]); 1, which is not said, before.
const LAYOUT: (&str, u32) = ("layout", 4);

/// How far a job has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Charged and logged; no result yet.
    Reserved,
    /// The noised bytes and the receipt are durable.
    Done {
        /// Canonical JSON of the result document.
        result: String,
        /// Log index of the OUTCOME.
        outcome: u64,
    },
    /// Charged, and closed by the owner without a result.
    Closed {
        /// Log index of the OUTCOME.
        outcome: u64,
    },
}

/// One job as the store keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// The buyer's signed job.
    pub job: Envelope,
    /// The facts both entries state.
    pub facts: JobFacts,
    /// Log index of the INTENT.
    pub intent: u64,
    /// Progress.
    pub state: State,
}

impl JobRecord {
    /// Whose job it is: its signer, whatever the log calls that party.
    pub fn buyer(&self) -> Option<PeerId> {
        self.job.signatures.first()?.keyid.parse().ok()
    }
}

/// What to reserve.
#[derive(Debug, Clone)]
pub struct Reserve {
    /// The buyer's request id.
    pub request: String,
    /// The signed job.
    pub job: Envelope,
    /// Facts of the job; `ledger.sequence` and `ledger.previous` are filled in here.
    pub facts: JobFacts,
    /// The buyer's own cap.
    pub per_buyer: Cost,
}

/// A durable charge. Comes only out of [`Store::reserve`] and [`Store::unfinished`].
#[derive(Debug)]
pub struct Reservation {
    key: String,
    record: JobRecord,
    /// The facts as its INTENT has them, to the last digit of their numbers.
    written: Facts,
}

impl Reservation {
    /// What was reserved for.
    pub fn record(&self) -> &JobRecord {
        &self.record
    }
}

/// The durable state of one owner.
pub struct Store {
    db: Arc<Database>,
    committer: Committer,
    folder: PathBuf,
    identity: Identity,
    /// Entries that lie in the log's folder.
    exported: Mutex<u64>,
    /// For proofs.
    kept: hashes::Kept,
    /// The last checkpoint that was signed for a proof, and its size.
    signed: Mutex<Option<(u64, String)>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.folder.display())
    }
}

fn job_key(buyer: &Party, request: &str) -> String {
    format!("{buyer}/{request}")
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    Ok(serde_json::from_slice(bytes)?)
}

impl Store {
    /// Opens (or makes) the store in `folder`, and exports what a crash kept from the log folder.
    ///
    /// # Errors
    /// [`StoreError`] when the file is damaged, held by another process, or cannot be written; [`StoreError::Behind`] and [`StoreError::Forked`] where it
    /// is older than, or another than, what its log folder shows was published.
    pub fn open(folder: &Path, identity: Identity) -> Result<Self, StoreError> {
        Self::with(database(folder)?, folder, identity)
    }

    /// As [`Store::open`] with database and journal in storage of the caller's: for fault injection.
    ///
    /// # Errors
    /// As [`Store::open`].
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

    /// Without looking at what was published.
    fn unguarded(db: Database, folder: &Path, identity: Identity) -> Result<Self, StoreError> {
        let tx = db.begin_write()?;
        tx.open_table(ENTRIES)?;
        tx.open_table(HASHES)?;
        tx.open_table(row::JOBS)?;
        tx.open_table(row::ENDED)?;
        tx.open_table(LINKS)?;
        tx.open_table(LAST)?;
        tx.open_table(SPENT)?;
        settle_layout(&mut tx.open_table(META)?)?;
        tx.open_table(find::ASKED)?;
        tx.open_table(grants::GRANTS)?;
        tx.open_table(grants::REVOKED)?;
        tx.open_table(grants::USES)?;
        tx.open_table(fetches::COPIES)?;
        tx.open_table(append::ONCE)?;
        tx.open_table(leases::LEASES)?;
        tx.open_table(taken::TAKEN)?;
        tx.open_table(versions::VERSIONS)?;
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

    /// Whether a write failed, as on a full disk. Nothing more is written then: the store is to be dropped and opened anew, and what was charged is in it.
    pub fn has_failed(&self) -> bool {
        self.committer.has_failed()
    }

    /// Where the exported log lies.
    pub fn log_folder(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// What has been charged: to a population, or to one buyer within it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn spent(&self, population: &ContentHash, buyer: Option<&Party>) -> Result<Cost, StoreError> {
        let tx = self.db.begin_read()?;
        read_cost(&tx.open_table(SPENT)?, &spent_key(population, buyer))
    }

    /// What is left for one buyer of its cap, what leases set aside for it taken off.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn left_for(&self, population: &ContentHash, buyer: &Party, per_buyer: Cost) -> Result<Cost, StoreError> {
        let elsewhere = leases::set_aside(&self.db.begin_read()?.open_table(leases::LEASES)?, population, buyer)?;
        Ok(self.spent(population, Some(buyer))?.left_of(elsewhere.left_of(per_buyer)))
    }

    /// Every charge on a population, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn links(&self, population: &ContentHash) -> Result<Vec<LedgerLink>, StoreError> {
        let tx = self.db.begin_read()?;
        let name = population.to_string();
        tx.open_table(LINKS)?.range((name.as_str(), 0)..=(name.as_str(), u64::MAX))?.map(|item| decode(item?.1.value())).collect()
    }
}

/// The database in `folder`. A new one is made under another name, so that a crash leaves a whole one or none.
fn database(folder: &Path) -> Result<Database, StoreError> {
    files::create_folder(folder)?;
    let path = folder.join("ledger.redb");
    if !path.exists() {
        let new = folder.join(format!("ledger.redb.{}.new", std::process::id()));
        drop(std::fs::remove_file(&new));
        drop(Database::builder().create_with_backend(FileBackend::new(files::create(&new)?)?)?);
        // Not over one that another process made meanwhile.
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
    // Before it is read: what a running process has there is not ours to write out.
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

/// Refuses a ledger of a later layout, and marks one of an earlier: an older version must not go on with it.
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

fn spent_key(population: &ContentHash, buyer: Option<&Party>) -> String {
    match buyer {
        Some(buyer) => format!("{population}/{buyer}"),
        None => population.to_string(),
    }
}

fn read_cost(table: &impl ReadableTable<&'static str, &'static [u8]>, key: &str) -> Result<Cost, StoreError> {
    Ok(table.get(key)?.map(|v| decode(v.value())).transpose()?.unwrap_or_default())
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
