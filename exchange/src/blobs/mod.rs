//! Governed blobs: iroh-blobs serves everybody who knows a hash; here a peer gets the hashes it was allowed, whole blobs only.
//!
//! Rules, each with a test: observe and push are refused; a get is refused unless this peer was allowed this hash, and a get of many unless it was allowed
//! each; and none is of more than the blobs that it names, because a blob whose bytes are another's hash would otherwise open that other one as a hash
//! sequence. What a grant allowed ends with it, in the middle of a transfer too.

use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::AsRawFd as _,
    path::Path,
    sync::{Arc, OnceLock},
};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use tidegate_protocol::ContentHash;

use crate::{Handler, NetError, host::Host};

mod access;
mod arriving;
mod fetch;
mod guard;
mod kept;
mod many;
mod prove;
mod send;
mod several;
mod tree;
pub mod wire;

pub use access::Access;
pub use fetch::{Progress, fetch};
pub(crate) use guard::Governed;
use kept::Files;
pub use many::{SMALL, fetch_small};
pub use several::{fetch_from, fetch_ranges};

/// A part of a file, from byte to byte, the last excluded; without an end where everything to the file's end is asked for.
pub type ByteRange = (u64, Option<u64>);

/// The blobs of one node and their guard.
#[derive(Debug)]
pub struct Served {
    files: Files,
    access: Access,
    handler: Asked,
}

/// Who is asked before a peer is sent a part of a file: nobody is sent any before there is one.
type Asked = Arc<OnceLock<Arc<dyn Handler>>>;

fn local(e: impl std::fmt::Display) -> NetError {
    NetError::Local(e.to_string())
}

/// A folder that nobody else may look into.
fn create_folder(path: &Path) -> io::Result<()> {
    std::os::unix::fs::DirBuilderExt::mode(std::fs::DirBuilder::new().recursive(true), 0o700).create(path)
}

/// A file that is not whole yet. Whoever may read a new file may read it.
fn part() -> tempfile::Builder<'static, 'static> {
    let mut part = tempfile::Builder::new();
    part.prefix(".part-").permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    part
}

/// Has a small file appear whole at `target`, over one that was there.
fn appear(target: &Path, data: &[u8]) -> io::Result<()> {
    let folder = target.parent().unwrap_or(target);
    // One without a name, where there is such a thing, is less work for the folder, and leaves nothing whatever stops it.
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    if let Ok(file) = rustix::fs::open(folder, flags, Mode::from_raw_mode(0o666)).map(File::from) {
        (&file).write_all(data)?;
        let here = format!("/proc/self/fd/{}", file.as_raw_fd());
        if rustix::fs::linkat(CWD, here, CWD, target, AtFlags::SYMLINK_FOLLOW).is_ok() {
            return Ok(());
        }
    }
    let mut part = part().tempfile_in(folder)?;
    part.write_all(data)?;
    part.persist(target)?;
    Ok(())
}

/// An error and what it came of.
fn chain(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut at = e.source();
    while let Some(source) = at {
        let more = source.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        at = source.source();
    }
    text
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_small_file_is_there_whole_over_an_older_one_too() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("file");
        std::fs::write(dir.path().join("beside"), b"").unwrap();
        for data in [&b"first"[..], b"another", b""] {
            appear(&target, data).unwrap();
            assert_eq!(std::fs::read(&target).unwrap(), data);
            let mode = |name: &str| dir.path().join(name).metadata().unwrap().permissions().mode();
            assert_eq!(mode("file"), mode("beside"));
        }
        assert!(appear(&dir.path().join("no folder/file"), b"data").is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
