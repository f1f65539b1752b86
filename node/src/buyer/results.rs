//! This party's questions to others and their answers, in its home.
//!
//! Each request has a folder, written before the job is sent; the owner's delivery is added before a number of it is shown. A
//! result that was paid for is not lost with a connection, a full disk or a terminal.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tidegate_audit::note;
use tidegate_exchange::Address;
use tidegate_files as files;
use tidegate_protocol::{
    Envelope, Job, PeerId, Signed,
    frame::{Delivery, Published},
    job::Program,
};

use crate::{
    NodeError, bad_path,
    buyer::{
        answer::Answer,
        job_file::JobFile,
        offers::{self, Offer},
        question::{Asking, answered},
        table,
        verified::{Verified, verify},
    },
    corrupt,
    error::Cause,
    file_error,
    home::Home,
    unwritable,
};

/// Format version of a kept question.
const VERSION: u32 = 1;
/// Minimum length of an abbreviated id.
const PREFIX: usize = 6;

const ASKED: &str = "asked.json";
const SENT: &str = "sent";
const QUESTION: &str = "question";
const DELIVERY: &str = "delivery.json";
const UNVERIFIED: &str = "unverified.json";

/// Store of this party's requests.
#[derive(Debug, Clone)]
pub struct Results(PathBuf);

#[derive(Serialize, Deserialize)]
struct Asked {
    version: u32,
    to: String,
    job: Envelope,
    grant: String,
    published: Published,
}

#[derive(Serialize, Deserialize)]
struct Answered {
    from: String,
    delivery: Delivery,
}

/// Folder of a request.
#[derive(Debug)]
pub struct Entry {
    folder: PathBuf,
    /// Whether the folder was not there before.
    fresh: bool,
}

/// A kept request.
#[derive(Debug, Clone)]
pub struct Kept {
    folder: PathBuf,
    /// Id of the request.
    pub id: String,
    /// Address of the peer asked.
    pub to: Address,
    /// The signed job.
    pub job: Signed<Job>,
    /// Dataset version asked.
    pub offer: Offer,
    grant: String,
    answered: Option<(Address, Delivery)>,
}

impl Results {
    /// Returns the store of the party at `home`.
    pub fn of(home: &Home) -> Self {
        Self(home.results())
    }

    /// Records a job before sending.
    pub(crate) fn begin(&self, to: &Address, asking: &Asking) -> Result<Entry, NodeError> {
        let Offer { manifest, policy, lease, newest } = &asking.offer;
        let published = Published {
            manifest: manifest.envelope().clone(),
            policy: policy.envelope().clone(),
            lease: lease.as_ref().map(|lease| lease.envelope().clone()),
            newest: newest.as_ref().map(|newest| newest.envelope().clone()),
        };
        let job = asking.job.envelope().clone();
        let asked = Asked { version: VERSION, to: to.to_string(), job, grant: asking.grant.clone(), published };
        let folder = self.0.join(format!("{}.{}", asking.job.body().request, asking.job.id()));
        let entry = Entry { fresh: !folder.exists(), folder };
        files::create_folder(&entry.folder).map_err(|e| file_error(&entry.folder, e))?;
        if !asking.sent.is_empty() {
            entry.put(SENT, &asking.sent)?;
        }
        entry.put(QUESTION, asking.question().as_bytes())?;
        let bytes = serde_json::to_vec(&asked).map_err(|e| unwritable(&entry.folder, e))?;
        entry.put(ASKED, &bytes)?;
        Ok(entry)
    }

    /// Returns the folders of requests for which `of` holds, given the request's id and the job's.
    fn folders(&self, of: impl Fn(&str, &str) -> bool) -> Result<Vec<PathBuf>, NodeError> {
        let Ok(entries) = fs::read_dir(&self.0) else { return Ok(vec![]) };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(|e| file_error(&self.0, e))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split_once('.'));
            if name.is_some_and(|(request, job)| of(request, job)) {
                found.push(path);
            }
        }
        Ok(found)
    }

    /// Returns all requests, oldest first. Damaged ones are skipped with a warning.
    ///
    /// # Errors
    /// [`NodeError::Io`].
    pub fn list(&self) -> Result<Vec<Kept>, NodeError> {
        Ok(sorted(self.folders(|_, _| true)?))
    }

    /// Returns the newest other job with exactly the same question.
    ///
    /// # Errors
    /// [`NodeError::Io`].
    pub(crate) fn like(&self, asking: &Asking) -> Result<Option<Kept>, NodeError> {
        let (question, own) = (asking.question(), asking.job.id().to_string());
        let mut same = self.folders(|_, job| job != own)?;
        same.retain(|folder| fs::read_to_string(folder.join(QUESTION)).is_ok_and(|kept| kept == question));
        Ok(sorted(same).pop())
    }

    /// Returns the request whose id, or whose job's, begins with `word`.
    ///
    /// # Errors
    /// [`NodeError::NoSuchRequest`] if there is none; [`NodeError::Ambiguous`] if there are several.
    pub fn find(&self, word: &str) -> Result<Kept, NodeError> {
        if word.len() < PREFIX {
            let why = format!("give at least {PREFIX} characters of the request's id");
            return Err(NodeError::BadInput { field: format!("{word:?}:"), why });
        }
        let found = self.folders(|request, job| request.starts_with(word) || job.starts_with(word))?;
        let none = || NodeError::NoSuchRequest { id: word.to_owned() };
        match found.as_slice() {
            [one] => read(one)?.ok_or_else(none),
            [] => Err(none()),
            _ => Err(NodeError::Ambiguous { id: word.to_owned(), of: "the ids of several requests" }),
        }
    }
}

