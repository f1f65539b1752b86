//! The owner's side: a population's keys, and its latest version encrypted to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use tidegate_catalog::{
    dataset::Dataset,
    sealed::{self, Keys},
};
use tidegate_protocol::{
    ContentHash, Envelope, Sealed, Signed,
    frame::Published,
    grant::Action,
    policy::{Access, Policy},
    sealed::SealedFile,
};

use crate::{NodeError, file_error, home::Home, publish::find};

/// Which plain files are encrypted already, under which key: hashes of the one by [`known_as`].
type Known = BTreeMap<String, SealedFile>;

/// Who is told how far it is: a file's name, bytes done, bytes in all.
pub type Report<'a> = &'a mut (dyn FnMut(&str, u64, u64) + Send);

fn folder(home: &Home, population: &ContentHash) -> PathBuf {
    home.path().join("sealed").join(population.to_string())
}

/// Where the encrypted file of this hash lies.
pub(crate) fn file(home: &Home, population: &ContentHash, hash: &ContentHash) -> PathBuf {
    folder(home, population).join(format!("{hash}.age"))
}

/// Puts `bytes` at `path`, whole or not at all, for this user's eyes alone.
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

/// Reads what [`put`] wrote; `None` where there is nothing.
pub(crate) fn get(path: &Path) -> Result<Option<String>, NodeError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(file_error(path, e)),
    }
}

/// The keys of a population's encrypted files, made where there are none yet.
fn keys(home: &Home, population: &ContentHash) -> Result<Keys, NodeError> {
    let path = folder(home, population).join("keys");
    let read = || -> Result<Option<Keys>, NodeError> {
        get(&path)?.map(|text| Keys::from_text(&text)).transpose().map_err(|e| file_error(&path, e))
    };
    if let Some(keys) = read()? {
        return Ok(keys);
    }
    tidegate_files::create_folder(folder(home, population)).map_err(|e| file_error(&path, e))?;
    let made = Keys::generate();
    // Not over those that another process made meanwhile: a grant may have them already.
    let new = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path.with_extension("new"));
    match new {
        Ok(mut file) => {
            let written = file.write_all(made.to_text().as_bytes()).and_then(|()| file.sync_all());
            let linked = written.and_then(|()| fs::hard_link(path.with_extension("new"), &path));
            drop(fs::remove_file(path.with_extension("new")));
            linked.map_err(|e| file_error(&path, e))?;
        }
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(file_error(
                &path,
                "another process makes them just now: try again, or remove `keys.new` where none does",
            ));
        }
        Err(e) => return Err(file_error(&path, e)),
    }
    read()?.ok_or_else(|| file_error(&path, "is gone again"))
}

/// The keys of a dataset's encrypted files for one who may copy them, encrypted to that party; none where the policy lets nobody mirror it.
///
/// # Errors
/// [`NodeError`].
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
    let wrapped = keys(home, population)?.wrap(holder).map_err(|e| NodeError::File(e.to_string()))?;
    Ok(Some(wrapped))
}

/// A population as it is encrypted, where it is.
///
/// # Errors
/// [`NodeError`] where what lies there is nothing this owner signed.
pub fn latest(home: &Home, population: &ContentHash) -> Result<Option<Signed<Sealed>>, NodeError> {
    let path = folder(home, population).join("sealed.json");
    let Some(text) = get(&path)? else { return Ok(None) };
    Ok(Some(Signed::open(Envelope::from_canonical(text.as_bytes())?)?))
}

fn known_as(plain: &ContentHash, key: &str) -> String {
    ContentHash::of(format!("{plain} under {key}").as_bytes()).to_string()
}

