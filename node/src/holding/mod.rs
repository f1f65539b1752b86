//! Datasets of other owners over which this party's node answers jobs, by leases of their budgets: where each comes from, and what its owner last said of
//! revoked grants.

use std::{fs, path::PathBuf};

use serde::{Deserialize, Serialize};
use tidegate_exchange::Address;
use tidegate_protocol::{ContentHash, Cost, Envelope, PeerId, Revocations, Signed, manifest::Content};

use crate::{
    NodeError, file_error,
    home::{Home, by_population},
    mirror::{
        lists,
        seal::{get, put},
    },
};

pub mod begin;
pub mod columns;

use columns::Sparse;

/// Where a dataset comes from, and by which grant it is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The owner.
    pub owner: PeerId,
    /// Where its node is, `did:key:…@ip:port`.
    pub at: String,
    /// The grant, which has `hold`.
    pub grant: String,
    /// How much of the budget is asked for at a time.
    pub want: Cost,
    /// Whether no rows are kept but the columns that jobs have read.
    #[serde(default)]
    pub columns: bool,
}

/// What is held of one population.
#[derive(Debug, Clone)]
pub struct Held {
    folder: PathBuf,
    /// Which.
    pub population: ContentHash,
    /// Where it comes from.
    pub place: Place,
    /// The owner's last list of revoked grants.
    pub list: Option<Signed<Revocations>>,
}

fn all(home: &Home) -> PathBuf {
    home.path().join("held")
}

/// What this party holds for others.
///
/// # Errors
/// [`NodeError`] naming the file that is damaged.
pub fn load_all(home: &Home) -> Result<Vec<Held>, NodeError> {
    let all = by_population(&all(home)).into_iter();
    all.filter_map(|(population, folder)| load(folder, population).transpose()).collect()
}

fn load(folder: PathBuf, population: ContentHash) -> Result<Option<Held>, NodeError> {
    let path = folder.join("place.json");
    let Some(text) = get(&path)? else { return Ok(None) };
    let place: Place = serde_json::from_str(&text).map_err(|e| file_error(&path, e))?;
    let list = get(&folder.join("revocations.json"))?.map(|text| Envelope::from_canonical(text.as_bytes())).transpose()?;
    let list = list.map(|envelope| lists::opened(envelope, &place.owner)).transpose()?;
    Ok(Some(Held { folder, population, place, list }))
}

/// Answers no more jobs over a population; what is left of a lease is lost to its owner unless the node has given it back.
///
/// # Errors
/// [`NodeError`] where it is not held.
pub fn forget(home: &Home, population: &ContentHash) -> Result<(), NodeError> {
    let folder = all(home).join(population.to_string());
    fs::remove_dir_all(&folder).map_err(|e| file_error(&folder, e))
}

impl Held {
    /// Where the owner's node is.
    ///
    /// # Errors
    /// [`NodeError`] where the record is damaged.
    pub fn owner(&self) -> Result<Address, NodeError> {
        self.place.at.parse().map_err(|e| file_error(&self.folder, e))
    }

    /// Its files, where no more is here than the columns that jobs have read.
    pub fn sparse(&self, content: &Content) -> Option<Sparse> {
        self.place.columns.then(|| Sparse::new(&self.folder, content))
    }

    /// Takes a list, where it is later than the one that is here. Says whether it was.
    ///
    /// # Errors
    /// [`NodeError`] where it cannot be kept.
    pub fn hear(&mut self, list: Signed<Revocations>) -> Result<bool, NodeError> {
        if self.list.as_ref().is_some_and(|last| list.body().order() <= last.body().order()) {
            return Ok(false);
        }
        put(&self.folder.join("revocations.json"), &list.envelope().to_canonical()?)?;
        self.list = Some(list);
        Ok(true)
    }

    /// What the lease is called that is being asked for: the same until it was taken or refused, whatever happens to this machine meanwhile.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn nonce(&self) -> Result<String, NodeError> {
        let path = self.folder.join("asking");
        if let Some(nonce) = get(&path)? {
            return Ok(nonce);
        }
        let nonce = crate::buyer::fresh_request()?;
        put(&path, nonce.as_bytes())?;
        Ok(nonce)
    }

    /// Asks under another name from now on.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn asked(&self) -> Result<(), NodeError> {
        let path = self.folder.join("asking");
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(file_error(&path, e)),
            _ => Ok(()),
        }
    }
}
