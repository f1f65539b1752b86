//! Orders from the owner's commands: carried out on the ledger, or left for the node holding the ledger.
//!
//! Each order is a file. A running node takes it within a moment; a stopped one, before it serves again. The same order twice is
//! one entry.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tidegate_files as files;
use tidegate_ledger::{Store, StoreError};
use tidegate_protocol::{ContentHash, Sha256Digest, receipt::Predicate};

use crate::{NodeError, corrupt, file_error, home::Home};

/// Interval at which a node looks for orders.
pub(crate) const LOOK: Duration = Duration::from_millis(200);
/// How long a command waits for the node.
const WAIT: Duration = Duration::from_secs(20);

/// An order from the owner.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Word {
    /// An entry to log.
    Record {
        /// Name of the subject.
        name: String,
        /// Digest of the subject.
        subject: Sha256Digest,
        /// Statement about the subject.
        predicate: Box<Predicate>,
    },
    /// A charged job to close without a result.
    Close {
        /// Id of the job.
        job: ContentHash,
    },
}

impl Word {
    /// Builds the order to log `predicate` of a subject.
    pub(crate) fn record(name: &str, subject: Sha256Digest, predicate: Predicate) -> Self {
        Self::Record { name: name.into(), subject, predicate: Box::new(predicate) }
    }
}

fn folder(home: &Home) -> PathBuf {
    home.path().join("spool")
}

/// Has the owner's order carried out, here or by the node holding the ledger: durable and logged on return.
///
/// # Errors
/// [`NodeError`]; if the node did not take the order in time, it stays and is carried out later.
pub(crate) fn say(home: &Home, word: &Word) -> Result<(), NodeError> {
    let store = match Store::open(home.path(), home.identity()?) {
        Ok(store) => store,
        Err(StoreError::InUse) => return leave(home, word),
        Err(e) => return Err(e.into()),
    };
    act(&store, word)
}

fn leave(home: &Home, word: &Word) -> Result<(), NodeError> {
    let bytes = serde_json::to_vec(word).map_err(NodeError::Encode)?;
    let folder = folder(home);
    let write = || -> std::io::Result<PathBuf> {
        files::create_folder(&folder)?;
        let mut file = tempfile::Builder::new().prefix("word-").suffix(".part").tempfile_in(&folder)?;
        std::io::Write::write_all(&mut file, &bytes)?;
        file.as_file().sync_all()?;
        let path = file.path().with_extension("json");
        file.persist(&path).map_err(|e| e.error)?;
        Ok(path)
    };
    let path = write().map_err(|e| file_error(&folder, e))?;
    let deadline = Instant::now() + WAIT;
    while path.exists() {
        if let Ok(why) = std::fs::read_to_string(path.with_extension("error")) {
            drop(std::fs::remove_file(path.with_extension("error")));
            drop(std::fs::remove_file(&path));
            return Err(NodeError::OrderRefused(why));
        }
        if Instant::now() > deadline {
            return Err(NodeError::NotTaken { path, seconds: WAIT.as_secs() });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn act(store: &Store, word: &Word) -> Result<(), NodeError> {
    match word {
        Word::Record { name, subject, predicate } => store.record(name, *subject, (**predicate).clone()).map(|_| ())?,
        Word::Close { job } => {
            let found = store.unfinished()?.into_iter().find(|r| r.record().facts.job == *job);
            let found =
                found.ok_or_else(|| NodeError::NoSuchJob { id: job.to_string(), state: "is charged and has no result" })?;
            store.close(found)?;
        }
    }
    Ok(())
}

/// Carries out the waiting orders, and returns the ones carried out.
///
/// # Errors
/// [`NodeError`] if the folder cannot be read, or the ledger fails: the order stays then.
pub(crate) fn take(home: &Home, store: &Store) -> Result<Vec<Word>, NodeError> {
    let folder = folder(home);
    let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(vec![]) };
    let mut paths: Vec<_> =
        entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.extension().is_some_and(|e| e == "json")).collect();
    paths.sort_by_key(|path| path.metadata().and_then(|m| m.modified()).ok());
    let mut done = Vec::new();
    for path in paths {
        let Some(word) = read(&path)? else { continue };
        match act(store, &word) {
            Ok(()) => {}
            // An order that can never be carried out must not hold up others.
            Err(e @ (NodeError::NoSuchJob { .. } | NodeError::Store(StoreError::Rule { .. }))) => {
                refuse(&path, &e.to_string())?;
                continue;
            }
            Err(e) => return Err(e),
        }
        std::fs::remove_file(&path).map_err(|e| file_error(&path, e))?;
        done.push(word);
    }
    Ok(done)
}

/// Reads an order; `None` if the file is invalid, or was refused before.
fn read(path: &Path) -> Result<Option<Word>, NodeError> {
    if path.with_extension("error").exists() {
        return Ok(None);
    }
    let bytes = std::fs::read(path).map_err(|e| file_error(path, e))?;
    match serde_json::from_slice(&bytes) {
        Ok(word) => Ok(Some(word)),
        Err(e) => {
            // An invalid file must not hold up others.
            refuse(path, &corrupt(path, e).to_string())?;
            Ok(None)
        }
    }
}

/// Reports the reason for a refused order to the waiting command.
fn refuse(path: &Path, why: &str) -> Result<(), NodeError> {
    tracing::warn!("{why}");
    files::write(path.with_extension("error"), why).map_err(|e| file_error(path, e))
}
