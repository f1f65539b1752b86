//! File transfers: a dataset's files, its mock rows, job attachments. Each is verified, and resumed where it broke off.

use std::{
    collections::HashSet,
    io::Seek as _,
    ops::ControlFlow,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tidegate_catalog::dataset::pieces::{apart, pieces};
use tidegate_exchange::{Address, NetError, blobs};
use tidegate_protocol::{
    Code, ContentHash, Envelope, PeerId, Refusal,
    frame::{Reply, Request},
    manifest::DataFile,
};

use crate::{
    NodeError,
    client::{Buyer, Offer},
    error::Unverified,
    file_error,
    given::parts,
    unexpected,
};

/// How often a broken transfer resumes by itself, and by how much each pause is longer than the last.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// Progress callback: a file's name, the bytes transferred in this call, the file's size. [`ControlFlow::Break`] stops the
/// transfer cleanly.
pub type Report<'a> = &'a mut (dyn FnMut(&str, u64, u64) -> ControlFlow<()> + Send);

/// A file now complete here.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Copied {
    /// Its path.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Number of bytes transferred in this call; bytes already here do not count.
    pub came: u64,
}

/// Returns the path of a manifest's file in `folder`, never elsewhere, whatever the manifest says. Creates the subfolders.
pub(crate) fn placed(folder: &Path, file: &DataFile) -> Result<PathBuf, NodeError> {
    let mut target = folder.to_owned();
    // Each table has a folder of its own: files of two tables may have the same name.
    for name in parts(file.table.as_deref(), &file.name)? {
        std::fs::create_dir_all(&target).map_err(|e| file_error(&target, e))?;
        target.push(name);
    }
    Ok(target)
}

/// Checks that no two of a manifest's files have the same path here: the second would overwrite the first.
pub(crate) fn apart_from_each_other<'a>(targets: impl Iterator<Item = &'a Path>) -> Result<(), NodeError> {
    let mut seen = HashSet::new();
    for target in targets {
        if !seen.insert(target) {
            return Err(Unverified::SamePath { path: target.to_owned() }.into());
        }
    }
    Ok(())
}

/// Number of free bytes below which a transfer cannot go on.
const FULL: u64 = 1 << 20;

/// Returns the error of a full disk if one of these folders (or future files) is on one.
fn full(folders: [&Path; 2]) -> Option<NodeError> {
    let places = [folders[0].join("fetched"), folders[1].parent().unwrap_or(folders[1]).to_owned()];
    places.into_iter().find_map(|folder| {
        let stat = rustix::fs::statvfs(&folder).ok()?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        (free < FULL).then_some(NodeError::DiskFull { path: folder, free })
    })
}

impl Buyer {
    /// Copies a dataset's files into `folder`, resuming what an earlier call left.
    ///
    /// Of a file that is there in an earlier version, only the new parts are transferred. `progress` is called with the file's
    /// name, the bytes that came in this call and the file's size.
    ///
    /// # Errors
    /// [`NodeError::Refused`] if policy or grant does not allow that.
    pub async fn fetch(
        &self,
        home: &Path,
        to: &Address,
        (name, grant): (&str, &str),
        folder: &Path,
        progress: Report<'_>,
    ) -> Result<Vec<Copied>, NodeError> {
        let offer = self.offer(to, name).await?;
        let Some(content) = offer.manifest.body().files.plain() else {
            // In the owner's words.
            let message = "the policy allows nobody to replicate this dataset";
            return Err(Refusal::new(Code::Policy, message).at("access.replicate").into());
        };
        let permission = Request::Replicate { dataset: offer.manifest.id(), grant: grant.into() };
        self.ask(to, &permission, &[]).await?;
        std::fs::create_dir_all(folder).map_err(|e| file_error(folder, e))?;
        let folder = folder.canonicalize().map_err(|e| file_error(folder, e))?;
        let files = content.published.iter();
        let files = files.map(|file| Ok((file, placed(&folder, file)?))).collect::<Result<Vec<_>, NodeError>>()?;
        apart_from_each_other(files.iter().map(|(_, target)| target.as_path()))?;
        let here = self.small(to, &files, progress).await?;
        let mut fetched = Vec::new();
        for (number, (file, target)) in files.into_iter().enumerate() {
            let mut came = 0;
            if here.contains(&number) {
                fetched.push(Copied { path: target, bytes: file.bytes, came: file.bytes });
                continue;
            }
            let mut report = |bytes| {
                came = bytes;
                progress(&file.name, bytes, file.bytes)
            };
            let pieces = Request::Pieces { dataset: offer.manifest.id(), file: file.hash, grant: grant.into() };
            if !self.patch(home, to, &pieces, file, &target, &mut report).await? {
                self.copy(home, to, &permission, (file.hash, file.bytes), &target, &mut report).await?;
            }
            fetched.push(Copied { path: target, bytes: file.bytes, came });
        }
        Ok(fetched)
    }

