//! The owner's durable state: ledger, jobs and log entries in one redb file, so that each step is one transaction and one fsync.
//!
//! Order of a job: [`Store::reserve`] (budget and INTENT, durable) → rows are read → [`Store::finish`] (noised bytes and OUTCOME,
//! durable) → [`Store::export`] → reveal. A crash between any two leaves either nothing charged, or a charged job that
//! [`Store::unfinished`] names, or a stored result that the same request id gets again.

use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tidegate_protocol::{
    ContentHash, Cost, Envelope, Identity, PeerId, Sha256Digest, Signed, limits,
    receipt::{JobFacts, LedgerLink, Predicate, Statement},
};
use tlog_tiles::HashReader;

use crate::{log, note};

mod error;
mod find;
mod hashes;

use hashes::TableHashes;

pub use error::{ReserveError, StoreError};

const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const HASHES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("hashes");
const JOBS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("jobs");
const LINKS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("links");
const SPENT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("spent");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

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

/// What to reserve.
#[derive(Debug, Clone)]
pub struct Reserve {
    /// The buyer's request id.
    pub request: String,
    /// The signed job.
    pub job: Envelope,
    /// SHA-256 of the job's payload: the INTENT's subject.
    pub subject: Sha256Digest,
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
}

impl Reservation {
    /// What was reserved for.
    pub fn record(&self) -> &JobRecord {
        &self.record
    }
}

/// The durable state of one owner.
pub struct Store {
    db: Database,
    folder: PathBuf,
    identity: Identity,
    exporting: std::sync::Mutex<()>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.folder.display())
    }
}

fn job_key(buyer: &PeerId, request: &str) -> String {
    format!("{buyer}/{request}")
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    Ok(serde_json::from_slice(bytes)?)
}

