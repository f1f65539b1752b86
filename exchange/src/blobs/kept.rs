//! Files served from their places, each with its tree, which is made once and kept.

use std::{
    collections::HashMap,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bao_tree::io::{outboard::PreOrderOutboard, sync::ReadAt};
use tidegate_protocol::ContentHash;

use super::{place, tree};
use crate::error::{NetError, local};

/// Served file, with the place of its tree.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) path: PathBuf,
    tree: PathBuf,
    hash: ContentHash,
    size: u64,
    doubted: AtomicBool,
}

impl Kept {
    /// Opens file and tree.
    pub(super) fn open(&self) -> io::Result<(File, PreOrderOutboard<Values>)> {
        let values = if self.size > tree::GROUP { Values(Some(File::open(&self.tree)?)) } else { Values(None) };
        Ok((File::open(&self.path)?, PreOrderOutboard { root: self.hash.0.into(), tree: tree::kept(self.size), data: values }))
    }

    /// Rebuilds the tree, once, after a mismatch: the file was changed, or the tree damaged, as by a loss of power.
    pub(super) fn mend(self: Arc<Self>) {
        if self.size <= tree::GROUP || self.doubted.swap(true, Ordering::Relaxed) {
            return;
        }
        drop(std::fs::remove_file(&self.tree));
        tokio::task::spawn_blocking(move || match self.made_anew() {
            Ok(true) => tracing::info!("rebuilt the damaged hash tree of {}", self.path.display()),
            Ok(false) => tracing::warn!("not sending {}, which has changed since it was published", self.path.display()),
            Err(e) => tracing::warn!("{}: {e}", self.path.display()),
        });
    }

    /// Rebuilds the tree and returns whether the file is unchanged; only then is the tree stored.
    fn made_anew(&self) -> io::Result<bool> {
        let to = tempfile::NamedTempFile::new_in(self.tree.parent().unwrap_or(&self.tree))?;
        let is = tree::make(&File::open(&self.path)?, to.as_file(), &mut |_| {})? == (self.hash, self.size);
        if is {
            to.persist(&self.tree)?;
        }
        Ok(is)
    }
}

/// Values of a tree; a file of a single group has only its hash.
pub(super) struct Values(Option<File>);

impl ReadAt for Values {
    fn read_at(&self, at: u64, to: &mut [u8]) -> io::Result<usize> {
        self.0.as_ref().map_or(Ok(0), |file| ReadAt::read_at(file, at, to))
    }
}

/// All served files of a node.
#[derive(Debug, Clone)]
pub(super) struct Files {
    folder: PathBuf,
    files: Arc<Mutex<HashMap<ContentHash, Arc<Kept>>>>,
}

impl Files {
    /// Opens the set, with trees in `folder`.
    pub(super) fn open(folder: &Path) -> Result<Self, NetError> {
        place::create_folder(folder).map_err(|e| local(format!("{}: {e}", folder.display())))?;
        Ok(Self { folder: folder.to_owned(), files: Arc::default() })
    }

    pub(super) fn get(&self, hash: &ContentHash) -> Option<Arc<Kept>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }

    fn tree_of(&self, hash: &ContentHash) -> PathBuf {
        self.folder.join(format!("{hash}.tree"))
    }

    fn keep(&self, path: &Path, hash: ContentHash, size: u64) {
        let kept = Kept { path: path.to_owned(), tree: self.tree_of(&hash), hash, size, doubted: AtomicBool::new(false) };
        self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(hash, Arc::new(kept));
    }

    /// Returns whether there is a tree of the file with this hash, assuming an unchanged file.
    pub(super) fn has(&self, path: &Path, hash: ContentHash) -> io::Result<bool> {
        let (size, tree) = (std::fs::metadata(path)?.len(), self.tree_of(&hash));
        // A small file has no tree that could prove anything.
        let there =
            size > tree::GROUP && std::fs::metadata(tree).is_ok_and(|there| there.len() == tree::kept(size).outboard_size());
        if there {
            self.keep(path, hash, size);
        }
        Ok(there)
    }

    /// Hashes a file and stores its tree, which is not synced: see [`Kept::mend`].
    pub(super) fn take(&self, path: &Path, progress: &mut dyn FnMut(u64)) -> io::Result<(ContentHash, u64)> {
        let data = File::open(path)?;
        let (hash, size) = if data.metadata()?.len() <= tree::GROUP {
            let made = tree::small(&data)?;
            progress(made.1);
            made
        } else {
            let to = tempfile::NamedTempFile::new_in(&self.folder)?;
            let made = tree::make(&data, to.as_file(), progress)?;
            to.persist(self.tree_of(&made.0))?;
            made
        };
        self.keep(path, hash, size);
        Ok((hash, size))
    }
}
