//! Programs whose run broke a worker.
//!
//! Until the owner lifts the quarantine, such a program is not run again for its buyer: the buyer pays, and gets noise over the
//! public default, as when the worker broke. A refusal would be a bit about the rows, and so would any other answer. Other buyers
//! are not affected: a buyer who knows how to break a worker must not be able to spoil a common question for all.
//!
//! Each program has a file, so that the owner can look at the quarantine and lift it beside a running node.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tidegate_files as files;
use tidegate_protocol::{ContentHash, Job, PeerId, Signed, job::Program};

use crate::{NodeError, corrupt, file_error, home::Home, owner::jobs::failure_meter};

/// A quarantined program, with time and cause: for the owner alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Id of the entry.
    pub id: ContentHash,
    /// First job to break a worker with this program.
    pub job: ContentHash,
    /// Buyer of the job.
    pub buyer: PeerId,
    /// Manifest id of the dataset version.
    pub dataset: ContentHash,
    /// Pattern of the query, or of the program's SELECT.
    pub pattern: String,
    /// Time, RFC 3339.
    pub at: String,
    /// The worker's report or cause of death.
    pub why: String,
}

/// Returns the id of a job's program for its buyer: dataset, program, SQL as `pattern` without literals; no keys, parameters or
/// tables.
fn id(job: &Signed<Job>, pattern: &str) -> ContentHash {
    let buyer = job.signer();
    let job = job.body();
    let program = match &job.program {
        Program::Sql { .. } => None,
        other => other.attachment(),
    };
    let parts = (buyer, job.program.kind(), job.dataset, program, pattern);
    ContentHash::of(&serde_json::to_vec(&parts).unwrap_or_default())
}

fn file(home: &Home, id: &ContentHash) -> PathBuf {
    home.quarantine().join(format!("{id}.json"))
}

/// Returns whether the program of `job` is in quarantine for its buyer.
pub(crate) fn holds(home: &Home, job: &Signed<Job>, pattern: &str) -> bool {
    file(home, &id(job, pattern)).exists()
}

/// Puts the program of `job` into quarantine for its buyer.
///
/// # Errors
/// [`NodeError::Io`].
pub(crate) fn add(home: &Home, job: &Signed<Job>, pattern: &str, why: &str) -> Result<Quarantined, NodeError> {
    let (at, pattern) = (jiff::Timestamp::now().to_string(), pattern.to_owned());
    let (id, buyer, dataset) = (id(job, &pattern), job.signer(), job.body().dataset);
    let one = Quarantined { id, job: job.id(), buyer, dataset, pattern, at, why: why.to_owned() };
    let path = file(home, &one.id);
    write(&path, &one).map_err(|e| file_error(&path, e))?;
    Ok(one)
}

/// Writes a file atomically: a power cut leaves the whole file, or none.
fn write(path: &Path, one: &Quarantined) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    files::create_folder(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut file, one)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    std::fs::File::open(folder)?.sync_all()
}

/// Returns all quarantined programs, oldest first.
///
/// # Errors
/// [`NodeError::Io`] naming a file that cannot be read.
pub fn list(home: &Home) -> Result<Vec<Quarantined>, NodeError> {
    let Ok(entries) = std::fs::read_dir(home.quarantine()) else { return Ok(vec![]) };
    let paths = entries.filter_map(|e| e.ok().map(|e| e.path())).filter(|p| p.extension().is_some_and(|e| e == "json"));
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).map_err(|e| file_error(&path, e))?;
        serde_json::from_slice::<Quarantined>(&bytes).map_err(|e| corrupt(&path, e))
    };
    let mut found = paths.map(read).collect::<Result<Vec<_>, _>>()?;
    found.sort_by(|a, b| a.at.cmp(&b.at));
    Ok(found)
}

/// Lets a program, or a holder's jobs, run again. `id` may be a prefix; the full id is returned.
///
/// # Errors
/// [`NodeError::NotQuarantined`] if `id` names none; [`NodeError::Ambiguous`] if it names several.
pub fn lift(home: &Home, id: &str) -> Result<ContentHash, NodeError> {
    let programs: Vec<_> = list(home)?.into_iter().map(|one| one.id).collect();
    let holders: Vec<_> = failure_meter::list(home)?.into_iter().map(|one| one.id).collect();
    let mut found = programs.iter().chain(&holders).filter(|one| one.to_string().starts_with(id));
    match (found.next(), found.next()) {
        (Some(one), None) if holders.contains(one) => failure_meter::forget(home, one).map(|()| *one),
        (Some(one), None) => {
            let path = file(home, one);
            std::fs::remove_file(&path).map_err(|e| file_error(&path, e))?;
            Ok(*one)
        }
        (None, _) => Err(NodeError::NotQuarantined { id: id.to_owned() }),
        (Some(_), Some(_)) => Err(NodeError::Ambiguous { id: id.to_owned(), of: "several ids in quarantine" }),
    }
}