impl Store {
    /// Opens (or makes) the store in `folder`, and exports what a crash kept from the log folder.
    ///
    /// # Errors
    /// [`StoreError`] when the file is damaged, held by another process, or cannot be written.
    pub fn open(folder: &Path, identity: Identity) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder)?;
        let db = match Database::create(folder.join("ledger.redb")) {
            Err(redb::DatabaseError::DatabaseAlreadyOpen) => return Err(StoreError::InUse),
            db => db?,
        };
        Self::with(db, folder, identity)
    }

    /// As [`Store::open`] over a storage backend of the caller's: for fault injection.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn with_backend(backend: impl StorageBackend, folder: &Path, identity: Identity) -> Result<Self, StoreError> {
        Self::with(Database::builder().create_with_backend(backend)?, folder, identity)
    }

    fn with(db: Database, folder: &Path, identity: Identity) -> Result<Self, StoreError> {
        let tx = db.begin_write()?;
        tx.open_table(ENTRIES)?;
        tx.open_table(HASHES)?;
        tx.open_table(JOBS)?;
        tx.open_table(LINKS)?;
        tx.open_table(SPENT)?;
        tx.open_table(META)?;
        tx.open_table(find::ASKED)?;
        tx.commit()?;
        let store = Self { db, folder: folder.to_owned(), identity, exporting: std::sync::Mutex::new(()) };
        store.export()?;
        Ok(store)
    }

    /// Where the exported log lies.
    pub fn log_folder(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// What has been charged: to a population, or to one buyer within it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn spent(&self, population: &ContentHash, buyer: Option<&PeerId>) -> Result<Cost, StoreError> {
        let tx = self.db.begin_read()?;
        read_cost(&tx.open_table(SPENT)?, &spent_key(population, buyer))
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

    /// Charges a job and logs its INTENT, in one durable transaction. The same request id and job is charged once: its record comes back.
    ///
    /// # Errors
    /// [`ReserveError`]; nothing was charged then.
    pub fn reserve(&self, ask: Reserve) -> Result<Result<Reservation, JobRecord>, ReserveError> {
        let key = job_key(&ask.facts.buyer, &ask.request);
        let tx = self.db.begin_write().map_err(StoreError::from)?;
        if let Some(record) = self.existing(&tx, &key)? {
            return if record.facts.job == ask.facts.job {
                Ok(match record.state {
                    State::Done { .. } => Err(record),
                    State::Reserved => Ok(Reservation { key, record }),
                })
            } else {
                Err(ReserveError::Conflict(ask.request))
            };
        }
        let record = self.charge(&tx, &key, ask)?;
        tx.commit().map_err(StoreError::from)?;
        Ok(Ok(Reservation { key, record }))
    }

    fn existing(&self, tx: &WriteTransaction, key: &str) -> Result<Option<JobRecord>, StoreError> {
        let jobs = tx.open_table(JOBS)?;
        jobs.get(key)?.map(|v| decode(v.value())).transpose()
    }

    fn charge(&self, tx: &WriteTransaction, key: &str, ask: Reserve) -> Result<JobRecord, ReserveError> {
        let Reserve { job, subject, mut facts, per_buyer, .. } = ask;
        let population = facts.ledger.population;
        let (asked, cap) = (facts.ledger.cost, facts.ledger.cap);
        {
            let mut spent = tx.open_table(SPENT).map_err(StoreError::from)?;
            for (buyer, cap) in [(None, cap), (Some(&facts.buyer), per_buyer)] {
                let key = spent_key(&population, buyer);
                let before = read_cost(&spent, &key)?;
                let after = before.plus(asked).filter(|after| after.within(cap));
                let left = before.left_of(cap);
                let after = after.ok_or(match buyer {
                    None => ReserveError::Population { left, asked },
                    Some(_) => ReserveError::Buyer { left, asked },
                })?;
                let bytes = serde_json::to_vec(&after).map_err(StoreError::from)?;
                spent.insert(key.as_str(), bytes.as_slice()).map_err(StoreError::from)?;
            }
        }
        self.link(tx, &mut facts.ledger)?;
        let name = format!("job {}", facts.job);
        let statement = Statement::about(&name, subject, Predicate::Intent(Box::new(facts.clone())));
        let bytes = serde_json::to_vec(&statement).map_err(StoreError::from)?.len();
        let most = limits::DOCUMENT_BYTES - limits::OUTCOME_BYTES;
        if bytes > most {
            return Err(ReserveError::Oversized { bytes, most });
        }
        let intent = self.append(tx, statement)?;
        let record = JobRecord { job, facts, intent, state: State::Reserved };
        self.put(tx, key, &record)?;
        Ok(record)
    }

    /// Fills in sequence and previous, and stores the link.
    fn link(&self, tx: &WriteTransaction, link: &mut LedgerLink) -> Result<(), StoreError> {
        let name = link.population.to_string();
        let mut links = tx.open_table(LINKS)?;
        let last: Option<LedgerLink> = links
            .range((name.as_str(), 0)..=(name.as_str(), u64::MAX))?
            .next_back()
            .map(|item| decode(item?.1.value()))
            .transpose()?;
        (link.sequence, link.previous) = match last {
            Some(last) => (last.sequence + 1, last.digest()?),
            None => (0, Sha256Digest([0; 32])),
        };
        links.insert((name.as_str(), link.sequence), serde_json::to_vec(link)?.as_slice())?;
        Ok(())
    }

    fn put(&self, tx: &WriteTransaction, key: &str, record: &JobRecord) -> Result<(), StoreError> {
        tx.open_table(JOBS)?.insert(key, serde_json::to_vec(record)?.as_slice())?;
        Ok(())
    }

    /// Signs and appends a statement within `tx`; returns its index.
    fn append(&self, tx: &WriteTransaction, statement: Statement) -> Result<u64, StoreError> {
        let entry = Signed::sign(statement, &self.identity)?.envelope().to_canonical()?;
        if entry.len() > limits::ENTRY_BYTES {
            return Err(StoreError::Record("an entry is longer than the log format allows".into()));
        }
        let mut entries = tx.open_table(ENTRIES)?;
        let mut hashes = tx.open_table(HASHES)?;
        let index = entries.last()?.map_or(0, |(k, _)| k.value() + 1);
        let new = {
            let reader = TableHashes(&hashes);
            tlog_tiles::stored_hashes(index, &entry, &reader).map_err(|e| StoreError::Record(e.to_string()))?
        };
        entries.insert(index, entry.as_slice())?;
        let start = tlog_tiles::stored_hash_index(0, index);
        for (i, hash) in new.into_iter().enumerate() {
            hashes.insert(start + i as u64, &hash.0[..])?;
        }
        Ok(index)
    }

    /// Makes a result and its receipt durable, in one transaction.
    ///
    /// # Errors
    /// [`StoreError`]; the result must not be revealed then.
    pub fn finish(&self, reservation: Reservation, result: String) -> Result<JobRecord, StoreError> {
        let Reservation { key, mut record } = reservation;
        let tx = self.db.begin_write()?;
        if let Some(stored) = self.existing(&tx, &key)?
            && matches!(stored.state, State::Done { .. })
        {
            // Another submission of the same id came first: its bytes are the result, these are dropped unseen.
            return Ok(stored);
        }
        let statement = Statement::about(
            &format!("result of job {}", record.facts.job),
            Sha256Digest::of(result.as_bytes()),
            Predicate::Outcome {
                facts: Box::new(record.facts.clone()),
                intent: record.intent,
                mode: if record.facts.ledger.cost.reviewed == 0 { "dp" } else { "reviewed" }.into(),
                outcome: "released".into(),
            },
        );
        let outcome = self.append(&tx, statement)?;
        record.state = State::Done { result, outcome };
        self.put(&tx, &key, &record)?;
        find::remember(&tx, &key, &record)?;
        tx.commit()?;
        Ok(record)
    }

    /// Logs the publication of a dataset version.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn log_publication(&self, subject: Sha256Digest, publication: Predicate) -> Result<u64, StoreError> {
        let tx = self.db.begin_write()?;
        let index = self.append(&tx, Statement::about("dataset manifest", subject, publication))?;
        tx.commit()?;
        self.export()?;
        Ok(index)
    }

    /// Writes tiles, bundles and checkpoint up to the last entry. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::Log`].
    pub fn export(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.exporting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let tx = self.db.begin_read()?;
        let (entries, hashes) = (tx.open_table(ENTRIES)?, tx.open_table(HASHES)?);
        let size = entries.last()?.map_or(0, |(k, _)| k.value() + 1);
        let done = tx.open_table(META)?.get("exported")?.map_or(0, |v| v.value());
        if done == size && self.log_folder().join("checkpoint").exists() {
            return Ok(());
        }
        let reader = TableHashes(&hashes);
        let checkpoint = self.sign_checkpoint(size, &reader)?;
        let entry = |index: u64| -> std::io::Result<Vec<u8>> {
            let missing = || std::io::Error::other(format!("entry {index} is missing"));
            Ok(entries.get(index).map_err(std::io::Error::other)?.ok_or_else(missing)?.value().to_vec())
        };
        log::export(&self.log_folder(), done.min(size), size, &reader, entry, &checkpoint)?;
        let tx = self.db.begin_write()?;
        tx.open_table(META)?.insert("exported", size)?;
        tx.commit()?;
        Ok(())
    }

    fn sign_checkpoint(&self, size: u64, hashes: &impl HashReader) -> Result<String, StoreError> {
        let root = tlog_tiles::tree_hash(size, hashes).map_err(|e| StoreError::Record(e.to_string()))?;
        Ok(note::sign_checkpoint(&self.identity, size, &root))
    }

    /// The entry at `index` and its C2SP tlog-proof under a checkpoint of the whole log.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn prove(&self, index: u64) -> Result<(Envelope, String), StoreError> {
        let tx = self.db.begin_read()?;
        let (entries, hashes) = (tx.open_table(ENTRIES)?, tx.open_table(HASHES)?);
        let size = entries.last()?.map_or(0, |(k, _)| k.value() + 1);
        let reader = TableHashes(&hashes);
        let path = tlog_tiles::prove_record(size, index, &reader).map_err(|e| StoreError::Record(e.to_string()))?;
        let entry = entries.get(index)?.ok_or_else(|| StoreError::Record(format!("no entry {index}")))?;
        let envelope = Envelope::from_canonical(entry.value())?;
        Ok((envelope, note::write_proof(index, &path, &self.sign_checkpoint(size, &reader)?)))
    }
}

fn spent_key(population: &ContentHash, buyer: Option<&PeerId>) -> String {
    match buyer {
        Some(buyer) => format!("{population}/{buyer}"),
        None => population.to_string(),
    }
}

fn read_cost(table: &impl ReadableTable<&'static str, &'static [u8]>, key: &str) -> Result<Cost, StoreError> {
    Ok(table.get(key)?.map(|v| decode(v.value())).transpose()?.unwrap_or_default())
}
