//! Holdings of a mirror: for each lineage the encrypted files, the document naming them, and the owner's last revocation list.

use std::{
    collections::BTreeSet,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tidegate_exchange::Address;
use tidegate_protocol::{Code, ContentHash, Envelope, PeerId, Revocations, Sealed, Signed, frame::Request, grant, revocations};

use crate::mirror::{
    lists,
    seal::{forget_others, get, put},
};
use crate::{
    NodeError,
    client::Buyer,
    corrupt,
    error::{GrantError, Unverified},
    file_error, gone,
    home::{Home, by_population},
};

/// Origin of a mirrored dataset, with its grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The owner.
    pub owner: PeerId,
    /// Address of the owner's node, `did:key:…@ip:port`.
    pub at: String,
    /// The grant, with the `mirror` action.
    pub grant: String,
    /// Maximum number of bytes held of the dataset.
    pub most: u64,
}

/// A dataset lineage mirrored here.
#[derive(Debug, Clone)]
pub struct Kept {
    folder: PathBuf,
    /// Dataset lineage.
    pub population: ContentHash,
    /// Origin of the dataset.
    pub place: Place,
    /// Document naming the held files, all of which are here.
    pub sealed: Option<Signed<Sealed>>,
    /// The owner's last list of revoked grants.
    pub list: Option<Signed<Revocations>>,
}

fn all(home: &Home) -> PathBuf {
    home.path().join("mirrors")
}

/// Loads the lineages mirrored by this party for others.
///
/// # Errors
/// Returns [`NodeError`] naming the damaged file.
pub fn load_all(home: &Home) -> Result<Vec<Kept>, NodeError> {
    let all = by_population(&all(home)).into_iter();
    all.filter_map(|(population, folder)| load(folder, population).transpose()).collect()
}

fn load(folder: PathBuf, population: ContentHash) -> Result<Option<Kept>, NodeError> {
    let path = folder.join("place.json");
    let Some(text) = get(&path)? else { return Ok(None) };
    let place: Place = serde_json::from_str(&text).map_err(|e| corrupt(&path, e))?;
    let document = |name: &str| -> Result<Option<Envelope>, NodeError> {
        Ok(get(&folder.join(name))?.map(|text| Envelope::from_canonical(text.as_bytes())).transpose()?)
    };
    let sealed = document("sealed.json")?.map(|e| opened(e, &place.owner, &population)).transpose()?;
    let list = document("revocations.json")?.map(|e| lists::opened(e, &place.owner)).transpose()?;
    Ok(Some(Kept { folder, population, place, sealed, list }))
}

/// Opens the document naming a lineage's encrypted files, which must be signed by `owner`.
pub(super) fn opened(envelope: Envelope, owner: &PeerId, population: &ContentHash) -> Result<Signed<Sealed>, NodeError> {
    let sealed = Signed::<Sealed>::open(envelope)?;
    if sealed.signer() != *owner || sealed.body().population != *population {
        return Err(Unverified::SealedParties.into());
    }
    sealed.body().check().map_err(|field| Unverified::SealedField { field })?;
    Ok(sealed)
}

/// Begins to mirror the lineage of a grant from `owner`; nothing is copied yet.
///
/// # Errors
/// Returns [`NodeError`] if the grant is not that owner's.
pub fn begin(home: &Home, owner: &Address, token: &str, most: u64) -> Result<Kept, NodeError> {
    let shown = grant::show(token, None).map_err(|e| GrantError::Unreadable(Box::new(e)))?;
    if shown.owner.as_deref() != Some(&owner.peer.did()) {
        return Err(GrantError::OtherOwner { owner: owner.peer }.into());
    }
    let population = shown.population.and_then(|text| text.parse::<ContentHash>().ok());
    let population = population.ok_or(GrantError::NoPopulation)?;
    let place = Place { owner: owner.peer, at: owner.to_string(), grant: token.trim().to_owned(), most };
    let folder = all(home).join(population.to_string());
    let text = serde_json::to_vec(&place).map_err(NodeError::Encode)?;
    put(&folder.join("place.json"), &text)?;
    load(folder.clone(), population)?.ok_or_else(|| gone(&folder, " again"))
}

