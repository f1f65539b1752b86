//! Files that are served from where they lie, each with its tree, which is made once and kept.

use std::{
    collections::HashMap,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bao_tree::io::outboard::PreOrderOutboard;
use tidegate_protocol::ContentHash;

use super::{local, tree};
use crate::NetError;

/// A file, and where its tree is.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) path: PathBuf,
    tree: PathBuf,
    hash: ContentHash,
    size: u64,
}

impl Kept {
    /// Opens both.
    pub(super) fn open(&self) -> io::Result<(File, PreOrderOutboard<File>)> {
        let tree = PreOrderOutboard { root: self.hash.0.into(), tree: tree::of(self.size), data: File::open(&self.tree)? };
        Ok((File::open(&self.path)?, tree))
    }

    /// Has the tree made anew when it is asked for next: the file was changed, or the tree was damaged.
    pub(super) fn doubt(&self) {
        drop(std::fs::remove_file(&self.tree));
    }
}

/// All files of a node.
#[derive(Debug, Clone)]
pub(super) struct Files {
    folder: PathBuf,
    files: Arc<Mutex<HashMap<ContentHash, Arc<Kept>>>>,
}

impl Files {
    /// With trees in `folder`.
    pub(super) fn open(folder: &Path) -> Result<Self, NetError> {
        std::fs::create_dir_all(folder).map_err(|e| local(format!("{}: {e}", folder.display())))?;
        Ok(Self { folder: folder.to_owned(), files: Arc::default() })
    }

    pub(super) fn get(&self, hash: &ContentHash) -> Option<Arc<Kept>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }

    fn tree_of(&self, hash: &ContentHash) -> PathBuf {
        self.folder.join(format!("{hash}.tree"))
    }

    fn keep(&self, path: &Path, hash: ContentHash, size: u64) {
        let kept = Kept { path: path.to_owned(), tree: self.tree_of(&hash), hash, size };
        self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(hash, Arc::new(kept));
    }

    /// Whether the tree of a file that has this hash, if it is unchanged, is there already.
    pub(super) fn has(&self, path: &Path, hash: ContentHash) -> io::Result<bool> {
        let (size, tree) = (std::fs::metadata(path)?.len(), self.tree_of(&hash));
        // The tree of a small one is empty, and says nothing of it.
        let there =
            size > tree::GROUP && std::fs::metadata(tree).is_ok_and(|there| there.len() == tree::of(size).outboard_size());
        if there {
            self.keep(path, hash, size);
        }
        Ok(there)
    }

    /// Hashes a file; a tree appears whole or not at all.
    pub(super) fn take(&self, path: &Path, progress: &mut dyn FnMut(u64)) -> io::Result<(ContentHash, u64)> {
        let to = tempfile::NamedTempFile::new_in(&self.folder)?;
        let (hash, size) = tree::make(&File::open(path)?, to.as_file(), progress)?;
        to.as_file().sync_data()?;
        to.persist(self.tree_of(&hash))?;
        self.keep(path, hash, size);
        Ok((hash, size))
    }
}
