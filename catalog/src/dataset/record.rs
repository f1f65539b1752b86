//! Record of a published version on the owner's machine.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tidegate_protocol::{
    ContentHash, Envelope, Signed,
    manifest::{self, Content, FileKey, Manifest},
    policy::Policy,
};

use super::{DataError, People, broken, unreadable};

/// File system metadata of a file: cheap to compare before each job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Size in bytes.
    pub bytes: u64,
    /// Last change of the content: seconds and nanoseconds since 1970. Any writer can reset the time.
    pub modified: (i64, i64),
    /// Last change of content, name or rights, which no program can set.
    #[serde(default)]
    pub changed: (i64, i64),
    /// Inode number in the file system.
    #[serde(default)]
    pub inode: u64,
}

impl Stamp {
    /// Reads the stamp of the file at `path`.
    ///
    /// # Errors
    /// Returns [`DataError::Io`] if there is no such file.
    pub fn of(path: &Path) -> Result<Self, DataError> {
        let meta = std::fs::metadata(path).map_err(|e| unreadable(path, e))?;
        Ok(Self {
            bytes: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
            inode: meta.ino(),
        })
    }
}

/// Places of a published version on this machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DatasetRecord {
    /// The signed manifest.
    pub manifest: Envelope,
    /// The signed policy.
    pub policy: Envelope,
    /// Hashes and sizes of the files: told to nobody if nobody may copy the dataset.
    pub content: Content,
    /// Key with which the manifest names the files, if nobody may copy them.
    ///
    /// Once it is lost, the local files cannot be shown to be the published ones, and a version has to be published anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_key: Option<FileKey>,
    /// Published files, in manifest order; empty if only columns are stored here.
    pub files: Vec<PathBuf>,
    /// Files for jobs.
    pub compute: Vec<PathBuf>,
    /// Stamps of `compute`, in the same order, from the time of publication.
    #[serde(default)]
    pub stamps: Vec<Stamp>,
    /// Mock rows.
    pub mock: Option<PathBuf>,
    /// Sketch of the people, as far as needed to notice the same people in other files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<People>,
    /// Number of rows of each table missing from `compute` because they have no unit: for the owner alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<u64>,
}

/// Opened published version: its documents are checked.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The manifest.
    pub manifest: Signed<Manifest>,
    /// The policy.
    pub policy: Signed<Policy>,
    /// Places of the files.
    pub record: DatasetRecord,
}

impl Dataset {
    /// Opens and checks a record's documents.
    ///
    /// # Errors
    /// Returns [`DataError::Version`] if a signature fails or the documents do not belong together; [`DataError::OtherFiles`] if
    /// the files' hashes do not match the manifest.
    pub fn open(record: DatasetRecord) -> Result<Self, DataError> {
        let opened = manifest::open(record.manifest.clone(), record.policy.clone());
        let (manifest, policy) = opened.map_err(DataError::Version)?;
        if !manifest.body().files.are(&record.content, record.file_key.as_ref()) {
            return Err(DataError::OtherFiles { manifest: manifest.id() });
        }
        Ok(Self { manifest, policy, record })
    }
}

/// Copies a record with all paths changed, relative to the home folder around `folder`.
fn placed(record: &DatasetRecord, folder: &Path, change: fn(&Path, &Path) -> PathBuf) -> DatasetRecord {
    let home = std::path::absolute(folder.parent().unwrap_or(folder)).unwrap_or_else(|_| folder.to_owned());
    let all = |paths: &[PathBuf]| paths.iter().map(|path| change(&home, path)).collect();
    let (files, compute, mock) = (all(&record.files), all(&record.compute), record.mock.as_ref().map(|mock| change(&home, mock)));
    DatasetRecord { files, compute, mock, ..record.clone() }
}

/// Makes a path relative to the home if inside, which lets the home be moved; absolute otherwise.
fn kept(home: &Path, path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.strip_prefix(home).map(Path::to_owned).unwrap_or(path)
}

/// Returns the path for a path stored by [`kept`].
fn found_again(home: &Path, path: &Path) -> PathBuf {
    home.join(path)
}

/// Stores `record` in `folder`, whole or not at all, for this user alone.
///
/// # Errors
/// Returns [`DataError::Io`] if writing fails.
pub fn save(folder: &Path, id: ContentHash, record: &DatasetRecord) -> Result<(), DataError> {
    let bytes = serde_json::to_vec_pretty(&placed(record, folder, kept)).map_err(DataError::Encode)?;
    let target = folder.join(format!("{id}.json"));
    let new = folder.join(format!("{id}.{}.new", std::process::id()));
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        drop(std::fs::remove_file(&new));
        // It has the hashes of files that nobody may copy, and their key: no other user may see it at any moment.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, &target)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|e| unreadable(&target, e))
}

/// Loads all datasets stored in `folder`, oldest first.
///
/// # Errors
/// Returns [`DataError`] if a record cannot be read.
pub fn load_all(folder: &Path) -> Result<Vec<Dataset>, DataError> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(found) };
    for path in entries.filter_map(|e| e.ok().map(|e| e.path())).filter(|p| p.extension().is_some_and(|e| e == "json")) {
        let bytes = std::fs::read(&path).map_err(|e| unreadable(&path, e))?;
        let record = serde_json::from_slice(&bytes).map_err(|e| broken(&path, e))?;
        found.push(Dataset::open(placed(&record, folder, found_again))?);
    }
    // Not compared as texts: `00Z` sorts before `00.5Z`.
    found.sort_by_key(|dataset| dataset.manifest.body().published.parse::<jiff::Timestamp>().ok());
    Ok(found)
}
