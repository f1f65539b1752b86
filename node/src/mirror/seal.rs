//! Owner's side: a lineage's keys, and its latest version encrypted to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use tidegate_catalog::{
    dataset::Dataset,
    sealed::{self, Keys, Padding},
};
use tidegate_protocol::{
    ContentHash, Envelope, Sealed, Signed,
    frame::Published,
    grant::Action,
    policy::{Access, Policy},
    sealed::SealedFile,
};

use crate::{
    NodeError, corrupt,
    error::{Denied, PublishError},
    file_error, gone,
    home::Home,
    owner::publish::find,
    unwritable,
};

/// Files already encrypted, by the hash of plain file and key from [`known_as`].
type Known = BTreeMap<String, SealedFile>;

/// Callback for progress: a file's name, bytes done, bytes in all.
pub type Report<'a> = &'a mut (dyn FnMut(&str, u64, u64) + Send);

fn folder(home: &Home, population: &ContentHash) -> PathBuf {
    home.path().join("sealed").join(population.to_string())
}

/// Returns the path of the encrypted file with this hash.
pub(crate) fn file(home: &Home, population: &ContentHash, hash: &ContentHash) -> PathBuf {
    folder(home, population).join(format!("{hash}.age"))
}

/// Writes `bytes` to `path`, whole or not at all, readable by this user alone.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> Result<(), NodeError> {
    let parent = path.parent().unwrap_or(path);
    let write = || -> std::io::Result<()> {
        tidegate_files::create_folder(parent)?;
        let mut file = tempfile::NamedTempFile::new_in(parent)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    write().map_err(|e| file_error(path, e))
}

/// Reads a file written by [`put`]; `None` if there is no file.
pub(crate) fn get(path: &Path) -> Result<Option<String>, NodeError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(file_error(path, e)),
    }
}

/// Returns the keys of a lineage's encrypted files, generated if there are none yet.
fn keys(home: &Home, population: &ContentHash) -> Result<Keys, NodeError> {
    let path = folder(home, population).join("keys");
    let read = || -> Result<Option<Keys>, NodeError> {
        get(&path)?.map(|text| Keys::from_text(&text)).transpose().map_err(|e| corrupt(&path, e))
    };
    if let Some(keys) = read()? {
        return Ok(keys);
    }
    tidegate_files::create_folder(folder(home, population)).map_err(|e| file_error(&path, e))?;
    let made = Keys::generate();
    // Never overwrites keys that another process made meanwhile: a grant may have them already.
    let new = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path.with_extension("new"));
    match new {
        Ok(mut file) => {
            let written = file.write_all(made.to_text().as_bytes()).and_then(|()| file.sync_all());
            let linked = written.and_then(|()| fs::hard_link(path.with_extension("new"), &path));
            drop(fs::remove_file(path.with_extension("new")));
            linked.map_err(|e| file_error(&path, e))?;
        }
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(NodeError::InUse {
                path,
                what: "another process is creating the keys: try again, or remove `keys.new` if there is no such process",
            });
        }
        Err(e) => return Err(file_error(&path, e)),
    }
    read()?.ok_or_else(|| gone(&path, " again"))
}

/// Returns the keys of a dataset's encrypted files, encrypted to a holder who may copy the files.
///
/// `None` if the policy lets nobody mirror or copy the dataset, or the grant's actions do not include copying.
///
/// # Errors
/// Returns [`NodeError`].
pub fn files_key(
    home: &Home,
    policy: &Policy,
    population: &ContentHash,
    actions: &[Action],
    holder: &tidegate_protocol::PeerId,
) -> Result<Option<String>, NodeError> {
    if policy.mirror == Access::Nobody || policy.replicate == Access::Nobody || !actions.contains(&Action::Replicate) {
        return Ok(None);
    }
    let wrapped = keys(home, population)?.wrap(holder)?;
    Ok(Some(wrapped))
}

/// Returns the document of a lineage's latest encrypted version, if there is such a version.
///
/// # Errors
/// Returns [`NodeError`] if the file there is not a signed document.
pub fn latest(home: &Home, population: &ContentHash) -> Result<Option<Signed<Sealed>>, NodeError> {
    let path = folder(home, population).join("sealed.json");
    let Some(text) = get(&path)? else { return Ok(None) };
    Ok(Some(Signed::open(Envelope::from_canonical(text.as_bytes())?)?))
}

fn known_as(plain: &ContentHash, key: &str) -> String {
    ContentHash::of(format!("{plain} under {key}").as_bytes()).to_string()
}

