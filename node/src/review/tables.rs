//! Exact tables that have left, by population: two tables of about the same people give those away who are in one of them alone, whatever each keeps back. So
//! one that is not the same table again needs an approval that names all that left before it.
//!
//! A job is written down here before it is charged, so that no crash forgets one. What is compared is the whole program and the very version of the data:
//! the same of both gives the same numbers.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use tidegate_protocol::{Code, ContentHash, Job, PeerId, Refusal, Signed, policy::ReviewRules};

use super::{Verdict, put, read_envelope, verdict};
use crate::{NodeError, file_error, home::Home};

/// One job at a time looks at what has left and is written down.
static ENTERING: Mutex<()> = Mutex::new(());

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
