//! A party's folder, with its key and state.

use std::{
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{fs::Mode, process::umask};
use tidegate_exchange::Reach;
use tidegate_files as files;
use tidegate_files::FILE_MODE;
use tidegate_protocol::{ContentHash, Identity};

use crate::{NodeError, corrupt, file_error, unwritable};

/// A party's folder. Nobody but its user may look into the folder, nor at anything in it.
#[derive(Debug, Clone)]
pub struct Home(PathBuf);

/// Makes all files created from now on by this process and its children unreadable to others, also by libraries and databases.
pub fn keep_to_oneself() {
    umask(Mode::RWXG | Mode::RWXO);
}

/// Mode bits for access by others.
const OTHERS: u32 = 0o077;

impl Home {
    /// Returns the folder at `path`, which need not exist.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns all paths open to others for reading, writing or looking into, the folder itself first. Links are not followed.
    ///
    /// # Errors
    /// [`NodeError::Io`] for a path that cannot be examined.
    pub fn open_to_others(&self) -> Result<Vec<PathBuf>, NodeError> {
        let mut open = Vec::new();
        let root = self.0.canonicalize().map_err(|e| file_error(&self.0, e))?;
        each(&root, &mut |path, metadata| {
            if metadata.mode() & OTHERS != 0 {
                open.push(path.to_owned());
            }
            Ok(())
        })?;
        Ok(open)
    }

    /// Removes others' access to the folder if it has this party's key; with `all`, also to everything in it. Returns how many
    /// paths were open.
    ///
    /// # Errors
    /// [`NodeError::Io`] for a path that cannot be closed, since it is another user's.
    pub fn shut(&self, all: bool) -> Result<u64, NodeError> {
        let mut shut = 0;
        // A folder that was named by mistake is not this party's to change.
        if !self.0.join("key").exists() {
            return Ok(0);
        }
        let mut one = |path: &Path, metadata: &std::fs::Metadata| {
            if metadata.mode() & OTHERS == 0 {
                return Ok(());
            }
            shut += 1;
            let mode = metadata.mode() & 0o7777 & !OTHERS;
            match std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)) {
                // Deleted meanwhile.
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
                done => done,
            }
        };
        if all {
            let root = self.0.canonicalize().map_err(|e| file_error(&self.0, e))?;
            each(&root, &mut one)?;
        } else {
            let metadata = self.0.metadata().map_err(|e| file_error(&self.0, e))?;
            let failed = |source| NodeError::Io {
                path: self.0.clone(),
                doing: "other users can read it, and the permissions cannot be changed: ",
                fix: "",
                source,
            };
            one(&self.0, &metadata).map_err(failed)?;
        }
        if shut > 0 {
            tracing::warn!(
                "{}: other users could read {shut} of its files and folders; only this user can now",
                self.0.display()
            );
        }
        Ok(shut)
    }

    /// Creates the folder with a new key. An existing key is kept.
    ///
    /// # Errors
    /// [`NodeError::Io`].
    pub fn init(&self) -> Result<Identity, NodeError> {
        files::create_folder(&self.0).map_err(|e| file_error(&self.0, e))?;
        let path = self.0.join("key");
        if path.exists() {
            return self.identity();
        }
        let identity = Identity::generate().map_err(NodeError::Entropy)?;
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(|e| file_error(&path, e))?;
        file.write_all(hex::encode(identity.seed()).as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(|e| file_error(&path, e))?;
        // The folder may have existed before, open to others.
        self.shut(false)?;
        Ok(identity)
    }

    /// Reads the party's key.
    ///
    /// # Errors
    /// [`NodeError::Io`] saying how to make one.
    pub fn identity(&self) -> Result<Identity, NodeError> {
        let path = self.0.join("key");
        let failed = |source| NodeError::Io { path: path.clone(), doing: "", fix: ". Run `tidegate init` first", source };
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        let seed = hex::decode(text.trim()).ok().and_then(|b| b.try_into().ok());
        seed.map(Identity::from_seed).ok_or_else(|| corrupt(&path, "is not a key"))
    }

    /// Reads how this party is reached and reaches others: by addresses alone unless configured otherwise.
    ///
    /// # Errors
    /// [`NodeError::Corrupt`] naming the fault in the file.
    pub fn reach(&self) -> Result<Reach, NodeError> {
        let path = self.0.join("network.toml");
        match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|e| corrupt(&path, e)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Reach::default()),
            Err(e) => Err(file_error(&path, e)),
        }
    }

    /// Sets how this party is reached from now on.
    ///
    /// # Errors
    /// [`NodeError::Io`].
    pub fn set_reach(&self, reach: &Reach) -> Result<(), NodeError> {
        let path = self.0.join("network.toml");
        let text = toml::to_string(reach).map_err(|e| unwritable(&path, e))?;
        let new = path.with_extension("new");
        files::write(&new, text).and_then(|()| std::fs::rename(&new, &path)).map_err(|e| file_error(&path, e))
    }

    /// Returns the folder of dataset records.
    pub fn datasets(&self) -> PathBuf {
        self.0.join("datasets")
    }

    /// Returns the folder of job attachments, which lie there until the jobs are done.
    pub fn programs(&self) -> PathBuf {
        self.0.join("programs")
    }

    /// Returns the path of the attachment of the job with this id.
    pub fn program(&self, job: &ContentHash) -> PathBuf {
        self.programs().join(job.to_string())
    }

    /// Returns the folder of attachments kept for replays by auditors, named by the hashes of their parts.
    pub fn kept_programs(&self) -> PathBuf {
        self.0.join("kept-programs")
    }

    /// Returns the folder of compiled components.
    pub fn codes(&self) -> PathBuf {
        self.0.join("code")
    }

    /// Returns the folder of records of programs whose run broke a worker.
    pub fn quarantine(&self) -> PathBuf {
        self.0.join("quarantine")
    }

    /// Returns the folder of records of jobs that failed as a whole.
    pub fn failures(&self) -> PathBuf {
        self.0.join("failures")
    }

    /// Returns the folder of records of running jobs.
    pub fn running(&self) -> PathBuf {
        self.0.join("running")
    }

    /// Returns the file of the owner's witnesses, a line each.
    pub fn witnesses(&self) -> PathBuf {
        self.0.join("witnesses")
    }

    /// Returns the folder of this party's own questions to others and the answers.
    pub fn results(&self) -> PathBuf {
        self.0.join("results")
    }

    /// Returns the record of a file's pieces.
    pub fn pieces(&self, file: &ContentHash) -> PathBuf {
        self.0.join("pieces").join(file.to_string())
    }

    /// Returns the folder of iroh-blobs' store.
    pub fn blobs(&self) -> PathBuf {
        self.0.join("blobs")
    }
}

/// Calls `see` for `path` and, in a folder, for everything below.
fn each(path: &Path, see: &mut dyn FnMut(&Path, &std::fs::Metadata) -> io::Result<()>) -> Result<(), NodeError> {
    let failed = |e: io::Error| file_error(path, e);
    let metadata = match path.symlink_metadata() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(failed)?,
    };
    if metadata.is_symlink() {
        return Ok(());
    }
    see(path, &metadata).map_err(|source| NodeError::Io {
        path: path.to_owned(),
        doing: "other users can read it, and the permissions cannot be changed: ",
        fix: "",
        source,
    })?;
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path).map_err(failed)? {
            each(&entry.map_err(failed)?.path(), see)?;
        }
    }
    Ok(())
}

/// Returns the paths in `folder` named after a lineage, in order.
pub(crate) fn by_population(folder: &Path) -> Vec<(ContentHash, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries.filter_map(|e| Some((e.file_name().to_str()?.parse().ok()?, e.path()))).collect();
    found.sort();
    found
}
