//! The owner's desk: jobs asking for an exact result wait here until the owner has read them.
//!
//! A job is a file named by its id, the hash of every byte of it: what is approved is what runs. Files are used, not the ledger,
//! so that an owner can look and sign beside a running node.

pub(crate) mod entry;
mod files;
pub mod tables;

use files::{folder, put, read_envelope};

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use tidegate_protocol::{
    Approval, Code, ContentHash, Job, PeerId, Refusal, Signed, limits, policy::ReviewRules, receipt::Predicate,
};

use tidegate_catalog::dataset::load_all;

use crate::{
    NodeError,
    error::{NoSuchDataset, Unverified},
    file_error,
    home::Home,
    owner::spool,
    unwritable,
};

/// A waiting job, its buyer's signature checked.
#[derive(Debug)]
pub struct Pending {
    /// The job.
    pub job: Signed<Job>,
    /// Time of arrival.
    pub since: SystemTime,
}

/// The owner's verdict on a job.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The owner has not decided yet.
    Waiting,
    /// The exact result may leave, by the approval of this id; `None` if the policy allows it to this buyer and program.
    Approved(Option<ContentHash>),
    /// The exact result may not leave.
    Denied,
}

/// Returns the verdict of the owner, or of the policy for this buyer and program, on `job`.
///
/// It depends on the exact tables of the job's lineage that have left ([`tables`]).
///
/// # Errors
/// [`NodeError`] if an approval cannot be read or is not the owner's, or the tables that have left cannot be read.
pub fn verdict(
    home: &Home,
    owner: &PeerId,
    rules: &ReviewRules,
    population: &ContentHash,
    job: &Signed<Job>,
) -> Result<Verdict, NodeError> {
    let name = format!("{}.json", job.id());
    if folder(home, "denied").join(&name).exists() {
        return Ok(Verdict::Denied);
    }
    let others = tables::others(home, population, job)?;
    if others.is_empty() && rules.stands(&job.signer(), &job.body().bound()) {
        return Ok(Verdict::Approved(None));
    }
    let path = folder(home, "approved").join(&name);
    if !path.exists() {
        return Ok(Verdict::Waiting);
    }
    let approval = Signed::<Approval>::open(read_envelope(&path)?)?;
    if approval.signer() != *owner || approval.body().job != job.id() {
        return Err(Unverified::Approval { path }.into());
    }
    // The owner has not looked at a table that left after the approval.
    if others.iter().any(|other| !approval.body().beside.contains(&other.id())) {
        return Ok(Verdict::Waiting);
    }
    Ok(Verdict::Approved(Some(approval.id())))
}

/// Keeps `job`, with its grouping columns `keys` and attached tables `sent`, for the owner to read.
///
/// # Errors
/// Always returns the [`Refusal`] to send: of code [`Code::Pending`], or [`Code::Busy`] if too many jobs wait.
pub fn wait(home: &Home, job: &Signed<Job>, keys: &[String], sent: Option<&[u8]>) -> Refusal {
    let path = folder(home, "pending").join(format!("{}.json", job.id()));
    if !path.exists() {
        let waiting = self::pending(home).unwrap_or_default();
        let theirs = waiting.iter().filter(|p| p.job.signer() == job.signer()).count();
        if waiting.len() >= limits::PENDING || theirs >= limits::PENDING_PER_BUYER {
            return Refusal::new(Code::Busy, "too many jobs wait for the owner's approval");
        }
        if sent.is_some_and(|sent| sent.len() > limits::PENDING_BYTES) {
            let message = format!("the tables of a job for review can have at most {} bytes", limits::PENDING_BYTES);
            return Refusal::new(Code::Program, message).at("program.tables");
        }
        // The tables first, so that a job that can be seen has them.
        let tables = sent.map_or(Ok(()), |sent| put(&tables(home, &job.id()), sent));
        let keys = serde_json::to_vec(keys).map_err(|e| unwritable(&path, e));
        let written = tables
            .and_then(|()| put(&keys_of(home, &job.id()), &keys?))
            .and_then(|()| serde_json::to_vec(job.envelope()).map_err(|e| unwritable(&path, e)))
            .and_then(|bytes| put(&path, &bytes));
        if let Err(e) = written {
            tracing::error!("{e}");
            return Refusal::new(Code::Unavailable, "the owner's node could not store this job");
        }
        tracing::info!("job {} asks for an exact result: see `tidegate pending`", job.id());
    }
    Refusal::new(Code::Pending, format!("job {} waits for the owner's approval", job.id())).at("mode")
}

/// Returns the dataset lineage of a waiting job, from the datasets of this home.
///
/// # Errors
/// [`NodeError`] if the dataset is no longer here.
pub fn population(home: &Home, job: &Job) -> Result<ContentHash, NodeError> {
    let known = load_all(&home.datasets())?;
    let manifest = known.iter().map(|d| &d.manifest).find(|manifest| manifest.id() == job.dataset);
    let manifest = manifest.ok_or(NoSuchDataset::Removed { id: job.dataset })?;
    Ok(manifest.body().population)
}

/// Returns the path of the tables sent with a waiting job, if any: one Arrow IPC stream each, as the buyer sent them.
pub fn tables(home: &Home, job: &ContentHash) -> PathBuf {
    folder(home, "pending").join(format!("{job}.tables"))
}

fn keys_of(home: &Home, job: &ContentHash) -> PathBuf {
    folder(home, "pending").join(format!("{job}.keys"))
}

