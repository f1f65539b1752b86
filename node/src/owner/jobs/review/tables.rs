//! Exact tables that have left the owner, by dataset lineage.
//!
//! Two tables about nearly the same people reveal those who are in one of them alone, whatever each keeps back. So a table that
//! does not repeat an earlier one needs an approval that names all that left before it.
//!
//! A job is recorded here before it is charged, so that no crash forgets one. Two jobs are compared by the whole program and the
//! exact version of the data: if both are the same, so are the numbers.
//!
//! Before a table leaves, it is measured against those that left before ([`tidegate_gate::Left`]), one at a time, and the data
//! needed to measure later ones against it are recorded beside its job. A table that left is measured against the same ones
//! again, and so comes out the same.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tidegate_gate::Left;
use tidegate_protocol::{ContentHash, Job, Signed};

use crate::owner::jobs::review::files::{self, put, read_envelope};
use crate::{NodeError, corrupt, file_error, home::Home};

/// Lock under which a table is measured against the tables that have left, and added to them.
static MEASURING: Mutex<()> = Mutex::new(());

fn folder(home: &Home, population: &ContentHash) -> PathBuf {
    files::folder(home, "tables").join(population.to_string())
}

pub(super) fn path(home: &Home, population: &ContentHash, job: &ContentHash) -> PathBuf {
    folder(home, population).join(format!("{job}.json"))
}

/// Returns the key by which two jobs ask for the same table.
fn table(job: &Job) -> (ContentHash, ContentHash) {
    (job.dataset, job.bound())
}

/// Returns the exact tables of `population` that have left, or may have, except `job`'s own: the first job of each, oldest first.
///
/// # Errors
/// [`NodeError`] if they cannot be read: then nobody knows which have left.
pub fn others(home: &Home, population: &ContentHash, job: &Signed<Job>) -> Result<Vec<Signed<Job>>, NodeError> {
    let folder = folder(home, population);
    // A recorded job was checked against all that had left before it, and goes on after a crash.
    if !folder.exists() || path(home, population, &job.id()).exists() {
        return Ok(vec![]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(|e| file_error(&folder, e))? {
        let path = entry.map_err(|e| file_error(&folder, e))?.path();
        if path.extension().is_some_and(|e| e == "json") {
            found.push(Signed::<Job>::open(read_envelope(&path)?)?);
        }
    }
    found.sort_by_key(|job| (job.body().created, job.id()));
    let mut seen = HashSet::from([table(job.body())]);
    found.retain(|job| seen.insert(table(job.body())));
    Ok(found)
}

/// Removes the record of an uncharged job.
pub fn forget(home: &Home, population: &ContentHash, job: &ContentHash) {
    if let Err(e) = std::fs::remove_file(path(home, population, job)) {
        tracing::warn!("job {job} was not charged, and stays on the list of exact results that may be released: {e}");
    }
}

/// A table that has left, with the data for measuring later ones against it.
#[derive(Serialize, Deserialize)]
struct Remembered {
    /// Key of the table.
    table: (ContentHash, ContentHash),
    /// Position in the order in which tables left.
    number: u64,
    left: Left,
}

/// Reads the remembered tables in the order in which they left.
fn remembered(home: &Home, population: &ContentHash) -> Result<Vec<Remembered>, NodeError> {
    let folder = folder(home, population);
    if !folder.exists() {
        return Ok(vec![]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(|e| file_error(&folder, e))? {
        let path = entry.map_err(|e| file_error(&folder, e))?.path();
        if path.extension().is_some_and(|e| e == "left") {
            let text = std::fs::read(&path).map_err(|e| file_error(&path, e))?;
            found.push(serde_json::from_slice::<Remembered>(&text).map_err(|e| corrupt(&path, e))?);
        }
    }
    found.sort_by_key(|one| one.number);
    Ok(found)
}

/// Measurement of a table against those that have left. While this exists, no other is measured.
pub(crate) struct Measuring {
    _one: MutexGuard<'static, ()>,
    path: PathBuf,
    table: (ContentHash, ContentHash),
    number: u64,
    /// Whether the table has left before and is already remembered.
    again: bool,
    before: Vec<Left>,
}

impl Measuring {
    /// Begins with the table of `job`, which must be recorded.
    ///
    /// # Errors
    /// [`NodeError`] if the tables that have left cannot be read.
    pub(crate) fn begin(home: &Home, population: &ContentHash, job: &Signed<Job>) -> Result<Self, NodeError> {
        let one = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
        let (table, mut tables) = (table(job.body()), remembered(home, population)?);
        let again = tables.iter().find(|known| known.table == table).map(|known| known.number);
        let number = again.unwrap_or_else(|| tables.last().map_or(0, |last| last.number + 1));
        tables.retain(|known| known.number < number);
        let path = path(home, population, &job.id()).with_extension("left");
        let before = tables.into_iter().map(|known| known.left).collect();
        Ok(Self { _one: one, path, table, number, again: again.is_some(), before })
    }

    /// Returns the tables that left before this one, oldest first.
    pub(crate) fn before(&self) -> Vec<Left> {
        self.before.clone()
    }

    /// Remembers the table, which is about to leave; durable on return.
    ///
    /// # Errors
    /// [`NodeError`] if the record cannot be written.
    pub(crate) fn remember(self, left: &Left) -> Result<(), NodeError> {
        if self.again {
            return Ok(());
        }
        let Self { path, table, number, .. } = self;
        let one = Remembered { table, number, left: left.clone() };
        put(&path, &serde_json::to_vec(&one).map_err(NodeError::Encode)?)
    }
}

/// Returns whether a table with these key columns is measured against the table of `other`, and an explanation for the owner.
///
/// # Errors
/// [`NodeError`] if the tables that have left cannot be read.
pub fn measured(
    home: &Home,
    population: &ContentHash,
    keys: Option<&[String]>,
    other: &Signed<Job>,
) -> Result<(bool, String), NodeError> {
    let table = table(other.body());
    let Some(other) = remembered(home, population)?.into_iter().find(|known| known.table == table) else {
        return Ok((
            false,
            "the difference of the two is not measured: the other result is not released yet, or its record is missing. The two may differ by one person".into(),
        ));
    };
    let by =
        |keys: &[String]| if keys.is_empty() { "one group of all".to_owned() } else { format!("groups by {}", keys.join(", ")) };
    Ok(match keys {
        Some(keys) if keys == other.left.keys => (
            true,
            format!(
                "both are over {}: a number that fewer than min_units people could change is released as in the other result",
                by(keys)
            ),
        ),
        Some(keys) => (
            false,
            format!(
                "the difference of the two is not measured: the other result is over {}, this one over {}. Sums of their groups may differ by one person",
                by(&other.left.keys),
                by(keys)
            ),
        ),
        None => {
            (false, format!("the difference of the two may not be measured: the other result is over {}", by(&other.left.keys)))
        }
    })
}