/// Encrypts a dataset's latest version for mirrors.
///
/// Files already encrypted under the key in use are left as they are; files that nobody may copy, within the same version only.
/// With `new_key`, the files are encrypted under a fresh key: grants given before open none of them.
///
/// # Errors
/// Returns [`NodeError`]; mirrors go on with what there was before.
pub fn seal(home: &Home, name: &str, new_key: bool, report: Report<'_>) -> Result<(Dataset, Signed<Sealed>), NodeError> {
    let identity = home.identity()?;
    let dataset = find(home, name)?;
    let (manifest, policy) = (dataset.manifest.body(), dataset.policy.body());
    if policy.mirror == Access::Nobody {
        return Err(Denied::Mirror.into());
    }
    let padding = match (policy.replicate, policy.files.max_bytes) {
        (Access::Nobody, Some(most)) => Padding::To(most),
        (Access::Nobody, None) => return Err(Denied::Unbounded.into()),
        (Access::Granted | Access::Anybody, _) => Padding::Rounded,
    };
    let population = manifest.population;
    let mut keys = keys(home, &population)?;
    if new_key {
        keys = keys.renewed();
        put(&folder(home, &population).join("keys"), keys.to_text().as_bytes())?;
    }
    // If nobody may copy the files, mirrors must not see whether they are the same as each other, or as in the version before.
    let in_use = |place: usize| match policy.replicate {
        Access::Nobody => format!("{} for {place} of {}", keys.in_use(), dataset.manifest.id()),
        Access::Granted | Access::Anybody => keys.in_use(),
    };
    let path = folder(home, &population).join("known.json");
    let before = get(&path)?.map(|text| serde_json::from_str::<Known>(&text)).transpose().map_err(|e| corrupt(&path, e))?;
    let (before, mut known) = (before.unwrap_or_default(), Known::new());
    let encrypt = |from: &mut dyn std::io::Read, padding: Padding, progress: &mut dyn FnMut(u64)| {
        let mut part = tempfile::NamedTempFile::new_in(folder(home, &population)).map_err(|e| file_error(&path, e))?;
        let made = sealed::seal(&keys, &mut { from }, padding, part.as_file_mut(), progress);
        let made = made?;
        let to = file(home, &population, &made.hash);
        part.as_file().sync_all().and_then(|()| part.persist(&to).map_err(|e| e.error)).map_err(|e| file_error(&to, e))?;
        Ok::<_, NodeError>(made)
    };
    let mut files = Vec::new();
    for (place, (from, plain)) in dataset.record.files.iter().zip(&dataset.record.content.published).enumerate() {
        let name = known_as(&plain.hash, &in_use(place));
        let made = match before.get(&name).filter(|made| file(home, &population, &made.hash).exists()) {
            Some(made) => *made,
            None => {
                let mut hashing =
                    Checked { file: fs::File::open(from).map_err(|e| file_error(from, e))?, hasher: blake3::Hasher::new() };
                let made = encrypt(&mut hashing, padding, &mut |done| report(&plain.name, done, plain.bytes))?;
                if ContentHash(*hashing.hasher.finalize().as_bytes()) != plain.hash {
                    return Err(NodeError::Changed { path: from.clone(), since: "it was published" });
                }
                made
            }
        };
        known.insert(name, made);
        files.push(made);
    }
    let index =
        Published { manifest: dataset.record.manifest.clone(), policy: dataset.record.policy.clone(), lease: None, newest: None };
    let index = serde_json::to_vec(&index).map_err(NodeError::Encode)?;
    // It has nothing of the rows but what the manifest has.
    let index = encrypt(&mut &*index, Padding::Rounded, &mut |_| {})?;
    let body = Sealed {
        version: 1,
        population,
        manifest: dataset.manifest.id(),
        grant_key: manifest.grant_key.clone(),
        issued: jiff::Timestamp::now().to_string(),
        index,
        files,
    };
    body.check().map_err(|field| PublishError::Sealed { field })?;
    let (signed, before) = (Signed::sign(body, &identity)?, latest(home, &population)?);
    put(&path, &serde_json::to_vec(&known).map_err(|e| unwritable(&path, e))?)?;
    put(&folder(home, &population).join("sealed.json"), &signed.envelope().to_canonical()?)?;
    // Files of the previous version may be under way to somebody; files of earlier versions are not.
    let kept = before.iter().chain([&signed]).flat_map(|sealed| sealed.body().all()).map(|file| file.hash).collect();
    forget_others(&folder(home, &population), &kept);
    Ok((dataset, signed))
}

/// Removes encrypted files not in `kept`.
pub(super) fn forget_others(folder: &Path, kept: &BTreeSet<ContentHash>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.strip_suffix(".age").and_then(|hash| hash.parse().ok()).is_some_and(|hash| !kept.contains(&hash)) {
            drop(fs::remove_file(entry.path()));
        }
    }
}

/// File reader with a running hash of the bytes read.
struct Checked {
    file: fs::File,
    hasher: blake3::Hasher,
}

impl std::io::Read for Checked {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(buf)?;
        self.hasher.update(&buf[..read]);
        Ok(read)
    }
}
