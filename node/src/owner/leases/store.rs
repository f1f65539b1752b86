//! Datasets of other owners over which this party's node answers jobs, by leases of their privacy budgets.
//!
//! Recorded here are where each dataset comes from, and its owner's last list of revoked grants.

use std::{fs, path::PathBuf};

use serde::{Deserialize, Serialize};
use tidegate_exchange::Address;
use tidegate_protocol::{ContentHash, Cost, Envelope, PeerId, Revocations, Signed, manifest::Content};

use crate::{
    NodeError, corrupt, file_error,
    home::{Home, by_population},
    mirror::{
        lists,
        seal::{get, put},
    },
};

use crate::owner::leases::sparse_file::Sparse;

/// Origin of a held dataset, with its grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The owner.
    pub owner: PeerId,
    /// Address of the owner's node, `did:key:…@ip:port`.
    pub at: String,
    /// The grant, with the `hold` action.
    pub grant: String,
    /// Amount of privacy budget to ask for at a time.
    pub want: Cost,
    /// Whether no rows are kept but the columns read by jobs.
    #[serde(default)]
    pub columns: bool,
}

/// A dataset lineage held here.
#[derive(Debug, Clone)]
pub struct Held {
    folder: PathBuf,
    /// Dataset lineage.
    pub population: ContentHash,
    /// Origin of the dataset.
    pub place: Place,
    /// The owner's last list of revoked grants.
    pub list: Option<Signed<Revocations>>,
}

pub(super) fn all(home: &Home) -> PathBuf {
    home.path().join("held")
}

/// Loads the datasets held by this party for others.
///
/// # Errors
/// Returns [`NodeError`] naming the damaged file.
pub fn load_all(home: &Home) -> Result<Vec<Held>, NodeError> {
    let all = by_population(&all(home)).into_iter();
    all.filter_map(|(population, folder)| load(folder, population).transpose()).collect()
}

pub(super) fn load(folder: PathBuf, population: ContentHash) -> Result<Option<Held>, NodeError> {
    let path = folder.join("place.json");
    let Some(text) = get(&path)? else { return Ok(None) };
    let place: Place = serde_json::from_str(&text).map_err(|e| corrupt(&path, e))?;
    let list = get(&folder.join("revocations.json"))?.map(|text| Envelope::from_canonical(text.as_bytes())).transpose()?;
    let list = list.map(|envelope| lists::opened(envelope, &place.owner)).transpose()?;
    Ok(Some(Held { folder, population, place, list }))
}

/// Ends the holding of a lineage: no more jobs are answered over its rows.
///
/// What is left of a lease is lost to its owner unless the node has given it back.
///
/// # Errors
/// Returns [`NodeError`] if the lineage is not held.
pub fn forget(home: &Home, population: &ContentHash) -> Result<(), NodeError> {
    let folder = all(home).join(population.to_string());
    fs::remove_dir_all(&folder).map_err(|e| file_error(&folder, e))
}

impl Held {
    /// Returns the address of the owner's node.
    ///
    /// # Errors
    /// Returns [`NodeError`] if the record is damaged.
    pub fn owner(&self) -> Result<Address, NodeError> {
        self.place.at.parse().map_err(|e| corrupt(&self.folder, e))
    }

    /// Returns the partial copies if no more is here than the columns read by jobs.
    pub fn sparse(&self, content: &Content) -> Option<Sparse> {
        self.place.columns.then(|| Sparse::new(&self.folder, content))
    }

    /// Takes a list if later than the list here, and returns whether the list was taken.
    ///
    /// # Errors
    /// Returns [`NodeError`] if the list cannot be saved.
    pub fn hear(&mut self, list: Signed<Revocations>) -> Result<bool, NodeError> {
        if self.list.as_ref().is_some_and(|last| list.body().order() <= last.body().order()) {
            return Ok(false);
        }
        put(&self.folder.join("revocations.json"), &list.envelope().to_canonical()?)?;
        self.list = Some(list);
        Ok(true)
    }

    /// Returns the nonce of the lease being requested.
    ///
    /// The nonce stays the same until the lease is taken or refused, whatever happens to this machine meanwhile.
    ///
    /// # Errors
    /// Returns [`NodeError`].
    pub fn nonce(&self) -> Result<String, NodeError> {
        let path = self.folder.join("asking");
        if let Some(nonce) = get(&path)? {
            return Ok(nonce);
        }
        let nonce = crate::client::fresh_request()?;
        put(&path, nonce.as_bytes())?;
        Ok(nonce)
    }

    /// Drops the current nonce: the next lease is requested under another.
    ///
    /// # Errors
    /// Returns [`NodeError`].
    pub fn asked(&self) -> Result<(), NodeError> {
        let path = self.folder.join("asking");
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(file_error(&path, e)),
            _ => Ok(()),
        }
    }
}