/// Reads the requests in these folders, oldest first.
fn sorted(folders: Vec<PathBuf>) -> Vec<Kept> {
    let one = |folder: PathBuf| read(&folder).inspect_err(|e| tracing::warn!("{e}")).ok().flatten();
    let mut all: Vec<Kept> = folders.into_iter().filter_map(one).collect();
    all.sort_by(|a, b| (a.job.body().created, &a.id).cmp(&(b.job.body().created, &b.id)));
    all
}

impl Entry {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), NodeError> {
        let path = self.folder.join(name);
        files::replace(&path, bytes).map_err(|e| file_error(&path, e))
    }

    /// Keeps a delivery, separately if verification failed (`holds` is false): then for the buyer to show.
    pub(crate) fn answered(&self, from: &Address, delivery: &Delivery, holds: bool) -> Result<(), NodeError> {
        let answered = Answered { from: from.to_string(), delivery: delivery.clone() };
        let bytes = serde_json::to_vec(&answered).map_err(|e| unwritable(&self.folder, e))?;
        self.put(if holds { DELIVERY } else { UNVERIFIED }, &bytes)?;
        if holds && read(&self.folder)?.is_some_and(|kept| !matches!(kept.job.body().program, Program::Sql { .. })) {
            // The attachment was kept for sending the job again; a query's stays, since its answer is computed with the tables.
            drop(fs::remove_file(self.folder.join(SENT)));
        }
        Ok(())
    }

    /// Forgets a job without charge, if this was its first attempt.
    pub(crate) fn forget(&self) {
        if self.fresh {
            // Anything left of the folder is shown as not answered.
            drop(fs::remove_dir_all(&self.folder));
        }
    }
}

