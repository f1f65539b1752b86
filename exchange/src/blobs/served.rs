//! Files served by a node.

use std::{path::Path, sync::Arc};

use tidegate_protocol::ContentHash;

use super::{
    access::Access,
    guard::{Asked, Governed},
    kept::Files,
};
use crate::{
    error::{NetError, file_error, local},
    host::Host,
    jobs::Handler,
};

/// Blobs of a node, with their guard.
#[derive(Debug)]
pub struct Served {
    files: Files,
    access: Access,
    handler: Asked,
}

impl Served {
    /// Opens the set; data derived from files, for serving them, is stored in `folder`.
    ///
    /// # Errors
    /// Returns [`NetError::Local`] if the folder cannot be created.
    pub async fn open(folder: &Path) -> Result<Self, NetError> {
        Ok(Self { files: Files::open(folder)?, access: Access::default(), handler: Asked::default() })
    }

    /// Returns the permissions to fetch.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Sets the handler to ask, for as long as this is served; only the first call counts.
    pub(crate) fn ask(&self, handler: Arc<dyn Handler>) {
        drop(self.handler.set(handler));
    }

    pub(crate) fn governed(&self, host: Host) -> Governed {
        Governed { files: self.files.clone(), access: self.access.clone(), handler: self.handler.clone(), host }
    }

    /// Hashes a file in its place and stores its tree; returns its hash and size in bytes.
    ///
    /// `progress` is told the bytes hashed. Nobody may fetch the file until [`Access::allow`].
    ///
    /// # Errors
    /// Returns [`NetError::Io`] if the file cannot be read or its tree not written.
    pub async fn import(&self, path: &Path, progress: &mut (dyn FnMut(u64) + Send)) -> Result<(ContentHash, u64), NetError> {
        let (files, at) = (self.files.clone(), path.to_owned());
        let (told, mut tells) = tokio::sync::mpsc::unbounded_channel();
        let hashing = tokio::task::spawn_blocking(move || files.take(&at, &mut |done| told.send(done).unwrap_or_default()));
        while let Some(done) = tells.recv().await {
            progress(done);
        }
        hashing.await.map_err(local)?.map_err(|e| file_error(path, e))
    }

    /// Makes a published file ready for serving: hashes the file if there is no stored tree yet.
    ///
    /// # Errors
    /// Returns [`NetError::Io`] if the file cannot be read; [`NetError::Changed`] if it no longer has the hash under which it was
    /// published.
    pub async fn add(&self, path: &Path, expected: ContentHash) -> Result<(), NetError> {
        if self.files.has(path, expected).map_err(|e| file_error(path, e))? {
            return Ok(());
        }
        if self.import(path, &mut |_| {}).await?.0 != expected {
            return Err(NetError::Changed { path: path.to_owned() });
        }
        Ok(())
    }
}
