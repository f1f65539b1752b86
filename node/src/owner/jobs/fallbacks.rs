//! Record of jobs answered with noise over the public default, with the reasons.
//!
//! For the owner alone, who can tell from it that a slot is too short or a machine too small. Neither log, receipt nor reply
//! tells.

use std::{collections::BTreeMap, fs, io::Write as _, path::PathBuf};

use serde::{Deserialize, Serialize};
use tidegate_files as files;
use tidegate_protocol::ContentHash;

use crate::{NodeError, file_error, home::Home};

/// A job answered with noise over the public default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallback {
    /// Id of the job.
    pub job: ContentHash,
    /// Dataset lineage whose rows the job was about.
    pub population: ContentHash,
    /// Time, RFC 3339.
    pub at: String,
    /// Reason.
    pub why: String,
}

fn path(home: &Home) -> PathBuf {
    home.path().join("fallbacks")
}

/// Records a fallback. On failure the job is answered all the same.
pub(crate) fn note(home: &Home, job: ContentHash, population: ContentHash, why: impl std::fmt::Display) {
    let one = Fallback { job, population, at: jiff::Timestamp::now().to_string(), why: why.to_string() };
    let path = path(home);
    let write = || -> std::io::Result<()> {
        let line = format!("{}\n", serde_json::to_string(&one)?);
        drop(files::open_kept(&path)?);
        // One write, at the end of the file, keeps the lines of concurrent jobs whole.
        fs::OpenOptions::new().append(true).open(&path)?.write_all(line.as_bytes())
    };
    if let Err(e) = write() {
        tracing::error!("{}: {e}; `tidegate budget` will not count job {job}", path.display());
    }
}

/// Returns all recorded fallbacks, by job.
///
/// # Errors
/// [`NodeError::Io`].
pub fn all(home: &Home) -> Result<BTreeMap<ContentHash, Fallback>, NodeError> {
    let path = path(home);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(e) => return Err(file_error(&path, e)),
    };
    // A line that a crash cut off is skipped.
    let all = text.lines().filter_map(|line| serde_json::from_str::<Fallback>(line).ok());
    Ok(all.map(|one| (one.job, one)).collect())
}
