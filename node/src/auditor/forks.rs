//! Evidence of forks, kept to be shown to anybody.

use std::path::PathBuf;

use tidegate_audit::{
    evidence::Evidence,
    log::{prefix::prefix, read::Fetch},
    note::{Note, Verifier, checkpoint},
};
use tidegate_files as files;
use tidegate_protocol::ContentHash;

use crate::{NodeError, file_error, home::Home};

/// Looks for a checkpoint among `seen` from which the log under `now` does not go on.
///
/// The log's tiles are fetched for the proof.
pub fn find<'a>(log: &Verifier, seen: impl Iterator<Item = &'a Note>, now: &Note, fetch: Fetch<'_>) -> Option<Evidence> {
    let head = checkpoint::open(now, log).ok()?;
    for note in seen {
        let Ok(old) = checkpoint::open(note, log) else { continue };
        let Ok(mut evidence) = Evidence::of(log, note, now) else { continue };
        if old.size < head.size {
            let Ok(prefix) = prefix(&head, old.size, fetch) else { continue };
            evidence = evidence.with(prefix);
        }
        if evidence.check().is_ok() {
            return Some(evidence);
        }
    }
    None
}

fn folder(home: &Home) -> PathBuf {
    home.path().join("evidence")
}

/// Maximum number of forks kept of a log.
///
/// A single fork convinces, and whoever forks a log can make as many as they like.
const OF_A_LOG: usize = 16;

/// Saves fork evidence and returns its path.
///
/// If there are [`OF_A_LOG`] forks of the log already, returns the path of one of these instead.
///
/// # Errors
/// Returns [`NodeError::Io`].
pub fn keep(home: &Home, evidence: &Evidence) -> Result<PathBuf, NodeError> {
    let bytes = serde_json::to_vec_pretty(evidence).map_err(NodeError::Encode)?;
    let log = ContentHash::of(evidence.log.as_bytes()).short();
    let path = folder(home).join(format!("{log}-{}.json", ContentHash::of(&bytes).short()));
    let kept = std::fs::read_dir(folder(home)).into_iter().flatten().filter_map(|file| Some(file.ok()?.path()));
    let of_log = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&log));
    let kept: Vec<_> = kept.filter(of_log).collect();
    if kept.len() >= OF_A_LOG
        && let Some(one) = kept.into_iter().next()
    {
        return Ok(one);
    }
    files::create_folder(folder(home)).and_then(|()| files::write(&path, bytes)).map_err(|e| file_error(&path, e))?;
    Ok(path)
}

/// A file with the fork shown there, or the reason why there is none.
pub type Kept = (PathBuf, Result<Evidence, String>);

/// Returns all saved files, and for each whether it shows a fork.
///
/// # Errors
/// Returns [`NodeError::Io`].
pub fn list(home: &Home) -> Result<Vec<Kept>, NodeError> {
    let folder = folder(home);
    let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(vec![]) };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| file_error(&folder, e))?.path();
        let bytes = std::fs::read(&path).map_err(|e| file_error(&path, e))?;
        let read = serde_json::from_slice::<Evidence>(&bytes).map_err(|e| e.to_string());
        let checked = read.and_then(|evidence| evidence.check().map(|_| evidence).map_err(|e| e.to_string()));
        found.push((path, checked));
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}
