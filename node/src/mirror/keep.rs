//! What a mirror holds: of each population the encrypted files, what names them, and the owner's last list of revoked grants.

use std::{
    collections::BTreeSet,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tidegate_exchange::Address;
use tidegate_protocol::{Code, ContentHash, Envelope, PeerId, Revocations, Sealed, Signed, frame::Request, grant, revocations};

use super::{
    lists,
    seal::{forget_others, get, put},
};
use crate::{
    NodeError,
    buyer::Buyer,
    file_error,
    home::{Home, by_population},
};

/// Where it comes from, and by which grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The owner.
    pub owner: PeerId,
    /// Where its node is, `did:key:…@ip:port`.
    pub at: String,
    /// The grant, which has `mirror`.
    pub grant: String,
    /// Most bytes that are held of it.
    pub most: u64,
}

/// What is held of one population.
#[derive(Debug, Clone)]
pub struct Kept {
    folder: PathBuf,
    /// Which.
    pub population: ContentHash,
    /// Where it comes from.
    pub place: Place,
    /// What is held, whole.
    pub sealed: Option<Signed<Sealed>>,
    /// The owner's last list.
    pub list: Option<Signed<Revocations>>,
}

fn all(home: &Home) -> PathBuf {
    home.path().join("mirrors")
}

/// What this party holds for others.
///
/// # Errors
/// [`NodeError`] naming the file that is damaged.
pub fn load_all(home: &Home) -> Result<Vec<Kept>, NodeError> {
    let all = by_population(&all(home)).into_iter();
    all.filter_map(|(population, folder)| load(folder, population).transpose()).collect()
}

fn load(folder: PathBuf, population: ContentHash) -> Result<Option<Kept>, NodeError> {
    let path = folder.join("place.json");
    let Some(text) = get(&path)? else { return Ok(None) };
    let place: Place = serde_json::from_str(&text).map_err(|e| file_error(&path, e))?;
    let document = |name: &str| -> Result<Option<Envelope>, NodeError> {
        Ok(get(&folder.join(name))?.map(|text| Envelope::from_canonical(text.as_bytes())).transpose()?)
    };
    let sealed = document("sealed.json")?.map(|e| opened(e, &place.owner, &population)).transpose()?;
    let list = document("revocations.json")?.map(|e| lists::opened(e, &place.owner)).transpose()?;
    Ok(Some(Kept { folder, population, place, sealed, list }))
}

/// What names encrypted files, signed by `owner`.
pub(super) fn opened(envelope: Envelope, owner: &PeerId, population: &ContentHash) -> Result<Signed<Sealed>, NodeError> {
    let sealed = Signed::<Sealed>::open(envelope)?;
    if sealed.signer() != *owner || sealed.body().population != *population {
        return Err(NodeError::Unverified("the encrypted files are another owner's, or of another population".into()));
    }
    sealed.body().check().map_err(|field| NodeError::Unverified(format!("what names the encrypted files: `{field}`")))?;
    Ok(sealed)
}

/// Begins to hold what a grant says, of whom it says; nothing is copied yet.
///
/// # Errors
/// [`NodeError`] where it is no grant of that owner.
pub fn begin(home: &Home, owner: &Address, token: &str, most: u64) -> Result<Kept, NodeError> {
    let shown = grant::show(token, None).map_err(|e| NodeError::File(format!("--grant: {e}")))?;
    if shown.owner.as_deref() != Some(&owner.peer.did()) {
        return Err(NodeError::File(format!("the grant is not {}'s", owner.peer)));
    }
    let population = shown.population.and_then(|text| text.parse::<ContentHash>().ok());
    let population = population.ok_or_else(|| NodeError::File("--grant: it names no population".into()))?;
    let place = Place { owner: owner.peer, at: owner.to_string(), grant: token.trim().to_owned(), most };
    let folder = all(home).join(population.to_string());
    let text = serde_json::to_vec(&place).map_err(|e| NodeError::File(e.to_string()))?;
    put(&folder.join("place.json"), &text)?;
    load(folder.clone(), population)?.ok_or_else(|| file_error(&folder, "is gone again"))
}

/// Holds nothing of a population any more.
///
/// # Errors
/// [`NodeError`] where nothing of it is held.
pub fn forget(home: &Home, population: &ContentHash) -> Result<(), NodeError> {
    let folder = all(home).join(population.to_string());
    fs::remove_dir_all(&folder).map_err(|e| file_error(&folder, e))
}

