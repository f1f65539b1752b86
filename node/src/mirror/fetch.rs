//! Grantee's side: encrypted files, fetched from any holder and decrypted with the keys from the grant.

use std::{fs, ops::ControlFlow, path::Path};

use tidegate_catalog::sealed::{self, Keys};
use tidegate_exchange::{Address, blobs};
use tidegate_protocol::{
    ContentHash, Identity, Sealed, Signed,
    frame::{Published, Request},
    grant, limits,
    manifest::{self, DataFile},
};

use crate::{
    NodeError,
    buyer::fetch::{Copied, Report, apart_from_each_other, placed},
    client::{Buyer, Offer},
    error::{Denied, GrantError, Unverified},
    file_error,
    mirror::keep,
};

/// Contents of a grant for encrypted files.
struct Granted<'a> {
    token: &'a str,
    owner: tidegate_protocol::PeerId,
    population: ContentHash,
    keys: Keys,
}

fn granted<'a>(token: &'a str, me: &Identity) -> Result<Granted<'a>, NodeError> {
    let shown = grant::show(token, None).map_err(|e| GrantError::Unreadable(Box::new(e)))?;
    let owner = shown.owner.and_then(|owner| owner.parse().ok()).ok_or(GrantError::NoOwner)?;
    let population = shown.population.and_then(|text| text.parse().ok()).ok_or(GrantError::NoPopulation)?;
    let key = shown.files_key.ok_or(GrantError::NoKeys)?;
    let keys = Keys::unwrap(&key, me).map_err(GrantError::Keys)?;
    Ok(Granted { token, owner, population, keys })
}

/// Encrypts the keys of encrypted files from this party's grant to another party.
///
/// # Errors
/// Returns [`NodeError`] if the keys are not this party's.
pub fn pass_on(token: &str, me: &Identity, to: &tidegate_protocol::PeerId) -> Result<Option<String>, NodeError> {
    let shown = grant::show(token, None).map_err(|e| GrantError::Unreadable(Box::new(e)))?;
    if shown.files_key.is_none() {
        return Ok(None);
    }
    let Granted { keys, .. } = granted(token, me)?;
    Ok(keys.wrap(to).map(Some)?)
}

impl Buyer {
    /// Copies a dataset's files into `folder` out of their encrypted form.
    ///
    /// Each file comes from as many of `sources` as have it: the owner, and mirrors. Whatever a source has wrong, the others
    /// send.
    ///
    /// # Errors
    /// Returns [`NodeError`] naming each source's answer if none has the files; nothing half-written appears.
    pub async fn fetch_sealed(
        &self,
        home: &Path,
        sources: &[Address],
        (name, token): (&str, &str),
        folder: &Path,
        progress: Report<'_>,
    ) -> Result<(Offer, Vec<Copied>), NodeError> {
        let granted = granted(token, self.identity())?;
        let (sealed, mut from) = self.latest(sources, &granted).await?;
        if from.len() < sources.len() {
            tracing::warn!("{} of {} sources have the latest version", from.len(), sources.len());
        }
        fs::create_dir_all(folder).map_err(|e| file_error(folder, e))?;
        let folder = folder.canonicalize().map_err(|e| file_error(folder, e))?;
        let waiting = home.join("fetched");
        tidegate_files::create_folder(&waiting).map_err(|e| file_error(&waiting, e))?;
        let index = sealed.body().index;
        let at = waiting.join(format!("{}.index", index.hash));
        blobs::fetch_from(self.endpoint(), &waiting, &from, (index.hash, index.bytes), &at, &mut |_| ControlFlow::Continue(()))
            .await?;
        let offer = self.index(&at, &sealed, &granted);
        drop(fs::remove_file(&at));
        let offer = offer?;
        if name != offer.manifest.body().name && name != offer.manifest.id().to_string() {
            let (is, version) = (offer.manifest.body().name.clone(), offer.manifest.id());
            return Err(GrantError::OtherName { is, version, name: name.to_owned() }.into());
        }
        let content = offer.manifest.body().files.plain().ok_or(Denied::OpenSealed)?;
        let targets = content.published.iter().map(|file| placed(&folder, file)).collect::<Result<Vec<_>, _>>()?;
        apart_from_each_other(targets.iter().map(std::path::PathBuf::as_path))?;
        let mut fetched = Vec::new();
        for (file, sealed_file) in content.published.iter().zip(&sealed.body().files) {
            let target = placed(&folder, file)?;
            let mut came = 0;
            let mut report = |bytes| {
                came = bytes;
                progress(&file.name, bytes, sealed_file.bytes)
            };
            let at = waiting.join(format!("{}.age", sealed_file.hash));
            if !at.exists() {
                // Permission runs out, and the files before this may have taken long.
                if !fetched.is_empty() {
                    from = self.holders(&from, &granted, &sealed.id()).await?;
                }
                blobs::fetch_from(self.endpoint(), &waiting, &from, (sealed_file.hash, sealed_file.bytes), &at, &mut report)
                    .await?;
            }
            let (keys, into, of) = (granted.keys.clone(), target.clone(), file.clone());
            let opening = tokio::task::spawn_blocking(move || {
                let opened = open(&keys, &at, &into, &of);
                drop(fs::remove_file(&at));
                opened
            });
            opening.await.map_err(NodeError::Task)??;
            fetched.push(Copied { path: target, bytes: file.bytes, came });
        }
        Ok((offer, fetched))
    }

