//! What an owner's node holds while it runs.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tidegate_catalog::{dataset::Proven, listings::Catalogue};
use tidegate_exchange::blobs::Served;
use tidegate_ledger::Store;
use tidegate_lockdown as lockdown;
use tidegate_protocol::{ContentHash, Identity};

use crate::{
    home::Home,
    mirror::lists,
    owner::{
        access::{offered::Offered, pseudonyms::Parties, rate_limit, salts::Salts},
        drain::Drain,
        jobs::{queue, single_flight},
        leases::holdings::Holdings,
        versions::Versions,
        witnesses::Witnesses,
    },
    worker::Workers,
};

/// An owner's node.
pub struct Provider {
    pub(in crate::owner) home: Home,
    pub(in crate::owner) identity: Identity,
    pub(in crate::owner) store: Arc<Store>,
    pub(in crate::owner) parties: Parties,
    pub(in crate::owner) salts: Salts,
    /// Versions of all datasets; callers ask [`Provider::in_force`] before they act on a version.
    pub(in crate::owner) versions: Versions,
    /// Checks of dataset files against what was published.
    pub(in crate::owner) proven: Arc<Proven>,
    /// Listings of this owner and of others.
    pub(in crate::owner) catalogue: Arc<Catalogue>,
    pub(in crate::owner) served: Arc<Served>,
    pub(in crate::owner) slots: queue::Slots,
    pub(in crate::owner) turns: single_flight::Turns,
    pub(in crate::owner) drain: Drain,
    pub(in crate::owner) refused: rate_limit::Hourly,
    pub(in crate::owner) fetched: rate_limit::Hourly,
    /// Files offered to each peer, with the party's name in the log.
    pub(in crate::owner) offered: Mutex<Offered>,
    pub(in crate::owner) witnesses: Witnesses,
    /// Lock for cutting a file into pieces, a single file at a time.
    pub(in crate::owner) cutting: tokio::sync::Mutex<()>,
    /// Revocation lists for mirrors.
    pub(in crate::owner) lists: lists::Own,
    /// Datasets held by this node for other owners.
    pub(in crate::owner) holdings: Holdings,
    /// Lifetime of a lease.
    pub(in crate::owner) leases_last: Duration,
    pub(in crate::owner) build: tokio::sync::OnceCell<ContentHash>,
    pub(in crate::owner) workers: Workers,
    /// Sandbox layers in force around the workers.
    pub(in crate::owner) walls: lockdown::Standing,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Provider({})", self.identity.id())
    }
}
