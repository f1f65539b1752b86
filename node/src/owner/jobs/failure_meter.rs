//! Counts of jobs that failed as a whole, by holder of the grant and dataset lineage. After [`MOST`] of them, whatever the
//! programs, none of the holder's jobs on the lineage is run until the owner lifts the stop: the buyer pays, and gets noise over
//! the public default, as for a single failure.
//!
//! # What it bounds
//! A job that fails as a whole answers with the default, and if an answer can be told from a default, that is a fact about the
//! rows. The meter bounds the number of such facts: [`MOST`], and one for its own end, however programs are written, renamed or
//! narrowed. It uses the ledger's account to which the job is charged: colleagues named by a holder count with the holder, and
//! versions of a dataset count together.
//!
//! A failure of one unit alone does not count (it costs this unit, and shows nowhere: see `worker/pieces.rs`). A failure counts
//! if *many* units failed, which is a noised comparison (`gate`'s `Tolerance`), if time ran out, or if the worker could not go on
//! for any other reason. Only the first of these three is priced; admission is meant to make the others impossible, and they are
//! counted one by one.
//!
//! # On disk
//! One folder per holder and lineage, and in it one file per failed job, named by the job's id: a job that is run again after a
//! crash counts once, and no count is lost in a restart. The files are synced before the job's result is. Whatever cannot be read
//! counts as stopped.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tidegate_gate::Tolerance;
use tidegate_protocol::{ContentHash, PeerId, receipt::Party};

use crate::{NodeError, corrupt, file_error, home::Home};

/// Number of failures after which none of a holder's jobs runs.
pub const MOST: usize = 3;

/// A job that failed as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Id of the job.
    pub job: ContentHash,
    /// Who asked: the holder, or a colleague.
    pub buyer: PeerId,
    /// Time of the failure, RFC 3339.
    pub at: String,
    /// The worker's report or cause of death: for the owner alone.
    pub why: String,
}

/// Holder and dataset lineage whose failures are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Dataset lineage.
    pub population: ContentHash,
    /// Holder of the grant, as the ledger names the party.
    pub holder: Party,
}

/// The owner's view of an [`Account`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Metered {
    /// Id of the account.
    pub id: ContentHash,
    /// Holder and lineage.
    #[serde(flatten)]
    pub account: Account,
    /// Whether its jobs no longer run.
    pub stopped: bool,
    /// Failures, oldest first.
    pub failures: Vec<Failure>,
}

impl Account {
    /// Returns the account's id, which does not depend on grant, program or dataset version: a holder may have many of each.
    fn id(&self) -> ContentHash {
        ContentHash::of(&serde_json::to_vec(&("failures", self)).unwrap_or_default())
    }
}

/// Failures of an account.
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

    /// Returns the number of failed jobs; [`MOST`] if they cannot be read.
    pub(crate) fn count(&self) -> usize {
        match fs::read_dir(&self.folder) {
            Ok(entries) => entries.filter(|entry| entry.as_ref().map_or(true, |e| is_failure(&e.path()))).count(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => 0,
            Err(_) => MOST,
        }
    }

    /// Returns whether the account's jobs no longer run.
    pub(crate) fn stops(&self) -> bool {
        self.count() >= MOST
    }

    /// Counts a failure durably. The same job counts once.
    ///
    /// # Errors
    /// [`NodeError::Io`].
    pub(crate) fn add(&self, failure: &Failure) -> Result<(), NodeError> {
        self.keep("holder", &serde_json::to_vec_pretty(&self.account).map_err(NodeError::Encode)?)?;
        self.keep(&format!("{}.json", failure.job), &serde_json::to_vec_pretty(failure).map_err(NodeError::Encode)?)
    }

    /// Removes a failure from the count, since its reason was another.
    ///
    /// # Errors
    /// [`NodeError::Io`].
    pub(crate) fn take_back(&self, job: &ContentHash) -> Result<(), NodeError> {
        let path = self.folder.join(format!("{job}.json"));
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(file_error(&path, e)),
            _ => Ok(()),
        }
    }

    /// Returns λ for the account's comparisons: drawn once, and kept until the next failure.
    ///
    /// None of the comparisons that share a λ has ended in "too many".
    ///
    /// # Errors
    /// [`NodeError::Io`] if λ can be neither read nor kept.
    pub(crate) fn kept(&self, tolerance: &Tolerance) -> Result<i64, NodeError> {
        let name = format!("noise-{}-{}", tolerance.most(), self.count());
        let path = self.folder.join(&name);
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|e: std::num::ParseIntError| corrupt(&path, e)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let drawn = tolerance.draw()?;
                self.keep(&name, drawn.to_string().as_bytes())?;
                Ok(drawn)
            }
            Err(e) => Err(file_error(&path, e)),
        }
    }

    /// Writes a file of the account's folder whole, or not at all.
    fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), NodeError> {
        let path = self.folder.join(name);
        let write = || {
            fs::create_dir_all(&self.folder)?;
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            fs::File::open(&self.folder)?.sync_all()?;
            // The folder's own name is an entry of its parent.
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
    serde_json::from_slice(&bytes).map_err(|e| corrupt(path, e))
}

/// Returns all accounts with failures, by the time of their first failure.
///
/// # Errors
/// [`NodeError::Io`] naming a file that cannot be read.
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
/// [`NodeError::Io`].
pub(crate) fn forget(home: &Home, id: &ContentHash) -> Result<(), NodeError> {
    let folder = home.failures().join(id.to_string());
    // The account's jobs run again once it is renamed, whatever a crash leaves of the folder.
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