    /// Asks each source for permission, and returns each version found with its source, and why the others have nothing.
    async fn offered(&self, sources: &[Address], granted: &Granted<'_>) -> (Vec<(Signed<Sealed>, Address)>, NodeError) {
        let (mut found, mut failed) = (Vec::new(), Vec::new());
        for source in sources {
            let request = Request::Sealed { population: granted.population, grant: granted.token.to_owned(), known: None };
            let asked = self.sealed(source, &request).await;
            match asked.and_then(|envelope| keep::opened(envelope, &granted.owner, &granted.population)) {
                Ok(sealed) => found.push((sealed, source.clone())),
                Err(e) => {
                    tracing::warn!("{}: {e}", source.peer.short());
                    failed.push((source.peer, e));
                }
            }
        }
        (found, NodeError::NoSource { answers: failed })
    }

    /// Returns the latest version among the sources, and the sources of this version.
    async fn latest(&self, sources: &[Address], granted: &Granted<'_>) -> Result<(Signed<Sealed>, Vec<Address>), NodeError> {
        let (found, nobody) = self.offered(sources, granted).await;
        let last = found.iter().map(|(sealed, _)| sealed).max_by_key(|sealed| sealed.body().order()).cloned();
        let last = last.ok_or(nobody)?;
        let have = found.into_iter().filter(|(sealed, _)| sealed.id() == last.id()).map(|(_, source)| source).collect();
        Ok((last, have))
    }

    /// Returns the sources with the version `id`.
    async fn holders(&self, sources: &[Address], granted: &Granted<'_>, id: &ContentHash) -> Result<Vec<Address>, NodeError> {
        let (found, nobody) = self.offered(sources, granted).await;
        let have: Vec<_> = found.into_iter().filter(|(sealed, _)| sealed.id() == *id).map(|(_, source)| source).collect();
        if have.is_empty() { Err(nobody) } else { Ok(have) }
    }

    /// Opens manifest and policy, signed by the owner, from the encrypted index.
    fn index(&self, at: &Path, sealed: &Signed<Sealed>, granted: &Granted<'_>) -> Result<Offer, NodeError> {
        let mut bytes = Vec::new();
        let file = fs::File::open(at).map_err(|e| file_error(at, e))?;
        sealed::open(&granted.keys, file, &mut bytes, limits::INDEX_BYTES, &mut |_| {}).map_err(Unverified::SealedManifest)?;
        // The index is padded with zeros to hide its exact size.
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let published: Published = serde_json::from_slice(&bytes[..end]).map_err(Unverified::Json)?;
        let (manifest, policy) = manifest::open(published.manifest, published.policy)?;
        let whole = manifest.signer() == granted.owner
            && manifest.id() == sealed.body().manifest
            && manifest.body().population == granted.population
            && manifest.body().files.count() == sealed.body().files.len();
        if !whole {
            return Err(Unverified::OtherManifest.into());
        }
        Ok(Offer { manifest, policy, lease: None, newest: None })
    }
}

/// Decrypts a file into `target`, which appears whole and as the manifest says, or not at all.
fn open(keys: &Keys, at: &Path, target: &Path, of: &DataFile) -> Result<(), NodeError> {
    let parent = target.parent().unwrap_or(target);
    let mut part = tempfile::NamedTempFile::new_in(parent).map_err(|e| file_error(target, e))?;
    let from = fs::File::open(at).map_err(|e| file_error(at, e))?;
    let opened = sealed::open(keys, from, part.as_file_mut(), of.bytes, &mut |_| {});
    let opened = opened.map_err(|source| Unverified::SealedFile { name: of.name.clone(), source })?;
    if (opened.hash, opened.bytes) != (of.hash, of.bytes) {
        return Err(Unverified::SealedContent { name: of.name.clone() }.into());
    }
    part.as_file().sync_all().map_err(|e| file_error(target, e))?;
    part.persist(target).map_err(|e| file_error(target, e.error))?;
    Ok(())
}