    /// Copies, together, the small files of which nothing is here. Returns the indices of those that came.
    ///
    /// The others are left to [`Buyer::copy`], which also reports the reason.
    async fn small(
        &self,
        from: &Address,
        files: &[(&DataFile, PathBuf)],
        progress: Report<'_>,
    ) -> Result<HashSet<usize>, NodeError> {
        let new = files.iter().enumerate().filter(|(_, (file, target))| file.bytes <= blobs::SMALL && !target.exists());
        let (numbers, asked): (Vec<_>, Vec<_>) =
            new.map(|(number, (file, target))| (number, (file.hash, file.bytes, target.clone()))).unzip();
        let mut came = HashSet::new();
        let mut report = |at: usize| {
            let file = files[numbers[at]].0;
            came.insert(numbers[at]);
            progress(&file.name, file.bytes, file.bytes)
        };
        match blobs::fetch_small(self.endpoint(), from, &asked, &mut report).await {
            Err(NetError::Stopped) => return Err(NetError::Stopped.into()),
            Err(e) => tracing::debug!("{e}"),
            Ok(()) => {}
        }
        Ok(came)
    }

    /// Builds a file from the earlier version at `target` and the new parts. Returns `false` if the file has to be copied whole.
    async fn patch(
        &self,
        home: &Path,
        from: &Address,
        request: &Request,
        file: &DataFile,
        target: &Path,
        progress: blobs::Progress<'_>,
    ) -> Result<bool, NodeError> {
        let failed = |e: std::io::Error| file_error(target, e);
        let Ok(old) = std::fs::File::open(target) else { return Ok(false) };
        let before = old.try_clone().map_err(failed)?;
        let cut = tokio::task::spawn_blocking(move || -> std::io::Result<_> {
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(&before)?;
            (&before).rewind()?;
            Ok((ContentHash(*hasher.finalize().as_bytes()), pieces(before)?))
        });
        let (hash, has) = cut.await.map_err(NodeError::Task)?.map_err(failed)?;
        if hash == file.hash {
            return Ok(true);
        }
        let Some(has) = has else { return Ok(false) };
        let Reply::Pieces(wants) = self.ask(from, request, &[]).await? else { return Err(unexpected("the requested reply")) };
        let Ok(apart) = apart(&has, &wants, file.bytes) else { return Ok(false) };
        if apart.here.is_empty() {
            return Ok(false);
        }
        let part = tempfile::NamedTempFile::new_in(target.parent().unwrap_or(target)).map_err(failed)?;
        let into = part.as_file();
        into.set_len(file.bytes).map_err(failed)?;
        let mut write = |at: u64, bytes: &[u8]| into.write_all_at(bytes, at);
        let (folder, from, what) = (home.join("fetched"), [from.clone()], (file.hash, file.bytes));
        let mut broken = 0;
        while let Err(e) = blobs::fetch_ranges(self.endpoint(), &folder, &from, what, &apart.lacking, &mut write, progress).await
        {
            self.goes_on([home, target], (&from[0], request), e, &mut broken).await?;
        }
        let into = into.try_clone().map_err(failed)?;
        let joined = tokio::task::spawn_blocking(move || -> std::io::Result<ContentHash> {
            let mut buffer = Vec::new();
            for (from, to, bytes) in apart.here {
                buffer.resize(bytes as usize, 0);
                old.read_exact_at(&mut buffer, from)?;
                into.write_all_at(&buffer, to)?;
            }
            let mut hasher = blake3::Hasher::new();
            (&into).rewind()?;
            hasher.update_reader(&into)?;
            Ok(ContentHash(*hasher.finalize().as_bytes()))
        });
        // Whatever the pieces claimed to be: it is the file that the manifest names, or it is copied whole.
        if joined.await.map_err(NodeError::Task)?.map_err(failed)? != file.hash {
            return Ok(false);
        }
        part.persist(target).map_err(|e| failed(e.error))?;
        Ok(true)
    }

    /// Copies a file of a given hash and size after asking for `permission`.
    ///
    /// Permission expires, so it is asked for again whenever a broken transfer resumes.
    ///
    /// # Errors
    /// [`NodeError::Refused`] if the peer says why the transfer broke off, such as a grant that was revoked meanwhile.
    pub(crate) async fn copy(
        &self,
        home: &Path,
        from: &Address,
        permission: &Request,
        what: (ContentHash, u64),
        target: &Path,
        progress: blobs::Progress<'_>,
    ) -> Result<(), NodeError> {
        self.ask(from, permission, &[]).await?;
        let (folder, sources, mut broken) = (home.join("fetched"), std::slice::from_ref(from), 0);
        while let Err(e) = blobs::fetch_from(self.endpoint(), &folder, sources, what, target, progress).await {
            self.goes_on([home, target], (from, permission), e, &mut broken).await?;
        }
        Ok(())
    }

