//! Jobs that an owner's node is working on, and the owner's orders to stop them.
//!
//! Each job has a file, so that the owner can look and give orders beside a running node. A stopped job that is not charged yet
//! is turned away. If it is charged, its buyer gets noise over the public default at the usual time, as when a program fails: an
//! owner's reason to stop a job may depend on rows.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tidegate_files as files;
use tidegate_protocol::{ContentHash, PeerId};

use crate::{
    NodeError, file_error,
    home::Home,
    ids,
    owner::{budget::accounts, spool},
};

/// Interval at which the node looks for orders to stop a job.
const LOOK: std::time::Duration = std::time::Duration::from_millis(200);

/// A job not settled yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Id of the job.
    pub job: ContentHash,
    /// Who asked.
    pub buyer: PeerId,
    /// Name of the dataset.
    pub dataset: String,
    /// `sql`, `wasm` or `onnx`.
    pub kind: String,
    /// Public slot of the job, once charged.
    pub slot: Option<Slot>,
}

/// Slot of a job, RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Slot {
    /// Start.
    pub start: String,
    /// End; the job is settled no sooner.
    pub end: String,
}

/// Guard for a job's entry in the list, removed on drop.
#[derive(Debug)]
pub(crate) struct Listed(PathBuf);

impl Drop for Listed {
    fn drop(&mut self) {
        // The file may already be gone.
        drop(std::fs::remove_file(&self.0));
    }
}

fn path_of(home: &Home, job: &ContentHash) -> PathBuf {
    home.running().join(format!("{job}.json"))
}

fn word(home: &Home, job: &ContentHash) -> PathBuf {
    home.running().join(format!("{job}.stop"))
}

/// Clears the list left by an ended node. Stop orders are kept, for jobs yet to be finished.
pub(crate) fn clear(home: &Home) {
    for entry in std::fs::read_dir(home.running()).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|e| e == "json") {
            drop(std::fs::remove_file(entry.path()));
        }
    }
}

/// Puts a job on the list. On failure the job runs all the same.
pub(crate) fn note(home: &Home, running: &Running) -> Listed {
    let path = path_of(home, &running.job);
    let written =
        files::create_folder(home.running()).and_then(|()| files::write(&path, serde_json::to_vec(running).unwrap_or_default()));
    if let Err(e) = written {
        tracing::warn!("{}: {e}; `tidegate jobs` will not show this job", path.display());
    }
    Listed(path)
}

/// Forgets the stop order for `job`, which is settled or was turned away. A node ending before then keeps the order.
pub(crate) fn forget(home: &Home, job: &ContentHash) {
    drop(std::fs::remove_file(word(home, job)));
}

/// Waits until the owner wants `job` stopped.
pub(crate) async fn told(home: &Home, job: &ContentHash) {
    let path = word(home, job);
    while !path.exists() {
        tokio::time::sleep(LOOK).await;
    }
}

/// Returns the jobs on the list, waiting ones first, then by slot, and whether each was told to stop.
///
/// # Errors
/// [`NodeError::Io`] if the folder cannot be read.
pub fn list(home: &Home) -> Result<Vec<(Running, bool)>, NodeError> {
    let folder = home.running();
    let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(vec![]) };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| file_error(&folder, e))?.path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        // Skips a file that was deleted meanwhile, or is just being written.
        let Ok(text) = std::fs::read(&path) else { continue };
        let Ok(running) = serde_json::from_slice::<Running>(&text) else { continue };
        let stopping = word(home, &running.job).exists();
        found.push((running, stopping));
    }
    found.sort_by(|(a, _), (b, _)| a.slot.cmp(&b.slot));
    Ok(found)
}

/// Tells the node to stop the job whose id begins with `prefix`.
///
/// # Errors
/// [`NodeError::NoSuchJob`] or [`NodeError::Ambiguous`] if there is not exactly one such job.
pub fn stop(home: &Home, prefix: &str) -> Result<Running, NodeError> {
    let mut found: Vec<_> = list(home)?.into_iter().filter(|(one, _)| one.job.to_string().starts_with(prefix)).collect();
    match (found.pop(), found.is_empty()) {
        (Some((one, _)), true) if !prefix.is_empty() => {
            let path = word(home, &one.job);
            files::write(&path, "").map_err(|e| file_error(&path, e))?;
            Ok(one)
        }
        (Some(_), _) => Err(NodeError::Ambiguous { id: prefix.to_owned(), of: "the id of several jobs" }),
        (None, _) => Err(NodeError::NoSuchJob { id: prefix.to_owned(), state: "runs or waits. See `tidegate jobs list`" }),
    }
}

/// Closes a charged job without a result, and logs that. `word` is the job's id or a prefix.
///
/// # Errors
/// [`NodeError::NoSuchJob`] or [`NodeError::Ambiguous`] if there is not exactly one such charged job without outcome.
pub fn close(home: &Home, word: &str) -> Result<ContentHash, NodeError> {
    let job = match word.parse() {
        Ok(job) => job,
        Err(_) => {
            let open = accounts(home)?.into_iter().flat_map(|account| account.charges).filter(|charge| charge.open);
            let none = || NodeError::NoSuchJob { id: word.to_owned(), state: "is charged and has no result" };
            ids::only(open.map(|charge| charge.link.job), |job| *job, word)?.ok_or_else(none)?
        }
    };
    spool::say(home, &spool::Word::Close { job })?;
    Ok(job)
}
