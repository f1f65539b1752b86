//! Exact tables that have left, by population: two tables of about the same people give those away who are in one of them alone, whatever each keeps back. So
//! one that is not the same table again needs an approval that names all that left before it.
//!
//! A job is written down here before it is charged, so that no crash forgets one. What is compared is the whole program and the very version of the data:
//! the same of both gives the same numbers.
//!
//! Before a table leaves it is measured against those that left before ([`tidegate_gate::Left`]), one at a time, and what is needed to measure later ones against
//! it is written down beside its job. A table that left is measured against the same ones again: it comes out the same.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tidegate_gate::Left;
use tidegate_protocol::{Code, ContentHash, Job, PeerId, Refusal, Signed, policy::ReviewRules};

use super::{Verdict, put, read_envelope, verdict};
use crate::{NodeError, file_error, home::Home};

/// One job at a time looks at what has left and is written down.
static ENTERING: Mutex<()> = Mutex::new(());

/// One table at a time is measured against those that have left, and becomes one of them.
static MEASURING: Mutex<()> = Mutex::new(());

fn folder(home: &Home, population: &ContentHash) -> PathBuf {
    super::folder(home, "tables").join(population.to_string())
}

fn path(home: &Home, population: &ContentHash, job: &ContentHash) -> PathBuf {
    folder(home, population).join(format!("{job}.json"))
}

/// What makes two jobs the same table.
fn table(job: &Job) -> (ContentHash, ContentHash) {
    (job.dataset, job.bound())
}

/// The exact tables of `population` that have left, or may have, other than the one that `job` asks for: the first job of each, oldest first.
///
/// # Errors
/// [`NodeError`] where they cannot be read: then nobody knows what has left.
pub fn others(home: &Home, population: &ContentHash, job: &Signed<Job>) -> Result<Vec<Signed<Job>>, NodeError> {
    let folder = folder(home, population);
    // It was written down when what had left before it was looked at, and goes on after a crash.
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

/// Writes down that the table of `job` leaves, unless another has left meanwhile that its approval does not name.
///
/// # Errors
/// Always the [`Refusal`] to send.
pub fn enter(
    home: &Home,
    owner: &PeerId,
    rules: &ReviewRules,
    population: &ContentHash,
    job: &Signed<Job>,
) -> Result<(), Refusal> {
    let _one = ENTERING.lock().unwrap_or_else(PoisonError::into_inner);
    let unavailable = |e: NodeError| {
        tracing::error!("{e}");
        Refusal::new(Code::Unavailable, "the owner's node could not look at what exact results have left")
    };
    match verdict(home, owner, rules, population, job).map_err(unavailable)? {
        Verdict::Approved(_) => {}
        Verdict::Waiting | Verdict::Denied => {
            let message = "another exact result has left since this one was approved, and the owner reads both together";
            return Err(Refusal::new(Code::Pending, message).at("mode").fix("Send it again: it then waits for the owner"));
        }
    }
    let bytes = serde_json::to_vec(job.envelope()).map_err(|e| unavailable(NodeError::File(e.to_string())))?;
    put(&path(home, population, &job.id()), &bytes).map_err(unavailable)
}

/// Forgets a job that was written down and not charged.
pub fn forget(home: &Home, population: &ContentHash, job: &ContentHash) {
    if let Err(e) = std::fs::remove_file(path(home, population, job)) {
        tracing::warn!("job {job} was not charged, and stays among the exact results that may have left: {e}");
    }
}

/// A table that has left, and what later ones are measured by.
#[derive(Serialize, Deserialize)]
struct Remembered {
    /// What makes it that table.
    table: (ContentHash, ContentHash),
    /// Its place in the order in which tables left.
    number: u64,
    left: Left,
}

/// In the order in which they left.
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
            found.push(serde_json::from_slice::<Remembered>(&text).map_err(|e| file_error(&path, e))?);
        }
    }
    found.sort_by_key(|one| one.number);
    Ok(found)
}

/// A table that is measured against those that have left. While it is, no other is.
pub(crate) struct Measuring {
    _one: MutexGuard<'static, ()>,
    path: PathBuf,
    table: (ContentHash, ContentHash),
    number: u64,
    /// It has left before: all is remembered.
    again: bool,
    before: Vec<Left>,
}

impl Measuring {
    /// Begins with the table of `job`, which is written down.
    ///
    /// # Errors
    /// [`NodeError`] where what has left cannot be read.
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

    /// The tables that left before it, oldest first.
    pub(crate) fn before(&self) -> Vec<Left> {
        self.before.clone()
    }

    /// Remembers what it is about to say. Durable before it returns.
    ///
    /// # Errors
    /// [`NodeError`] where it cannot be written.
    pub(crate) fn remember(self, left: &Left) -> Result<(), NodeError> {
        if self.again {
            return Ok(());
        }
        let Self { path, table, number, .. } = self;
        let one = Remembered { table, number, left: left.clone() };
        put(&path, &serde_json::to_vec(&one).map_err(|e| NodeError::File(e.to_string()))?)
    }
}

/// Whether a table with these key columns is measured against that of `other`, and what the owner is told of it, in a sentence.
///
/// # Errors
/// [`NodeError`] where what has left cannot be read.
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
            "what the two differ by is not measured: that one has not left yet, or nothing is remembered of it. They may differ by one person".into(),
        ));
    };
    let by =
        |keys: &[String]| if keys.is_empty() { "one group of all".to_owned() } else { format!("groups by {}", keys.join(", ")) };
    Ok(match keys {
        Some(keys) if keys == other.left.keys => (
            true,
            format!(
                "both are of {}: a number that fewer than min_units people may make different comes out as it did there",
                by(keys)
            ),
        ),
        Some(keys) => (
            false,
            format!(
                "what the two differ by is not measured: that one is of {}, this one of {}. Sums of groups of one may differ from the other by one person",
                by(&other.left.keys),
                by(keys)
            ),
        ),
        None => (false, format!("what the two differ by may not be measured: that one is of {}", by(&other.left.keys))),
    })
}