    /// Asks for permission again after a transfer broke off, since the owner may give the reason, and waits a while.
    async fn goes_on(
        &self,
        folders: [&Path; 2],
        (from, permission): (&Address, &Request),
        e: NetError,
        broken: &mut u32,
    ) -> Result<(), NodeError> {
        if !matches!(e, NetError::Peer(_) | NetError::Unreachable { .. }) {
            return Err(full(folders).unwrap_or_else(|| e.into()));
        }
        self.ask(from, permission, &[]).await?;
        *broken += 1;
        if *broken > TRIES {
            return Err(e.into());
        }
        tracing::info!("{e}; the transfer resumes");
        tokio::time::sleep(*broken * PAUSE).await;
        Ok(())
    }

    /// Requests a peer's copy of the list of a lineage's encrypted files. The caller must check the signer.
    pub(crate) async fn sealed(&self, from: &Address, request: &Request) -> Result<Envelope, NodeError> {
        match self.ask(from, request, &[]).await? {
            Reply::Sealed(envelope) => Ok(*envelope),
            _ => Err(unexpected("the requested reply")),
        }
    }

    /// Requests a peer's copy of an owner's list of revoked grants. The caller must check the signer.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn revocations(&self, from: &Address, owner: PeerId) -> Result<Envelope, NodeError> {
        match self.ask(from, &Request::Revocations { owner }, &[]).await? {
            Reply::Revocations(envelope) => Ok(*envelope),
            _ => Err(unexpected("the requested reply")),
        }
    }

    /// Returns the path of a dataset's mock rows, fetched once and kept in `home`.
    ///
    /// # Errors
    /// [`NodeError::Refused`] if the peer does not give them.
    pub async fn mock(&self, home: &Path, to: &Address, offer: &Offer) -> Result<PathBuf, NodeError> {
        let Some(mock) = &offer.manifest.body().mock else {
            return Err(NodeError::NoMock);
        };
        let target = home.join(format!("mocks/{}.parquet", mock.hash));
        if !target.exists() {
            self.ask(to, &Request::Mock { dataset: offer.manifest.id(), grant: self.grant().to_owned() }, &[]).await?;
            tidegate_files::create_folder(home.join("mocks")).map_err(|e| file_error(home, e))?;
            let (folder, from, what) = (home.join("fetched"), std::slice::from_ref(to), (mock.hash, mock.bytes));
            blobs::fetch_from(self.endpoint(), &folder, from, what, &target, &mut |_| ControlFlow::Continue(())).await?;
        }
        Ok(target)
    }

    /// Fetches a blob by its hash from a peer that lets this party have it.
    ///
    /// # Errors
    /// [`NodeError::Net`].
    pub async fn fetch_blob(
        &self,
        home: &Path,
        from: &Address,
        hash: ContentHash,
        target: &Path,
        progress: blobs::Progress<'_>,
    ) -> Result<(), NodeError> {
        blobs::fetch(self.endpoint(), &home.join("fetched"), from, hash, target, progress).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_s_files_go_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let file = |table: Option<&str>, name: &str| DataFile {
            name: name.into(),
            table: table.map(str::to_owned),
            bytes: 1,
            hash: ContentHash([0; 32]),
        };
        assert_eq!(placed(dir.path(), &file(None, "a.csv")).unwrap(), dir.path().join("a.csv"));
        assert_eq!(placed(dir.path(), &file(Some("visits"), "a.csv")).unwrap(), dir.path().join("visits/a.csv"));
        assert_eq!(placed(dir.path(), &file(None, "year=2021/a.csv")).unwrap(), dir.path().join("year=2021/a.csv"));
        let alike = [dir.path().join("a"), dir.path().join("b"), dir.path().join("a")];
        assert!(apart_from_each_other(alike[..2].iter().map(PathBuf::as_path)).is_ok());
        assert!(apart_from_each_other(alike.iter().map(PathBuf::as_path)).is_err());
        for bad in ["", ".", "..", "../a", "/etc/passwd", "a/../b", "a//b", "a/", "a\\b", ".ssh", "a\0b"] {
            assert!(placed(dir.path(), &file(None, bad)).is_err(), "{bad:?}");
            assert!(placed(dir.path(), &file(Some(bad), "a.csv")).is_err(), "{bad:?}");
        }
        let nowhere = full([Path::new("/nowhere"), Path::new("/nowhere/a")]);
        assert!(nowhere.is_none());
    }
}
