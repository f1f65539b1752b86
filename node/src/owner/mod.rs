//! Owner's side of a job: admit → reserve → run → release → log → reply at a public release time.
//!
//! [`submit`] handles a job up to its reservation, [`run`] from there to its durable receipt; [`clock`] defines when any of it
//! may be seen.

use crate::owner::access::access_log;
use crate::owner::access::rate_limit;
use crate::owner::jobs::queue;
use crate::owner::jobs::single_flight;
use crate::owner::leases::holdings;

use std::{
    future::Future,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use tidegate_audit::log;
use tidegate_catalog::{dataset::Proven, listings::Catalogue};
use tidegate_exchange::{
    Handler,
    blobs::{ByteRange, Served},
};
use tidegate_lockdown as lockdown;
use tidegate_protocol::{
    Code, ContentHash, Listing, PeerId, Refusal, Signed,
    frame::{Published, Reply, Request},
    grant::{Action, Presented},
    lease, limits,
    listing::Reached,
    manifest::DataFile,
    policy::Access,
    receipt::Party,
    revocations,
};

use tokio_util::sync::CancellationToken;

use crate::owner::versions::{InForce, Versions};

use crate::{
    NodeError,
    discovery::sync,
    fault,
    home::Home,
    mirror::lists,
    owner::{
        access::{
            pseudonyms::Parties,
            salts::{self, Salts},
        },
        jobs::registry,
    },
    worker::{self, Workers},
};

pub mod access;
pub mod budget;
mod config;
mod descriptors;
mod drain;
mod health;
mod in_force;
pub mod jobs;
pub mod leases;
mod mirrors;
mod node;
pub mod pace;
mod parts;
pub mod publish;
mod refusals;
mod requests;
pub mod retire;
pub(crate) mod spool;
mod state;
pub mod survey;
mod versions;
pub(crate) mod witnesses;

pub(crate) use refusals::broken;
use refusals::{not_logged, unavailable};

pub use config::OwnerConfig;
pub use node::OwnerNode;
pub use parts::{Failed, Part};
pub use state::Provider;

pub use crate::owner::jobs::queue::Wishes;
pub use crate::owner::witnesses::{Known, remembered};

/// Offers a file to the peers that may have it.
///
/// A file that has changed since its publication, perhaps a file of an earlier version, is not sent to anybody; the others are.
async fn offer(served: &Served, path: &Path, file: &DataFile) {
    if let Err(e) = served.add(path, file.hash).await {
        tracing::error!("{e}: the file will not be sent");
    }
}

impl Provider {
    /// Takes no new job from now on, and waits until running jobs are settled and their replies are taken.
    ///
    /// Replies are waited for only for a limited time.
    pub async fn drain(&self) {
        self.drain.end().await;
    }

    /// Opens an owner's node, which runs as many jobs as the owner wishes, in `workers` with these sandbox layers in force.
    ///
    /// Jobs interrupted by a crash wait for [`Provider::recover`].
    ///
    /// # Errors
    /// Returns [`NodeError`].
    pub async fn open(
        home: Home,
        served: Arc<Served>,
        catalogue: Arc<Catalogue>,
        wishes: Wishes,
        known: Vec<Known>,
        (workers, walls): (Workers, lockdown::Standing),
    ) -> Result<Self, NodeError> {
        let identity = home.identity()?;
        let store = Arc::new(access_log::open_store(&home, &identity).await?);
        spool::take(&home, &store)?;
        let (parties, salts) = (Parties::open(&home)?, Salts::open(&home, salts::SUMS)?);
        let (holdings, me) = (holdings::Holdings::open(&home)?, identity.id());
        let mut datasets = tidegate_catalog::dataset::load_all(&home.datasets())?;
        datasets.retain(|dataset| dataset.manifest.signer() == me || holdings.holds(dataset));
        let versions = Versions::of(datasets, &store)?;
        let proven = Arc::new(Proven::default());
        for dataset in versions.answering(&store) {
            let (manifest, policy, record) = (dataset.manifest(), dataset.policy(), dataset.record());
            // A dataset held for another owner may be here only as columns and is checked when a job arrives; peers copy it from
            // its owner.
            let own = manifest.signer() == me;
            if let Err(e) = if own { proven.check(dataset.dataset()) } else { Ok(()) } {
                tracing::error!("{}: rejecting its jobs: {e}", manifest.body().name);
            }
            if let (Some(path), Some(file)) = (&record.mock, &manifest.body().mock) {
                offer(&served, path, file).await;
            }
            if !own || policy.replicate != Access::Granted {
                continue;
            }
            for (path, file) in record.files.iter().zip(&record.content.published) {
                offer(&served, path, file).await;
            }
            // Leaseholders may fetch single columns of the files that jobs read.
            if policy.hold == Access::Granted {
                for (path, file) in record.compute.iter().zip(record.content.computed()) {
                    offer(&served, path, file).await;
                }
            }
        }
        registry::clear(&home);
        let most = versions.answering(&store).map(|d| worker::memory(d.policy())).max().unwrap_or_default();
        let caps = queue::Caps::of(wishes, queue::Machine::this(), most);
        descriptors::suffice(
            caps.jobs(),
            versions.answering(&store).map(|d| d.record().compute.len()).max().unwrap_or_default(),
        )?;
        let (slots, turns) = (queue::Slots::new(caps), single_flight::Turns::default());
        let (refused, fetched) =
            (rate_limit::Hourly::new(limits::REFUSALS_PER_HOUR), rate_limit::Hourly::new(limits::FETCHES_PER_HOUR));
        let walls = if fault::named("no-walls") { lockdown::Standing::default() } else { walls };
        let offered = Mutex::default();
        let (build, witnesses) = (tokio::sync::OnceCell::new(), witnesses::Witnesses::of(known)?);
        Ok(Self {
            home,
            identity,
            store,
            parties,
            salts,
            versions,
            proven,
            catalogue,
            served,
            slots,
            turns,
            drain: drain::Drain::default(),
            refused,
            fetched,
            offered,
            witnesses,
            cutting: tokio::sync::Mutex::new(()),
            lists: lists::Own::lasting(wishes.revocations_last.unwrap_or(revocations::LIFETIME)),
            holdings,
            leases_last: wishes.leases_last.unwrap_or(lease::LIFETIME),
            build,
            workers,
            walls,
        })
    }

    /// Asks the owner's witnesses over `endpoint` what they saw of its log, before anything is served.
    ///
    /// # Errors
    /// Returns [`NodeError`] if a witness saw a longer or a different log: budget spent since then would be spent again.
    pub async fn meet_witnesses(&self, endpoint: tidegate_exchange::Endpoint) -> Result<(), NodeError> {
        self.reach_owners(endpoint.clone());
        self.witnesses.connect(endpoint);
        self.witnesses.meet(&self.store).await
    }

    /// Builds the public listings of this owner's datasets.
    pub fn own_listings(&self, reached: &Reached) -> Vec<Signed<Listing>> {
        let newest = self.versions.answering(&self.store).filter(|d| d.policies().1.is_none() && self.is_own(*d));
        sync::own(newest.map(|d| (d.manifest(), d.policy())), &self.identity, reached)
    }

    /// Lists the datasets visible to `peer`: the newest version of each, and earlier versions not retired.
    fn listings(&self, peer: PeerId, token: &str) -> Vec<Published> {
        let token = Presented::read(token);
        let shown = self.versions.kept(&self.store).filter(|d| self.admits(*d, peer, &token, Action::List, &Action::ALL).is_ok());
        // A dataset held for another owner is shown with that owner's lease.
        let published = |d: InForce<'_>| Some(d.published(self.lease_for(d).ok()?.map(|taken| taken.envelope)));
        shown.filter_map(published).collect()
    }

    /// Lets `peer` fetch a dataset's mock rows.
    fn mock(&self, peer: PeerId, dataset: ContentHash, token: &str) -> Result<Reply, Refusal> {
        let dataset = self.in_force(&dataset)?;
        self.admits(dataset, peer, &Presented::read(token), Action::Rehearse, &[Action::Compute])?;
        let none = || {
            Refusal::new(Code::NotFound, "this dataset has no mock rows")
                .fix("Rehearse on your own rows, with --mock FILE --policy FILE")
        };
        let mock = dataset.manifest().body().mock.as_ref().ok_or_else(none)?;
        self.served.access().allow_freely(peer, [mock.hash]);
        self.still_in_force(dataset)?;
        Ok(Reply::Replicating)
    }

    /// Returns the log's name for `peer` in entries about this dataset.
    fn party(&self, dataset: InForce<'_>, peer: PeerId) -> Result<Party, Refusal> {
        self.parties.name(dataset.policy(), peer).map_err(unavailable)
    }

    /// Returns the log's name for the holder of the presented grant if this is not `peer`.
    fn holder(&self, dataset: InForce<'_>, peer: PeerId, holder: PeerId) -> Result<Option<Party>, Refusal> {
        if holder == peer { Ok(None) } else { self.party(dataset, holder).map(Some) }
    }

    async fn log_file(&self, path: &str) -> Result<String, Refusal> {
        if !log::is_log_path(path) {
            return Err(Refusal::new(Code::BadRequest, "not a path of the log").at("path"));
        }
        // Asynchronous, so that other requests are answered while the disk is busy.
        let bytes = tokio::fs::read(self.store.log_folder().join(path)).await;
        bytes.map(|b| STANDARD.encode(b)).map_err(|_| Refusal::new(Code::NotFound, "no such log file").at("path"))
    }
}

impl Handler for Provider {
    fn fetching<'a>(
        &'a self,
        peer: PeerId,
        parts: Vec<(ContentHash, Vec<ByteRange>)>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(self.fetch_is_logged(peer, parts))
    }

    fn expects(&self, peer: PeerId, request: &Request) -> Result<(), Refusal> {
        match request {
            Request::Submit { job, grant, .. } => self.granted(peer, job.clone(), grant).map(|_| ()),
            _ => Err(Refusal::new(Code::BadRequest, "this request accepts no attachment")),
        }
    }

    fn replying(&self) -> Option<Box<dyn std::any::Any + Send>> {
        Some(self.drain.replying())
    }

    fn knows(&self, peer: PeerId, request: &Request) -> bool {
        self.shows_a_grant(peer, request)
    }

    fn handle<'a>(
        &'a self,
        peer: PeerId,
        request: Request,
        attachment: Vec<u8>,
        gone: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>> {
        Box::pin(async move {
            let reply = match request {
                Request::Listings { grant } => Ok(Reply::Listings(self.listings(peer, &grant))),
                Request::Submit { job, grant, .. } => {
                    self.submit(peer, job, &grant, attachment, gone).await.map(|d| Reply::Delivered(Box::new(d)))
                }
                Request::Mock { dataset, grant } => self.mock(peer, dataset, &grant),
                Request::Replicate { dataset, grant } => self.replicate(peer, dataset, &grant).await,
                Request::FileKey { dataset, grant } => self.file_key(peer, dataset, &grant).await,
                Request::Pieces { dataset, file, grant } => self.pieces(peer, dataset, file, &grant).await,
                Request::Sealed { population, grant, known } => self.sealed(peer, population, &grant, known).await,
                Request::Revocations { owner } => self.revocations(owner),
                Request::Lease { dataset, grant, nonce, want } => self.lease(peer, dataset, &grant, nonce, want).await,
                Request::Settle { population, settlement } => self.settle(peer, population, settlement).await,
                Request::Countersign { word } => self.countersigned(peer, word).await.map(Reply::Logged),
                Request::Replay { entry, grant } => {
                    self.replay(peer, entry, &grant).await.map(|opening| Reply::Opened(Box::new(opening)))
                }
                request @ (Request::Reconcile { .. } | Request::Catalogue { .. }) => {
                    sync::answer(&self.catalogue, request).await.map_err(unavailable)
                }
                Request::LogFile { path } => self.log_file(&path).await.map(Reply::LogFile),
                Request::AddCheckpoint { .. } | Request::LastCheckpoint { .. } => {
                    Err(Refusal::new(Code::NotFound, "this node is not a witness").fix("Ask a node that runs `tidegate witness`"))
                }
            };
            reply.unwrap_or_else(Reply::Refused)
        })
    }
}
