//! Leases on datasets held for other owners: requesting a lease, charging jobs to it, and returning the rest.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant, SystemTime},
};

use tidegate_exchange::Endpoint;
use tidegate_ledger::store::{LeaseStanding, Taken};
use tidegate_protocol::{
    Code, ContentHash, Lease, Refusal, Signed,
    frame::{Reply, Request},
    revocations,
};

use crate::owner::{Provider, unavailable, versions::InForce};
use crate::{
    NodeError,
    client::Buyer,
    error::{HoldError, Unverified},
    mirror::lists,
    owner::leases::store::Held,
};

/// Interval between requests for revocation lists and checks of leases.
const LOOK: Duration = Duration::from_secs(10);
/// Fraction (1/`NEARLY`) of a lease's amount below which the lease is returned for another.
const NEARLY: u64 = 16;
/// Maximum time by which returning leases may delay a node's shutdown.
const PARTING: Duration = Duration::from_secs(5);

/// Builds the refusal for a dataset whose lease cannot be charged at the moment.
fn none_open(why: &str) -> Refusal {
    Refusal::new(Code::Busy, format!("this node is a replica of the dataset, and {why}"))
        .fix("Try again in a moment, or send the job to the owner or another replica")
}

impl Provider {
    /// Returns whether the dataset is this owner's.
    pub(in crate::owner) fn is_own(&self, dataset: InForce<'_>) -> bool {
        dataset.manifest().signer() == self.identity.id()
    }

    /// Returns the lease to charge for jobs over a dataset; `None` if the dataset is this owner's.
    pub(in crate::owner) fn lease_for(&self, dataset: InForce<'_>) -> Result<Option<Taken>, Refusal> {
        if self.is_own(dataset) {
            return Ok(None);
        }
        let population = dataset.population();
        let taken = self.store.taken(&population).map_err(unavailable)?;
        let open = taken.filter(|taken| taken.state == LeaseStanding::Open && in_time(&taken.lease));
        let open = open.ok_or_else(|| none_open("has no lease of the dataset's budget"))?;
        if open.lease.manifest != dataset.id() {
            return Err(none_open("its lease is for another version"));
        }
        // Only the owner can say whether it was returned before this ledger was restored from a copy.
        if self.holdings.all().get(&population).and_then(|one| one.confirmed) != Some(open.id) {
            return Err(none_open("the owner has not yet confirmed its lease"));
        }
        Ok(Some(open))
    }

    /// Has a new lease requested if a job does not fit into the rest of the lease, and returns the job's refusal.
    ///
    /// Returns `None` if nothing of the lease was spent, or if the last such request was less than [`LOOK`] ago.
    pub(in crate::owner) fn lease_is_short(&self, dataset: InForce<'_>) -> Option<Refusal> {
        let taken = self.store.taken(&dataset.population()).ok()??;
        let left = self.store.left_of_lease(&taken, None).ok()?;
        let mut all = self.holdings.all();
        let one = all.get_mut(&taken.lease.population)?;
        if left == taken.lease.amount || one.renewed.is_some_and(|at| at.elapsed() < LOOK) {
            return None;
        }
        one.short = true;
        self.holdings.wake.notify_one();
        Some(none_open("the rest of its lease does not cover this job: it is requesting another lease"))
    }