impl Kept {
    /// Where the encrypted file of this hash lies.
    pub fn file(&self, hash: &ContentHash) -> PathBuf {
        self.folder.join(format!("{hash}.age"))
    }

    /// Where the owner's node is.
    ///
    /// # Errors
    /// [`NodeError`] where the record is damaged.
    pub fn owner(&self) -> Result<Address, NodeError> {
        self.place.at.parse().map_err(|e| file_error(&self.folder, e))
    }

    /// Takes a list, where it is later than the one that is here.
    ///
    /// # Errors
    /// [`NodeError`] where it cannot be kept.
    pub fn hear(&mut self, list: Signed<Revocations>) -> Result<bool, NodeError> {
        if let Some(last) = &self.list {
            let (new, old) = (list.body(), last.body());
            if new.number == old.number && new.digest != old.digest {
                tracing::error!("{} tells two lists of {} revocations that differ", self.place.owner, new.number);
            }
            if new.order() <= old.order() {
                return Ok(false);
            }
        }
        put(&self.folder.join("revocations.json"), &list.envelope().to_canonical()?)?;
        self.list = Some(list);
        Ok(true)
    }

    /// Asks the owner for what is new, and copies it. `home` is where parts of files wait to be whole. Says whether there was another version.
    ///
    /// # Errors
    /// [`NodeError`]; what was held before stays, and what came stays for the next time.
    pub async fn refresh(
        &mut self,
        home: &Home,
        buyer: &Buyer,
        report: &mut (dyn FnMut(&str, u64, u64) -> ControlFlow<()> + Send),
    ) -> Result<bool, NodeError> {
        let owner = self.owner()?;
        self.hear(lists::opened(buyer.revocations(&owner, owner.peer).await?, &owner.peer)?)?;
        let known = self.sealed.as_ref().map(Signed::id);
        let request = Request::Sealed { population: self.population, grant: self.place.grant.clone(), known };
        let sealed = match buyer.sealed(&owner, &request).await {
            // What is held was retired, or superseded by what nobody may mirror.
            Err(NodeError::Refused(refusal)) if matches!(refusal.code, Code::Policy | Code::NotFound) => {
                self.withdraw()?;
                return Err(NodeError::Refused(refusal));
            }
            sealed => opened(sealed?, &owner.peer, &self.population)?,
        };
        if self.sealed.as_ref().is_some_and(|held| held.body().order() >= sealed.body().order()) {
            return Ok(false);
        }
        let bytes = sealed.body().all().fold(0_u64, |sum, file| sum.saturating_add(file.bytes));
        if bytes > self.place.most {
            return Err(NodeError::File(format!(
                "the encrypted files have {bytes} bytes, and {} are held at most: say more with --most-mib",
                self.place.most >> 20
            )));
        }
        // Of what is here already, nothing is asked for; of this, permission.
        let permission = Request::Sealed { population: self.population, grant: self.place.grant.clone(), known: None };
        for (i, file) in sealed.body().all().enumerate() {
            let target = self.file(&file.hash);
            if target.exists() {
                continue;
            }
            let name = if i == 0 { "index".to_owned() } else { format!("file {i}") };
            let mut progress = |done| report(&name, done, file.bytes);
            // No more than the owner signed, whatever its hash is of.
            buyer.copy(home.path(), &owner, &permission, (file.hash, file.bytes), &target, &mut progress).await?;
        }
        put(&self.folder.join("sealed.json"), &sealed.envelope().to_canonical()?)?;
        let before = self.sealed.replace(sealed);
        let held: BTreeSet<_> = before.iter().chain(&self.sealed).flat_map(|s| s.body().all()).map(|file| file.hash).collect();
        forget_others(&self.folder, &held);
        Ok(true)
    }

    /// Serves nothing of it any more; the encrypted files stay for a version that has some of them too.
    fn withdraw(&mut self) -> Result<(), NodeError> {
        let path = self.folder.join("sealed.json");
        self.sealed = None;
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(file_error(&path, e)),
            _ => Ok(()),
        }
    }

    /// How an owner's list has what is held here, where it was retired.
    pub fn retired_as(&self) -> Vec<String> {
        let versions = self.sealed.iter().map(|sealed| revocations::of_version(&sealed.body().manifest));
        versions.chain([revocations::of_population(&self.population)]).collect()
    }

    /// The files that are held, and where.
    pub fn files(&self) -> impl Iterator<Item = (ContentHash, PathBuf)> + '_ {
        self.sealed.iter().flat_map(|sealed| sealed.body().all()).map(|file| (file.hash, self.file(&file.hash)))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