/// Encrypts a dataset's latest version for mirrors; files that are encrypted already under the key in use are left as they are, those that nobody may copy within one version alone. With `new_key`, under a
/// fresh one: grants that were given before open none of it.
///
/// # Errors
/// [`NodeError`]; mirrors go on with what there was before.
pub fn seal(home: &Home, name: &str, new_key: bool, report: Report<'_>) -> Result<(Dataset, Signed<Sealed>), NodeError> {
    let identity = home.identity()?;
    let dataset = find(home, name)?;
    let (manifest, policy) = (dataset.manifest.body(), dataset.policy.body());
    if policy.mirror == Access::Nobody {
        return Err(NodeError::File(
            "policy field `access.mirror`: nobody may mirror this dataset. Publish a version whose policy says \"granted\""
                .into(),
        ));
    }
    let population = manifest.population;
    let mut keys = keys(home, &population)?;
    if new_key {
        keys = keys.renewed();
        put(&folder(home, &population).join("keys"), keys.to_text().as_bytes())?;
    }
    // Where nobody may copy the files, whether they are those of the version before is not for mirrors to see.
    let in_use = match policy.replicate {
        Access::Nobody => format!("{} for {}", keys.in_use(), dataset.manifest.id()),
        Access::Granted | Access::Anybody => keys.in_use(),
    };
    let path = folder(home, &population).join("known.json");
    let before = get(&path)?.map(|text| serde_json::from_str::<Known>(&text)).transpose().map_err(|e| file_error(&path, e))?;
    let (before, mut known) = (before.unwrap_or_default(), Known::new());
    let encrypt = |from: &mut dyn std::io::Read, progress: &mut dyn FnMut(u64)| {
        let mut part = tempfile::NamedTempFile::new_in(folder(home, &population)).map_err(|e| file_error(&path, e))?;
        let made = sealed::seal(&keys, &mut { from }, part.as_file_mut(), progress);
        let made = made.map_err(|e| NodeError::File(e.to_string()))?;
        let to = file(home, &population, &made.hash);
        part.as_file().sync_all().and_then(|()| part.persist(&to).map_err(|e| e.error)).map_err(|e| file_error(&to, e))?;
        Ok::<_, NodeError>(made)
    };
    let mut files = Vec::new();
    for (from, plain) in dataset.record.files.iter().zip(&dataset.record.content.published) {
        let name = known_as(&plain.hash, &in_use);
        let made = match before.get(&name).filter(|made| file(home, &population, &made.hash).exists()) {
            Some(made) => *made,
            None => {
                let mut hashing =
                    Checked { file: fs::File::open(from).map_err(|e| file_error(from, e))?, hasher: blake3::Hasher::new() };
                let made = encrypt(&mut hashing, &mut |done| report(&plain.name, done, plain.bytes))?;
                if ContentHash(*hashing.hasher.finalize().as_bytes()) != plain.hash {
                    return Err(file_error(from, "has changed since it was published"));
                }
                made
            }
        };
        known.insert(name, made);
        files.push(made);
    }
    let index =
        Published { manifest: dataset.record.manifest.clone(), policy: dataset.record.policy.clone(), lease: None, newest: None };
    let index = serde_json::to_vec(&index).map_err(|e| NodeError::File(e.to_string()))?;
    let index = encrypt(&mut &*index, &mut |_| {})?;
    let body = Sealed {
        version: 1,
        population,
        manifest: dataset.manifest.id(),
        grant_key: manifest.grant_key.clone(),
        issued: jiff::Timestamp::now().to_string(),
        index,
        files,
    };
    body.check().map_err(|field| NodeError::File(format!("this dataset cannot be mirrored: {field}")))?;
    let (signed, before) = (Signed::sign(body, &identity)?, latest(home, &population)?);
    put(&path, &serde_json::to_vec(&known).map_err(|e| file_error(&path, e))?)?;
    put(&folder(home, &population).join("sealed.json"), &signed.envelope().to_canonical()?)?;
    // What came before this one may be under way to somebody; what came before that is not.
    let kept = before.iter().chain([&signed]).flat_map(|sealed| sealed.body().all()).map(|file| file.hash).collect();
    forget_others(&folder(home, &population), &kept);
    Ok((dataset, signed))
}

/// Removes encrypted files that are none of these.
pub(super) fn forget_others(folder: &Path, kept: &BTreeSet<ContentHash>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.strip_suffix(".age").and_then(|hash| hash.parse().ok()).is_some_and(|hash| !kept.contains(&hash)) {
            drop(fs::remove_file(entry.path()));
        }
    }
}

/// Hashes what is read of a file.
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
