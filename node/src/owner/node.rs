//! An owner's node as a whole: started, watched and stopped by the program that it is part of.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use tidegate_catalog::listings::Catalogue;
use tidegate_exchange::{
    Address, Endpoint, NetError, Reach, Router, bind_reaching, blobs::Served, gossip::Swarm, local_address, serve_in,
};
use tidegate_lockdown::Standing;
use tidegate_protocol::listing::Reached;
use tokio::runtime::Handle;

use crate::{
    NodeError,
    discovery::sync::{self, Talk},
    doctor::missing_walls,
    home::Home,
    owner::{
        config::OwnerConfig,
        jobs::queue::Wishes,
        parts::{Failed, Part, Parts},
        requests::Requests,
        state::Provider,
        witnesses::remembered,
    },
    worker::Workers,
};

/// Number of workers started ahead: a job uses one for the check and one for the run.
const AHEAD: usize = 2;

/// Pause between looks at whether a write to the ledger is done.
const LOOK: Duration = Duration::from_millis(5);
/// Maximum number of such looks: a write takes no longer than the disk.
const LOOKS: u32 = 1000;

/// A running node of an owner: answers jobs over its datasets, serves copies, tells mirrors and other peers about them.
///
/// Dropping it stops everything at once, as [`OwnerNode::stop`] does, without waiting until the network is closed.
pub struct OwnerNode {
    provider: Arc<Provider>,
    requests: Arc<Requests>,
    endpoint: Endpoint,
    router: Router,
    address: Address,
    parts: Parts,
    runtime: Handle,
}

impl fmt::Debug for OwnerNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnerNode({})", self.address)
    }
}

impl OwnerNode {
    /// Starts the node of the party at `home`, on the current tokio runtime.
    ///
    /// The home is closed to other users, its ledger is opened, and the witnesses are asked what they saw of the log, before
    /// anything is served. Files that libraries create in the home later are for this user alone if
    /// [`keep_to_oneself`](crate::home::keep_to_oneself) was called before.
    ///
    /// # Errors
    /// Returns the error of the first part that does not start: [`NodeError::NoWorker`] if there is no program to run jobs in,
    /// [`NodeError::Unconfined`] if the kernel lacks parts of their confinement, [`NodeError::Store`] if another process has the
    /// ledger or a witness saw more of the log, [`NodeError::Net`] if the socket cannot be bound. Nothing is left serving then,
    /// and the ledger is closed.
    pub async fn start(home: Home, config: OwnerConfig) -> Result<Self, NodeError> {
        let (identity, reach) = (home.identity()?, home.reach()?);
        home.shut(true)?;
        let (workers, walls) = workers(&config).await?;
        let wishes = Wishes {
            jobs: config.jobs,
            per_buyer: config.jobs_per_buyer,
            queue: config.queue,
            leases_last: config.leases_last,
            revocations_last: config.revocations_last,
        };
        let served = Arc::new(Served::open(&home.blobs()).await?);
        let known = remembered(&home, &config.witnesses)?;
        let catalogue = Arc::new(sync::open(&home, config.only_known)?);
        let provider = Provider::open(home, served.clone(), catalogue.clone(), wishes, known, (workers, walls)).await?;
        let endpoint = bind_reaching(&identity, &[config.listen], &reach).await?;
        let started = Self::serve(Arc::new(provider), (served, catalogue), endpoint.clone(), &reach, config).await;
        if started.is_err() {
            endpoint.close().await;
        }
        started
    }

    /// Meets the witnesses, joins gossip, and only then lets peers in.
    async fn serve(
        provider: Arc<Provider>,
        (served, catalogue): (Arc<Served>, Arc<Catalogue>),
        endpoint: Endpoint,
        reach: &Reach,
        config: OwnerConfig,
    ) -> Result<Self, NodeError> {
        provider.meet_witnesses(endpoint.clone()).await?;
        let address = local_address(&endpoint, &provider.identity, reach);
        let (swarm, with) = (Swarm::new(&endpoint)?, config.with.clone());
        let mirrors = provider.join_mirrors(&swarm, &with).await?;
        let talk = Talk { catalogue, endpoint: endpoint.clone(), with: with.clone() };
        let listings = talk.join(&swarm).await?;
        let reached = reached(&config, &address);
        // Nothing fails from here on.
        let requests = Arc::new(Requests::to(&provider));
        let router = serve_in(endpoint.clone(), requests.clone(), &served, Some(&swarm));
        let mut parts = Parts::over(provider.store.clone());
        let (ledger, lister, recovering) = (provider.clone(), provider.clone(), provider.clone());
        parts.start(Part::Ledger, async move {
            ledger.ledger_failed().await;
            Err::<(), _>("a write failed")
        });
        parts.start(Part::Revocations, provider.clone().tell_revocations(swarm.clone(), with.clone(), mirrors));
        let telling = swarm.clone();
        parts.start(Part::Listings, async move { talk.run(telling, listings, || lister.own_listings(&reached)).await });
        parts.start(Part::Orders, endless(provider.clone().tend()));
        parts.start(Part::Files, endless(provider.clone().tend_files()));
        parts.start(Part::Leases, endless(provider.clone().tend_leases(endpoint.clone())));
        parts.start(Part::Heard, endless(provider.clone().hear_revocations(swarm, with)));
        parts.start(Part::Recovery, async move { recovering.recover().await });
        Ok(Self { provider, requests, endpoint, router, address, parts, runtime: Handle::current() })
    }