/// Removes everything held of a lineage.
///
/// # Errors
/// Returns [`NodeError`] if nothing of the lineage is held.
pub fn forget(home: &Home, population: &ContentHash) -> Result<(), NodeError> {
    let folder = all(home).join(population.to_string());
    fs::remove_dir_all(&folder).map_err(|e| file_error(&folder, e))
}

impl Kept {
    /// Returns the path of the encrypted file with this hash.
    pub fn file(&self, hash: &ContentHash) -> PathBuf {
        self.folder.join(format!("{hash}.age"))
    }

    /// Returns the address of the owner's node.
    ///
    /// # Errors
    /// Returns [`NodeError`] if the record is damaged.
    pub fn owner(&self) -> Result<Address, NodeError> {
        self.place.at.parse().map_err(|e| corrupt(&self.folder, e))
    }

    /// Takes a list if later than the list here, and returns whether the list was taken.
    ///
    /// # Errors
    /// Returns [`NodeError`] if the list cannot be saved.
    pub fn hear(&mut self, list: Signed<Revocations>) -> Result<bool, NodeError> {
        if let Some(last) = &self.list {
            let (new, old) = (list.body(), last.body());
            if new.number == old.number && new.digest != old.digest {
                tracing::error!("{} has signed two different lists of {} revocations", self.place.owner, new.number);
            }
            if new.order() <= old.order() {
                return Ok(false);
            }
        }
        put(&self.folder.join("revocations.json"), &list.envelope().to_canonical()?)?;
        self.list = Some(list);
        Ok(true)
    }

    /// Asks the owner for a newer list and version, copies them, and returns whether there was another version.
    ///
    /// Parts of files wait in `home` until they are whole.
    ///
    /// # Errors
    /// Returns [`NodeError`]; what was held before stays, and what came stays for the next time.
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
            // The held version was retired, or superseded by a version that nobody may mirror.
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
            return Err(NodeError::OverLimit { bytes, most: self.place.most >> 20 });
        }
        // Files already here are not asked for; for the others, this asks for permission.
        let permission = Request::Sealed { population: self.population, grant: self.place.grant.clone(), known: None };
        for (i, file) in sealed.body().all().enumerate() {
            let target = self.file(&file.hash);
            if target.exists() {
                continue;
            }
            let name = if i == 0 { "index".to_owned() } else { format!("file {i}") };
            let mut progress = |done| report(&name, done, file.bytes);
            // No more bytes than the owner signed for, whatever the hash is of.
            buyer.copy(home.path(), &owner, &permission, (file.hash, file.bytes), &target, &mut progress).await?;
        }
        put(&self.folder.join("sealed.json"), &sealed.envelope().to_canonical()?)?;
        let before = self.sealed.replace(sealed);
        let held: BTreeSet<_> = before.iter().chain(&self.sealed).flat_map(|s| s.body().all()).map(|file| file.hash).collect();
        forget_others(&self.folder, &held);
        Ok(true)
    }

    /// Stops serving the lineage; the encrypted files stay for a later version with some of the same files.
    fn withdraw(&mut self) -> Result<(), NodeError> {
        let path = self.folder.join("sealed.json");
        self.sealed = None;
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(file_error(&path, e)),
            _ => Ok(()),
        }
    }

    /// Returns the names under which an owner's list retires the version and the lineage held here.
    pub fn retired_as(&self) -> Vec<String> {
        let versions = self.sealed.iter().map(|sealed| revocations::of_version(&sealed.body().manifest));
        versions.chain([revocations::of_population(&self.population)]).collect()
    }

    /// Returns the hashes and paths of the held files.
    pub fn files(&self) -> impl Iterator<Item = (ContentHash, PathBuf)> + '_ {
        self.sealed.iter().flat_map(|sealed| sealed.body().all()).map(|file| (file.hash, self.file(&file.hash)))
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
