//! How often jobs failed as a whole, by whose grant they were asked and of which population. After [`MOST`] of them, whatever the programs, none of that holder's
//! jobs on that population is run until the owner lifts it: who asks pays, and gets noise over the public default, as when one failed.
//!
//! # What it bounds
//! A job that fails as a whole answers with the default, and where an answer can be told from a default that is a fact about the rows. The meter bounds how many such
//! facts there are: [`MOST`], and one for its own end, however programs are written, renamed or narrowed. The account is the ledger's, to which the job is charged:
//! colleagues whom a holder named count with the holder, and versions of a dataset count together.
//!
//! What is counted is not what one unit did alone (that costs this unit, and shows nowhere: see `worker/pieces.rs`). It is that *many* units failed, which is a noised
//! comparison (`gate`'s `Tolerance`), that time ran out, or that the worker could not go on for any other reason. Of those three only the first is priced; the others
//! are what admission is to make impossible, and are counted one by one.
//!
//! # On disk
//! A folder a holder and population, and in it a file a failed job, by the job's id: a job that is run again after a crash counts once, and none is lost to a restart. They
//! are synced before the job's result is. What cannot be read counts as stopped.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tidegate_gate::Tolerance;
use tidegate_protocol::{ContentHash, PeerId, receipt::Party};

use crate::{NodeError, file_error, home::Home};

/// How many failures of a holder's jobs there are until none runs any more.
pub const MOST: usize = 3;

/// A job that failed as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The job.
    pub job: ContentHash,
    /// Who asked: the holder, or a colleague.
    pub buyer: PeerId,
    /// When, RFC 3339.
    pub at: String,
    /// What the worker said, or died of: for the owner alone.
    pub why: String,
}

/// Whose failures are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Of which population.
    pub population: ContentHash,
    /// To whom it was granted, as the ledger names it.
    pub holder: Party,
}

/// What the owner sees of an [`Account`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Metered {
    /// Names it.
    pub id: ContentHash,
    /// Whose it is.
    #[serde(flatten)]
    pub account: Account,
    /// Whether no job of it runs.
    pub stopped: bool,
    /// Oldest first.
    pub failures: Vec<Failure>,
}

impl Account {
    /// Names it: not by grant, program or dataset version, of which one holder may have many.
    fn id(&self) -> ContentHash {
        ContentHash::of(&serde_json::to_vec(&("failures", self)).unwrap_or_default())
    }
}

/// One account's failures.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    account: Account,
    folder: PathBuf,
}

impl Meter {
    pub(crate) fn of(home: &Home, population: ContentHash, holder: Party) -> Self {
        let account = Account { population, holder };
        let folder = home.failures().join(account.id().to_string());
        Self { account, folder }
    }

    /// How many of its jobs failed; as many as stop it where that cannot be read.
    pub(crate) fn count(&self) -> usize {
        match fs::read_dir(&self.folder) {
            Ok(entries) => entries.filter(|entry| entry.as_ref().map_or(true, |e| is_failure(&e.path()))).count(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => 0,
            Err(_) => MOST,
        }
    }

    /// Whether none of its jobs is run.
    pub(crate) fn stops(&self) -> bool {
        self.count() >= MOST
    }

    /// Counts a failure, durably. The same job counts once.
    ///
    /// # Errors
    /// [`NodeError::File`].
    pub(crate) fn add(&self, failure: &Failure) -> Result<(), NodeError> {
        let bytes = |e: serde_json::Error| NodeError::File(e.to_string());
        self.keep("holder", &serde_json::to_vec_pretty(&self.account).map_err(bytes)?)?;
        self.keep(&format!("{}.json", failure.job), &serde_json::to_vec_pretty(failure).map_err(bytes)?)
    }

    /// Counts a failure no more: its reason was another.
    ///
    /// # Errors
    /// [`NodeError::File`].
    pub(crate) fn take_back(&self, job: &ContentHash) -> Result<(), NodeError> {
        let path = self.folder.join(format!("{job}.json"));
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(file_error(&path, e)),
            _ => Ok(()),
        }
    }