/// Reads a request from its folder; `None` if the question is incomplete, since then the job was never sent.
fn read(folder: &Path) -> Result<Option<Kept>, NodeError> {
    let of = |name: &str| match fs::read(folder.join(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(file_error(&folder.join(name), e)),
    };
    let damaged = |name: &str, e: Cause| corrupt(&folder.join(name), e);
    let Some(bytes) = of(ASKED)? else { return Ok(None) };
    let asked: Asked = serde_json::from_slice(&bytes).map_err(|e| damaged(ASKED, e.into()))?;
    if asked.version != VERSION {
        return Err(damaged(ASKED, format!("version {} is not supported", asked.version).into()));
    }
    let to: Address = asked.to.parse::<Address>().map_err(|e| damaged(ASKED, e.into()))?;
    let job = Signed::<Job>::open(asked.job).map_err(|e| damaged(ASKED, e.into()))?;
    let offer =
        offers::opened(vec![asked.published], &to.peer)?.pop().ok_or_else(|| damaged(ASKED, "names no dataset".into()))?;
    let answered = match of(DELIVERY)? {
        None => None,
        Some(bytes) => {
            let Answered { from, delivery } = serde_json::from_slice(&bytes).map_err(|e| damaged(DELIVERY, e.into()))?;
            Some((from.parse::<Address>().map_err(|e| damaged(DELIVERY, e.into()))?, delivery))
        }
    };
    let id = job.body().request.clone();
    Ok(Some(Kept { folder: folder.to_owned(), id, to, job, offer, grant: asked.grant, answered }))
}

impl Kept {
    pub(crate) fn entry(&self) -> Entry {
        Entry { folder: self.folder.clone(), fresh: false }
    }

    fn sent(&self) -> Vec<u8> {
        fs::read(self.folder.join(SENT)).unwrap_or_default()
    }

    pub(crate) fn asking(&self) -> Result<Asking, NodeError> {
        Ok(Asking { offer: self.offer.clone(), job: self.job.clone(), sent: self.sent(), grant: self.grant.clone() })
    }

    /// Returns the dataset's name.
    pub fn dataset(&self) -> &str {
        &self.offer.manifest.body().name
    }

    /// Returns the query; for a program or model, the select of its rows.
    pub fn query(&self) -> &str {
        match &self.job.body().program {
            Program::Sql { query, .. } => query,
            Program::Wasm { select, .. } | Program::Onnx { select, .. } => select,
        }
    }

    /// Returns whether the answer is here.
    pub fn is_answered(&self) -> bool {
        self.answered.is_some()
    }

    /// Returns who answered and the answer, verified again; `None` if there is no answer yet.
    ///
    /// # Errors
    /// [`NodeError::Unverified`] if the kept files were changed.
    pub fn verified(&self) -> Result<Option<(PeerId, Verified)>, NodeError> {
        let Some((from, delivery)) = &self.answered else { return Ok(None) };
        let asking = self.asking()?;
        Ok(Some((from.peer, verify(delivery.clone(), &from.peer, &asking.job, &asking.offer)?)))
    }

    /// Computes the query's answer from the request's result.
    pub async fn answer(&self, verified: &Verified) -> Option<Answer> {
        let file = JobFile::of_query(self.job.body(), &self.sent())?;
        answered(&file, &self.offer, verified).await
    }
}

/// Returns names and contents of the files written by [`save`].
fn left(verified: &Verified, name: &str) -> Result<[(String, Vec<u8>); 3], NodeError> {
    Ok([
        (format!("results/{name}.json"), verified.bytes.clone()),
        (format!("receipts/{name}.dsse.json"), verified.delivery.receipt.to_canonical()?),
        (format!("receipts/{name}.tlog-proof"), verified.delivery.proof.clone().into_bytes()),
    ])
}

/// Checks that [`save`] can write a result of this name, and of this `owner` if known, to a folder.
///
/// A missing folder is created, if its name is not that of a file. With `force` existing files may be overwritten.
///
/// # Errors
/// [`NodeError::Io`].
pub fn can_save(owner: Option<&PeerId>, folder: &Path, name: &str, force: bool) -> Result<(), NodeError> {
    table::is_folder(folder)?;
    fs::create_dir_all(folder).map_err(|e| file_error(folder, e))?;
    is_writable(folder)?;
    for part in ["results", "receipts"] {
        let part = folder.join(part);
        if part.exists() {
            is_writable(&part)?;
        }
    }
    let there = folder.join(format!("results/{name}.json"));
    if !force && there.exists() {
        return Err(NodeError::Exists { path: there, why: THERE });
    }
    owner.map_or(Ok(()), |owner| is_of(owner, folder, force))
}

/// Reason why a file is not written over, and advice.
const THERE: &str = "already exists: give --force to overwrite it, or another --out";

fn is_writable(folder: &Path) -> Result<(), NodeError> {
    let failed = |source| NodeError::Io { path: folder.to_owned(), doing: "is not writable: ", fix: "", source };
    tempfile::tempfile_in(folder).map(drop).map_err(failed)
}

/// Checks that a table can be written to a file. With `force` an existing file may be overwritten.
///
/// # Errors
/// [`NodeError::Io`].
pub fn can_write(path: &Path, force: bool) -> Result<(), NodeError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(bad_path(path, format!("the folder {} does not exist", folder.display())));
    }
    if path.is_dir() {
        return Err(bad_path(path, "is a folder, give a file"));
    }
    if !force && path.symlink_metadata().is_ok() {
        return Err(NodeError::Exists { path: path.to_owned(), why: THERE });
    }
    is_writable(folder)
}

/// Checks that a folder has no receipts of another owner's log, unless `force` is set.
fn is_of(owner: &PeerId, folder: &Path, force: bool) -> Result<(), NodeError> {
    let path = folder.join("owner.vkey");
    match fs::read(&path) {
        Ok(there) if !force && there != note::vkey(owner).as_bytes() => {
            Err(NodeError::Exists { path, why: "is for another owner: give another --out" })
        }
        _ => Ok(()),
    }
}

/// Writes everything needed by an outside auditor to `folder`: result, receipt, proof, the owner's verifier key.
///
/// The same result may be written again; a different one is only overwritten with `force`.
///
/// # Errors
/// [`NodeError::Io`].
pub fn save(verified: &Verified, owner: &PeerId, folder: &Path, name: &str, force: bool) -> Result<(), NodeError> {
    let left = left(verified, name)?;
    is_of(owner, folder, force)?;
    // The proof may differ for the same receipt.
    for (file, bytes) in left.iter().take(2) {
        let path = folder.join(file);
        if !force && fs::read(&path).is_ok_and(|there| there != *bytes) {
            return Err(NodeError::Exists { path, why: "already exists with other content: give --force to overwrite it" });
        }
    }
    let key = ("owner.vkey".to_owned(), note::vkey(owner).into_bytes());
    for (file, bytes) in left.iter().chain([&key]) {
        let path = folder.join(file);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).and_then(|()| files::replace(&path, bytes)).map_err(|e| file_error(&path, e))?;
    }
    Ok(())
}