    /// Asks owners for revocation lists and leases until the future is dropped.
    pub async fn tend_leases(self: Arc<Self>, endpoint: Endpoint) {
        let buyer = Buyer::over(self.identity.clone(), endpoint);
        loop {
            let populations: Vec<_> = self.holdings.all().keys().copied().collect();
            for population in populations {
                if let Err(e) = self.tend_one(&buyer, &population).await {
                    match e {
                        NodeError::Net(e) => tracing::debug!("{}: {e}", population.short()),
                        e => tracing::warn!("replica of {}: {e}", population.short()),
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.holdings.wake.notified() => {}
            }
        }
    }

    /// Returns the rest of every lease to its owner, within the time that a node may take to stop.
    pub async fn give_back(&self, endpoint: Endpoint) {
        self.holdings.parting.store(true, Ordering::SeqCst);
        let buyer = Buyer::over(self.identity.clone(), endpoint);
        let populations: Vec<_> = self.holdings.all().keys().copied().collect();
        let giving = async {
            for population in populations {
                let given = async {
                    self.store.close_lease(population, SystemTime::now())?;
                    self.settle_one(&buyer, &population).await
                };
                if let Err(e) = given.await {
                    tracing::warn!("the lease of {} is not yet returned: {e}", population.short());
                }
            }
        };
        if tokio::time::timeout(PARTING, giving).await.is_err() {
            tracing::warn!("not all leases are returned: the rest follow when this node serves again");
        }
    }

    /// Returns the held dataset of a lineage.
    pub(in crate::owner) fn held(&self, population: &ContentHash) -> Result<Held, NodeError> {
        let held = self.holdings.all().get(population).map(|one| one.held.clone());
        Ok(held.ok_or(HoldError::NotHeld)?)
    }

    async fn tend_one(&self, buyer: &Buyer, population: &ContentHash) -> Result<(), NodeError> {
        let held = self.held(population)?;
        let owner = held.owner()?;
        let list = buyer.revocations(&owner, held.place.owner).await?;
        let list = lists::opened(list, &held.place.owner)?;
        if let Some(one) = self.holdings.all().get_mut(population) {
            one.held.hear(list.clone())?;
        }
        self.served.access().revoke_those(|id| list.body().revoked.contains(&revocations::name(id)));
        if self.revoked_elsewhere(population, &[])?.is_some() {
            // The rest belongs to the owner.
            self.store.close_lease(*population, SystemTime::now())?;
            self.settle_one(buyer, population).await?;
            return Err(HoldError::Revoked.into());
        }
        if let Some(taken) = self.store.taken(population)?.filter(|taken| taken.state == LeaseStanding::Open) {
            if self.is_done(&taken)? {
                self.store.close_lease(*population, SystemTime::now())?;
            } else {
                // Confirmed each time: the owner may since have published another version or retired this one.
                return self.confirm(buyer, &held, &taken).await;
            }
        }
        self.settle_one(buyer, population).await?;
        self.ask_for_one(buyer, &held).await
    }

    /// Returns whether an open lease is to be returned: expired, nearly used up, or too small for a job.
    fn is_done(&self, taken: &Taken) -> Result<bool, NodeError> {
        let mut all = self.holdings.all();
        let short = all.get_mut(&taken.lease.population).is_some_and(|one| {
            let short = std::mem::take(&mut one.short);
            if short {
                one.renewed = Some(Instant::now());
            }
            short
        });
        drop(all);
        let (left, amount) = (self.store.left_of_lease(taken, None)?, taken.lease.amount);
        let few = |left: u64, of: u64| left < of.div_ceil(NEARLY);
        let used = few(left.rho_micro.0, amount.rho_micro.0.max(1)) && few(left.epsilon_micro.0, amount.epsilon_micro.0.max(1));
        Ok(short || used || !in_time(&taken.lease))
    }

    /// Reports to the owner how much of a closed lease was spent; repeated until the owner has been told.
    async fn settle_one(&self, buyer: &Buyer, population: &ContentHash) -> Result<(), NodeError> {
        let held = self.held(population)?;
        let Some(Taken { state: LeaseStanding::Closed(settlement), .. }) = self.store.taken(population)? else { return Ok(()) };
        let asked = Request::Settle { population: *population, settlement };
        let returned = match buyer.ask(&held.owner()?, &asked, &[]).await {
            Ok(_) => true,
            Err(NodeError::Refused(refusal)) if matches!(refusal.code, Code::Conflict | Code::NotFound) => {
                tracing::warn!("the rest of a lease of {} is lost: {refusal}", population.short());
                false
            }
            Err(e) => return Err(e),
        };
        Ok(self.store.lease_is_over(*population, returned)?)
    }

    /// Asks the owner whether a lease is still this node's and its version still in force.
    async fn confirm(&self, buyer: &Buyer, held: &Held, taken: &Taken) -> Result<(), NodeError> {
        match self.request(buyer, held, taken.lease.nonce.clone()).await {
            Ok((lease, _)) if lease.id() == taken.id => {}
            Ok(_) => return Err(Unverified::OtherLease.into()),
            Err(NodeError::Refused(refusal)) if refusal.code == Code::Conflict => {
                tracing::warn!("a lease of {} ended while this node was away: {refusal}", held.population.short());
                self.store.lease_is_over(held.population, false)?;
                return Ok(());
            }
            Err(NodeError::Refused(refusal)) if refusal.code == Code::NotFound => {
                // The version is not in force any more, so nothing more is charged to its lease here.
                self.store.close_lease(held.population, SystemTime::now())?;
                return self.settle_one(buyer, &held.population).await;
            }
            Err(e) => return Err(e),
        }
        self.confirmed(&held.population, taken.id);
        Ok(())
    }

    fn confirmed(&self, population: &ContentHash, lease: ContentHash) {
        if let Some(one) = self.holdings.all().get_mut(population) {
            one.confirmed = Some(lease);
        }
    }

    /// Requests the lease `nonce` over the latest version held here.
    async fn request(
        &self,
        buyer: &Buyer,
        held: &Held,
        nonce: String,
    ) -> Result<(Signed<Lease>, tidegate_protocol::frame::HandedOver), NodeError> {
        let latest = self.versions.newest(&held.population);
        let latest = latest.ok_or(HoldError::NoRecord)?.id();
        let asked =
            Request::Lease { dataset: latest, grant: held.place.grant.clone(), nonce: nonce.clone(), want: held.place.want };
        let Reply::HandedOver(handed) = buyer.ask(&held.owner()?, &asked, &[]).await? else {
            return Err(Unverified::Reply { who: "owner", wanted: "a lease" }.into());
        };
        let lease = Signed::<Lease>::open(handed.lease.clone())?;
        let body = lease.body();
        body.check().map_err(|field| Unverified::LeaseField { field })?;
        let ours = body.holder == self.identity.id() && (body.population, body.manifest) == (held.population, latest);
        if lease.signer() != held.place.owner || !ours || body.nonce != nonce {
            return Err(Unverified::LeaseParties.into());
        }
        Ok((lease, *handed))
    }

    async fn ask_for_one(&self, buyer: &Buyer, held: &Held) -> Result<(), NodeError> {
        let outdated = self.holdings.all().get(&held.population).is_none_or(|one| one.outdated);
        if outdated || self.holdings.parting.load(Ordering::SeqCst) {
            return Ok(());
        }
        let (lease, handed) = match self.request(buyer, held, held.nonce()?).await {
            Err(NodeError::Refused(refusal)) if refusal.code == Code::Conflict => {
                // That lease has ended; the next request is for a new one.
                held.asked()?;
                return Err(NodeError::Refused(refusal));
            }
            Err(NodeError::Refused(refusal)) if refusal.code == Code::NotFound => {
                if let Some(one) = self.holdings.all().get_mut(&held.population) {
                    one.outdated = true;
                }
                return Err(NodeError::Refused(refusal));
            }
            asked => asked?,
        };
        let taken = self.store.take(lease, handed.less).map_err(HoldError::Lease)?;
        held.asked()?;
        self.confirmed(&held.population, taken.id);
        if self.holdings.parting.load(Ordering::SeqCst) {
            // The lease arrived while the node was stopping.
            self.store.close_lease(held.population, SystemTime::now())?;
            return self.settle_one(buyer, &held.population).await;
        }
        tracing::info!(
            "received a lease: {} of {} may be spent here until {}",
            taken.lease.amount,
            held.population.short(),
            taken.lease.until
        );
        Ok(())
    }
}

fn in_time(lease: &Lease) -> bool {
    lease.until().is_some_and(|until| SystemTime::now() < until)
}