    /// λ of this account's comparisons, of which none has ended in "too many" since its last failure: drawn once, and kept until then.
    ///
    /// # Errors
    /// [`NodeError::File`] where it can be neither read nor kept.
    pub(crate) fn kept(&self, tolerance: &Tolerance) -> Result<i64, NodeError> {
        let name = format!("noise-{}-{}", tolerance.most(), self.count());
        let path = self.folder.join(&name);
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|e| file_error(&path, e)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let drawn = tolerance.draw().map_err(|e| NodeError::File(e.to_string()))?;
                self.keep(&name, drawn.to_string().as_bytes())?;
                Ok(drawn)
            }
            Err(e) => Err(file_error(&path, e)),
        }
    }

    /// Writes a file of its folder whole, or not at all.
    fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), NodeError> {
        let path = self.folder.join(name);
        let write = || {
            fs::create_dir_all(&self.folder)?;
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            fs::File::open(&self.folder)?.sync_all()?;
            // The folder's own name is one of its parent's.
            self.folder.parent().map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
        };
        write().map_err(|e| file_error(&path, e))
    }
}

fn is_failure(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "json")
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, NodeError> {
    let bytes = fs::read(path).map_err(|e| file_error(path, e))?;
    serde_json::from_slice(&bytes).map_err(|e| file_error(path, e))
}

/// All accounts with failures, the one that failed first before the others.
///
/// # Errors
/// [`NodeError::File`] naming a file that cannot be read.
pub fn list(home: &Home) -> Result<Vec<Metered>, NodeError> {
    let mut found = Vec::new();
    let is_account = |path: &PathBuf| path.extension().is_none();
    for folder in fs::read_dir(home.failures()).into_iter().flatten().flatten().map(|e| e.path()).filter(is_account) {
        let files = fs::read_dir(&folder).map_err(|e| file_error(&folder, e))?;
        let files = files.flatten().map(|e| e.path()).filter(|path| is_failure(path));
        let mut failures = files.map(|path| read::<Failure>(&path)).collect::<Result<Vec<_>, _>>()?;
        if failures.is_empty() {
            continue;
        }
        let account: Account = read(&folder.join("holder"))?;
        failures.sort_by(|a, b| a.at.cmp(&b.at));
        let meter = Meter { account, folder };
        found.push(Metered { id: meter.account.id(), stopped: meter.stops(), account: meter.account, failures });
    }
    found.sort_by(|a, b| a.failures[0].at.cmp(&b.failures[0].at));
    Ok(found)
}

/// Forgets the failures of an account, whose jobs run again.
///
/// # Errors
/// [`NodeError::File`].
pub(crate) fn forget(home: &Home, id: &ContentHash) -> Result<(), NodeError> {
    let folder = home.failures().join(id.to_string());
    // Its jobs run again from here on, whatever a crash leaves of it.
    let gone = home.failures().join(format!("{id}.gone"));
    let forget = || {
        if gone.exists() {
            fs::remove_dir_all(&gone)?;
        }
        fs::rename(&folder, &gone)?;
        fs::remove_dir_all(&gone)
    };
    forget().map_err(|e| file_error(&folder, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(seed: u8) -> PeerId {
        tidegate_protocol::Identity::from_seed([seed; 32]).id()
    }

    fn failure(job: u8) -> Failure {
        let (job, at) = (ContentHash([job; 32]), format!("2026-01-01T00:00:{job:02}Z"));
        Failure { job, buyer: peer(9), at, why: "ended with signal 11".into() }
    }

    /// A holder's failures are counted by population, once a job, whatever else is the same; another's are not touched.
    #[test]
    fn failures_are_counted_by_holder_and_population() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let of = |population: u8, holder: u8| Meter::of(&home, ContentHash([population; 32]), peer(holder).into());
        for job in 0..MOST as u8 {
            assert!(!of(1, 1).stops(), "after {job}");
            for _ in 0..2 {
                of(1, 1).add(&failure(job)).unwrap();
            }
            assert_eq!(of(1, 1).count(), job as usize + 1, "the same job counts once");
        }
        assert!(of(1, 1).stops() && !of(2, 1).stops() && !of(1, 2).stops());
        let listed = list(&home).unwrap();
        assert_eq!((listed.len(), listed[0].stopped, listed[0].failures.len()), (1, true, MOST));
        forget(&home, &listed[0].id).unwrap();
        assert!(!of(1, 1).stops() && list(&home).unwrap().is_empty());
        // What cannot be read lets nothing run.
        fs::write(of(3, 3).folder, "").unwrap();
        assert!(of(3, 3).stops());
    }
}
