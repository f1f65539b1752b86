//! What a node serves.

use std::{path::Path, sync::Arc};

use tidegate_protocol::ContentHash;

use super::{
    access::Access,
    guard::{Asked, Governed},
    kept::Files,
};
use crate::{
    error::{NetError, local},
    host::Host,
    jobs::Handler,
};

/// The blobs of one node and their guard.
#[derive(Debug)]
pub struct Served {
    files: Files,
    access: Access,
    handler: Asked,
}

impl Served {
    /// Keeps in `folder` what is made of files to serve them.
    ///
    /// # Errors
    /// [`NetError::Local`].
    pub async fn open(folder: &Path) -> Result<Self, NetError> {
        Ok(Self { files: Files::open(folder)?, access: Access::default(), handler: Asked::default() })
    }

    /// Who may fetch what.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Says who is asked, for as long as this is served; the first word counts.
    pub(crate) fn ask(&self, handler: Arc<dyn Handler>) {
        drop(self.handler.set(handler));
    }

    pub(crate) fn governed(&self, host: Host) -> Governed {
        Governed { files: self.files.clone(), access: self.access.clone(), handler: self.handler.clone(), host }
    }

    /// Hashes a file, which stays where it is: what is kept of it is its tree. `progress` is told the bytes hashed. Returns its hash and
    /// its size in bytes. Nobody may fetch it until [`Access::allow`].
    ///
    /// # Errors
    /// [`NetError::Local`].
    pub async fn import(&self, path: &Path, progress: &mut (dyn FnMut(u64) + Send)) -> Result<(ContentHash, u64), NetError> {
        let (files, at) = (self.files.clone(), path.to_owned());
        let (told, mut tells) = tokio::sync::mpsc::unbounded_channel();
        let hashing = tokio::task::spawn_blocking(move || files.take(&at, &mut |done| told.send(done).unwrap_or_default()));
        while let Some(done) = tells.recv().await {
            progress(done);
        }
        hashing.await.map_err(local)?.map_err(|e| local(format!("{}: {e}", path.display())))
    }

    /// Makes sure that a published file can be served: hashes it where nothing was made of it yet.
    ///
    /// # Errors
    /// [`NetError::Local`], also when the file no longer has the hash it was published under.
    pub async fn add(&self, path: &Path, expected: ContentHash) -> Result<(), NetError> {
        if self.files.has(path, expected).map_err(|e| local(format!("{}: {e}", path.display())))? {
            return Ok(());
        }
        if self.import(path, &mut |_| {}).await?.0 != expected {
            return Err(NetError::Local(format!("{} has changed since it was published", path.display())));
        }
        Ok(())
    }
}
