//! Datasets that this node holds for other owners.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError, atomic::AtomicBool},
    time::Instant,
};

use tidegate_catalog::dataset::Dataset;
use tidegate_protocol::{ContentHash, grant};

use crate::{
    NodeError,
    client::Buyer,
    home::Home,
    owner::leases::store::{self, Held},
};

/// A dataset held for its owner.
#[derive(Debug)]
pub(in crate::owner) struct Holding {
    pub(in crate::owner) held: Held,
    /// Revocation ids of the grant to hold the dataset.
    pub(in crate::owner) own: Vec<String>,
    /// Lease that the owner has confirmed, since the node started, as still this node's.
    pub(super) confirmed: Option<ContentHash>,
    /// Whether a job did not fit into the rest of the lease.
    pub(super) short: bool,
    /// Time of the last renewal caused by `short`.
    pub(super) renewed: Option<Instant>,
    /// Whether the owner has published another version, which is not here.
    pub(super) outdated: bool,
}

/// All held datasets, by dataset lineage (`population`).
#[derive(Debug, Default)]
pub(in crate::owner) struct Holdings {
    pub(super) all: Mutex<BTreeMap<ContentHash, Holding>>,
    /// Wakes `tend_leases` before its next regular check.
    pub(in crate::owner) wake: tokio::sync::Notify,
    /// Client for requests to owners.
    pub(in crate::owner) buyer: OnceLock<Buyer>,
    /// Lock held while columns are fetched or local files are inspected.
    pub(in crate::owner) bringing: tokio::sync::Mutex<()>,
    /// Whether the node is stopping and requests nothing more.
    pub(super) parting: AtomicBool,
}

impl Holdings {
    pub(in crate::owner) fn open(home: &Home) -> Result<Self, NodeError> {
        let holding = |held: Held| {
            let own = grant::ids(&held.place.grant).unwrap_or_default();
            (held.population, Holding { held, own, confirmed: None, short: false, renewed: None, outdated: false })
        };
        let all = store::load_all(home)?.into_iter().map(holding).collect();
        Ok(Self { all: Mutex::new(all), ..Self::default() })
    }

    pub(in crate::owner) fn all(&self) -> MutexGuard<'_, BTreeMap<ContentHash, Holding>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether this node answers jobs over `dataset` for another owner.
    pub(in crate::owner) fn holds(&self, dataset: &Dataset) -> bool {
        let all = self.all();
        all.get(&dataset.manifest.body().population).is_some_and(|one| one.held.place.owner == dataset.manifest.signer())
    }
}