    /// Returns the address at which others reach this node.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Waits until the ledger or another part of the node has failed, and returns the first failure, each time it is called.
    ///
    /// The rest of the node serves on until it is shut down or stopped. After a failure of [`Part::Ledger`] nothing can be
    /// finished: [`OwnerNode::stop`] the node then.
    pub async fn failed(&self) -> Failed {
        self.parts.failed().await
    }

    /// Shuts the node down: takes no new job, finishes running jobs within their time budgets, returns leases to their owners,
    /// and closes the network and the ledger.
    ///
    /// Dropping the future stops the node at once.
    ///
    /// # Errors
    /// Returns [`NodeError::Net`] if the network was not closed cleanly.
    pub async fn shutdown(mut self) -> Result<(), NodeError> {
        self.provider.drain().await;
        self.provider.give_back(self.endpoint.clone()).await;
        self.end().await
    }

    /// Stops the node at once, as a crash would, and closes the network and the ledger. Jobs in progress are dropped; those that
    /// were charged are finished, at no further charge, when the node is started again.
    ///
    /// # Errors
    /// Returns [`NodeError::Net`] if the network was not closed cleanly.
    pub async fn stop(mut self) -> Result<(), NodeError> {
        self.end().await
    }

    async fn end(&mut self) -> Result<(), NodeError> {
        self.requests.stop();
        self.parts.end().await;
        self.requests.ended().await;
        self.released().await;
        Ok(self.router.shutdown().await.map_err(|e| NetError::Local(e.to_string()))?)
    }
}

impl OwnerNode {
    /// Waits until writes to the ledger that were begun by stopped tasks are done, so that the ledger closes with this node.
    async fn released(&self) {
        // The ledger is held by the provider and by the parts; a write holds it too, on a thread of its own.
        let holders = 2;
        for _ in 0..LOOKS {
            if Arc::strong_count(&self.provider.store) <= holders {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
        tracing::warn!("a write to the ledger is slow: the ledger closes when the write ends");
    }
}

impl Drop for OwnerNode {
    fn drop(&mut self) {
        self.requests.stop();
        self.parts.abort();
        if !self.router.is_shutdown() {
            let router = self.router.clone();
            drop(self.runtime.spawn(async move { router.shutdown().await }));
        }
    }
}

/// Starts workers, and has one report the parts of its confinement in force.
async fn workers(config: &OwnerConfig) -> Result<(Workers, Standing), NodeError> {
    let program = config.worker_program.as_deref();
    let opened = Workers::ahead(AHEAD, config.without_confinement, program);
    let name = || program.map_or_else(|| "this process's own program".to_owned(), |path| path.display().to_string());
    let workers = opened.map_err(|e| NodeError::NoWorker { program: name(), why: e.to_string() })?;
    let walls = workers.walls().await.map_err(|e| NodeError::NoWorker { program: name(), why: e.to_string() })?;
    let missing = missing_walls(walls);
    if missing.is_empty() || config.without_confinement { Ok((workers, walls)) } else { Err(NodeError::Unconfined { missing }) }
}

/// Builds the statement in listings of how the node is reached.
fn reached(config: &OwnerConfig, address: &Address) -> Reached {
    let sockets = if config.reached_at.is_empty() { &address.sockets } else { &config.reached_at };
    Reached {
        sockets: sockets.iter().filter(|s| !s.ip().is_unspecified()).map(ToString::to_string).collect(),
        relay: address.relay.as_ref().map(ToString::to_string),
        mirrors: config.mirrors.iter().map(ToString::to_string).collect(),
        holders: config.holders.iter().map(ToString::to_string).collect(),
    }
}

/// Runs a part that reports its own errors.
async fn endless(part: impl Future<Output = ()>) -> Result<(), NodeError> {
    part.await;
    Ok(())
}
