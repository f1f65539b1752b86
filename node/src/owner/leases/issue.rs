//! Leases of this owner's privacy budget to other nodes with the same rows, taken back by the leaseholders' settlements.

use std::time::SystemTime;

use tidegate_ledger::store::{LeaseAsk, LeaseError};
use tidegate_protocol::{
    Code, ContentHash, Cost, Envelope, PeerId, Refusal, Settlement, Signed,
    frame::{HandedOver, Reply},
    grant::{Action, Ask},
    lease,
};

use crate::owner::{Provider, unavailable};

fn refused(e: LeaseError) -> Refusal {
    let (code, field, fix) = match &e {
        LeaseError::Nothing => (Code::Budget, "want", "Ask the owner for more budget, or wait until other leases are returned"),
        LeaseError::TooMany => (Code::Busy, "want", "Ask again when other leases are returned"),
        LeaseError::TooManyBuyers => (Code::Budget, "want", "Ask for a smaller one"),
        LeaseError::NotInForce(_) => {
            (Code::NotFound, "dataset", "Run `tidegate hold begin` for the version in force, and restart the node")
        }
        LeaseError::Ended => (Code::Conflict, "nonce", "Ask for another one"),
        LeaseError::Unknown => (Code::NotFound, "settlement", "Check the owner and the delegate of the lease"),
        LeaseError::Settlement(_) => (Code::BadRequest, "settlement", "Settle what the lease was charged, by buyer"),
        _ => return unavailable(e),
    };
    Refusal::new(code, e.to_string()).at(field).fix(fix)
}

impl Provider {
    /// Leases part of the privacy budget to `peer`, under a grant issued to `peer` itself.
    pub(in crate::owner) async fn lease(
        &self,
        peer: PeerId,
        dataset: ContentHash,
        token: &str,
        nonce: String,
        want: Cost,
    ) -> Result<Reply, Refusal> {
        let none = |why: &str| Refusal::new(Code::NotFound, why).at("dataset");
        let dataset = self.in_force(&dataset).ok().filter(|dataset| self.is_own(*dataset) && dataset.policies().1.is_none());
        let dataset = dataset.ok_or_else(|| {
            none("this version is not in force here")
                .fix("Run `tidegate hold begin` for the version in force, and restart the node")
        })?;
        let population = dataset.population();
        if !lease::is_nonce(&nonce) {
            return Err(Refusal::new(Code::BadRequest, "write 32 hexadecimal characters").at("nonce"));
        }
        let now = SystemTime::now();
        let authority = self.authorize(dataset, peer, token, &Ask { cost: want, ..Ask::of(Action::Hold, now) })?;
        if authority.holder != peer {
            return Err(Refusal::new(Code::NotGranted, "only a holder named by the owner gets a lease").at("grant"));
        }
        // A lease does not outlast its grant.
        let expires = authority.scope.as_ref().and_then(|scope| scope.until());
        let until = expires.map_or(now + self.leases_last, |expires| expires.min(now + self.leases_last));
        let policy = dataset.policy();
        let ask = LeaseAsk {
            population,
            manifest: dataset.id(),
            holder: peer,
            nonce,
            want,
            cap: policy.budget,
            per_buyer: policy.per_buyer,
            grant_ids: authority.ids,
            now,
            until,
        };
        let store = self.store.clone();
        let given = tokio::task::spawn_blocking(move || store.lease(ask)).await.map_err(unavailable)?.map_err(refused)?;
        tracing::debug!("issued a lease to {peer}: {} of {} until {}", given.lease.amount, population.short(), given.lease.until);
        Ok(Reply::HandedOver(Box::new(HandedOver { lease: given.envelope, less: given.less })))
    }

    /// Takes back the unspent part of a lease of `peer`.
    pub(in crate::owner) async fn settle(
        &self,
        peer: PeerId,
        population: ContentHash,
        settlement: Envelope,
    ) -> Result<Reply, Refusal> {
        let bad = |e: &dyn std::fmt::Display| Refusal::new(Code::BadRequest, e.to_string()).at("settlement");
        let settlement = Signed::<Settlement>::open(settlement).map_err(|e| bad(&e))?;
        if settlement.signer() != peer {
            return Err(bad(&"the settlement is not signed by its sender"));
        }
        let store = self.store.clone();
        let settling = tokio::task::spawn_blocking(move || store.settle(population, settlement));
        settling.await.map_err(unavailable)?.map_err(refused).map(Reply::Logged)
    }

    /// Counts leases as spent if they ran out long ago and have not come back.
    pub(in crate::owner) async fn burn_lost(&self) {
        let store = self.store.clone();
        match tokio::task::spawn_blocking(move || store.burn_lost(SystemTime::now())).await {
            Ok(Ok(0)) => {}
            Ok(Ok(burnt)) => {
                tracing::warn!("{burnt} leases are lost, and count as spent in full. See `tidegate leases`")
            }
            Ok(Err(e)) => tracing::error!("cannot record lost leases: {e}"),
            Err(e) => tracing::error!("{e}"),
        }
    }
}