/// An exact table that has left, shown beside a waiting job.
#[derive(Debug)]
pub struct Beside {
    /// First job that asked for the table.
    pub job: Signed<Job>,
    /// Whether the difference of the two is measured before the second leaves.
    pub measured: bool,
    /// Explanation for the owner, in a sentence. Column names are the buyers'.
    pub told: String,
}

/// Returns the exact tables about the same people that have left, beside the waiting `job`.
///
/// # Errors
/// [`NodeError`] if they cannot be read.
pub fn beside(home: &Home, job: &Signed<Job>) -> Result<Vec<Beside>, NodeError> {
    let population = population(home, job.body())?;
    let keys = std::fs::read(keys_of(home, &job.id())).ok().and_then(|text| serde_json::from_slice::<Vec<String>>(&text).ok());
    let one = |other: Signed<Job>| {
        let (measured, told) = tables::measured(home, &population, keys.as_deref(), &other)?;
        Ok(Beside { job: other, measured, told })
    };
    tables::others(home, &population, job)?.into_iter().map(one).collect()
}

/// Returns the waiting jobs, oldest first.
///
/// # Errors
/// [`NodeError`] if the folder cannot be read. Files that are not signed jobs are skipped with a warning.
pub fn pending(home: &Home) -> Result<Vec<Pending>, NodeError> {
    let folder = folder(home, "pending");
    let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(vec![]) };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| file_error(&folder, e))?;
        if entry.path().extension().is_none_or(|e| e != "json") {
            continue;
        }
        let job = read_envelope(&entry.path()).and_then(|e| Ok(Signed::<Job>::open(e)?));
        let since = entry.metadata().and_then(|m| m.modified()).unwrap_or(UNIX_EPOCH);
        match job {
            Ok(job) => found.push(Pending { job, since }),
            Err(e) => tracing::warn!("{}: {e}", entry.path().display()),
        }
    }
    found.sort_by_key(|p| p.since);
    Ok(found)
}

/// Returns the only waiting job whose id begins with `prefix`.
fn find(home: &Home, prefix: &str) -> Result<Pending, NodeError> {
    let mut found: Vec<_> = pending(home)?.into_iter().filter(|p| p.job.id().to_string().starts_with(prefix)).collect();
    match (found.pop(), found.is_empty()) {
        (Some(one), true) if !prefix.is_empty() => Ok(one),
        (Some(_), _) => Err(NodeError::Ambiguous { id: prefix.to_owned(), of: "the id of several waiting jobs" }),
        (None, _) => Err(NodeError::NoSuchJob { id: prefix.to_owned(), state: "waits. See `tidegate pending`" }),
    }
}

fn settle(home: &Home, job: &Signed<Job>, verdict: &str, bytes: &[u8]) -> Result<(), NodeError> {
    let name = format!("{}.json", job.id());
    put(&folder(home, verdict).join(&name), bytes)?;
    let waiting = folder(home, "pending").join(&name);
    for beside in [tables(home, &job.id()), keys_of(home, &job.id())] {
        if beside.exists() {
            std::fs::remove_file(&beside).map_err(|e| file_error(&beside, e))?;
        }
    }
    std::fs::remove_file(&waiting).map_err(|e| file_error(&waiting, e))
}

/// Logs the owner's verdict, which only then takes effect.
fn note(home: &Home, job: &Signed<Job>, approval: Option<ContentHash>) -> Result<(), NodeError> {
    let (subject, job) = (job.envelope().payload_sha256(), job.id());
    let predicate = Predicate::Approval { job, approval };
    spool::say(home, &spool::Word::record(&format!("job {job}"), subject, predicate))
}

/// Signs the approval of the waiting job whose id begins with `prefix`.
///
/// Each exact table of its lineage that has left must be named in `beside`, by a prefix of its id. The buyer gets the result on
/// asking again. Returns the job with those tables.
///
/// # Errors
/// [`NodeError`] if there is not exactly one such job, a table that has left is not named, or the approval cannot be kept.
pub fn approve(home: &Home, prefix: &str, beside: &[String]) -> Result<(Signed<Job>, Vec<Beside>), NodeError> {
    let waiting = find(home, prefix)?;
    let others = self::beside(home, &waiting.job)?;
    let named = |id: &ContentHash| beside.iter().any(|name| name.len() >= 8 && id.to_string().starts_with(name.as_str()));
    let unread: Vec<&Beside> = others.iter().filter(|other| !named(&other.job.id())).collect();
    if !unread.is_empty() {
        let ids = unread.iter().map(|other| other.job.id().to_string()[..12].to_owned()).collect();
        return Err(NodeError::NotRead { job: prefix.to_owned(), beside: ids });
    }
    let beside = others.iter().map(|other| other.job.id()).collect();
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
    let approval = Signed::sign(Approval { version: 1, job: waiting.job.id(), beside, created }, &home.identity()?)?;
    let bytes = serde_json::to_vec(approval.envelope()).map_err(NodeError::Encode)?;
    note(home, &waiting.job, Some(approval.id()))?;
    settle(home, &waiting.job, "approved", &bytes)?;
    Ok((waiting.job, others))
}

/// Rejects the waiting job whose id begins with `prefix` for good.
///
/// # Errors
/// As [`approve`].
pub fn deny(home: &Home, prefix: &str) -> Result<Signed<Job>, NodeError> {
    let waiting = find(home, prefix)?;
    let bytes = serde_json::to_vec(waiting.job.envelope()).map_err(NodeError::Encode)?;
    note(home, &waiting.job, None)?;
    settle(home, &waiting.job, "denied", &bytes)?;
    Ok(waiting.job)
}
