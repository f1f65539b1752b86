//! Grants issued by the owners of datasets held here.
//!
//! A grant is valid as the owner's last revocation list says, and only while the list is fresh.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use tidegate_exchange::{Address, gossip::Swarm};
use tidegate_ledger::store::Standing;
use tidegate_protocol::{
    Code, ContentHash, Envelope, PeerId, Refusal, Revocations, Sha256Digest, Signed,
    grant::Authority,
    receipt::Predicate,
    revocations::{self, NotGood},
};

use crate::mirror::lists;
use crate::owner::{Provider, leases::holdings::Holding, unavailable, versions::InForce};

impl Provider {
    /// Returns the standing of a grant whose owner's log is not here, by the owner's last revocation list.
    ///
    /// `authority` has the revocation ids of the grant's blocks. When the grant is first shown, what was granted is logged.
    pub(in crate::owner) fn standing_elsewhere(
        &self,
        dataset: InForce<'_>,
        token: &str,
        authority: &Authority,
    ) -> Result<Standing, Refusal> {
        let population = dataset.population();
        let ids = [authority.ids.as_slice(), &[revocations::of_version(&dataset.id())]].concat();
        if let Some(refused) = self.revoked_elsewhere(&population, &ids)? {
            return Ok(refused);
        }
        let Some(scope) = &authority.scope else { return Ok(Standing::Unknown) };
        let known = self.store.standing(&authority.ids).map_err(unavailable)?;
        if let (Standing::Unknown, Some(grant)) = (&known, authority.ids.first()) {
            let (holder, scope) = (self.party(dataset, authority.holder)?, scope.clone());
            let says = Predicate::Grant { grant: grant.clone(), holder, population, scope };
            self.store.record("grant", Sha256Digest::of(token.as_bytes()), says).map_err(unavailable)?;
            return self.store.standing(&authority.ids).map_err(unavailable);
        }
        Ok(known)
    }

    /// Checks the last revocation list of a held lineage's owner.
    ///
    /// Returns the standing if the owner has revoked one of `ids` or this node's own grant, or retired the dataset. Returns a
    /// refusal if the list is old, because nobody can say then.
    pub(in crate::owner) fn revoked_elsewhere(
        &self,
        population: &ContentHash,
        ids: &[String],
    ) -> Result<Option<Standing>, Refusal> {
        let all = self.holdings.all();
        let one = all.get(population);
        let good = |one: &Holding| {
            let list = one.held.list.as_ref().ok_or(NotGood::Stale)?.body();
            let whole = [revocations::of_population(population)];
            [&one.own, &whole[..], ids].into_iter().try_for_each(|ids| list.good(ids, SystemTime::now()))
        };
        match one.map_or(Err(NotGood::Stale), good) {
            Ok(()) => Ok(None),
            Err(NotGood::Revoked) => Ok(Some(Standing::Revoked)),
            Err(why) => {
                Err(Refusal::new(Code::Unavailable, why.to_string()).fix("Ask the owner or another replica, or try again later"))
            }
        }
    }

    /// Returns the last revocation list of an owner for whom this node holds a dataset.
    pub(in crate::owner) fn list_of(&self, owner: &PeerId) -> Option<Envelope> {
        let all = self.holdings.all();
        let lists = all.values().filter(|one| one.held.place.owner == *owner).filter_map(|one| one.held.list.as_ref());
        lists.max_by_key(|list| list.body().order()).map(|list| list.envelope().clone())
    }

    /// Listens for the revocation lists of all owners for whom this node holds a dataset, until the future is dropped.
    ///
    /// Ends at once if there is no such owner.
    pub(in crate::owner) async fn hear_revocations(self: Arc<Self>, swarm: Swarm, with: Vec<Address>) {
        let owners: BTreeMap<_, _> = self.holdings.all().values().map(|one| (one.held.place.owner, one.held.owner())).collect();
        let listening = owners.into_values().filter_map(Result::ok).map(|owner| {
            let (node, swarm, with) = (self.clone(), swarm.clone(), with.clone());
            async move {
                let hear = |list| node.hear(&owner.peer, list);
                if let Err(e) = lists::listen(&owner, &swarm, &with, hear).await {
                    tracing::error!("revocation lists are no longer received, only requested: {e}");
                }
            }
        });
        futures_util::future::join_all(listening).await;
    }

    /// Takes an owner's list if later than the list here, and returns the latest list.
    fn hear(&self, owner: &PeerId, list: Option<Signed<Revocations>>) -> Option<Signed<Revocations>> {
        let mut all = self.holdings.all();
        let (mut last, mut new) = (None, false);
        for one in all.values_mut().filter(|one| one.held.place.owner == *owner) {
            if let Some(list) = &list
                && one.held.hear(list.clone()).inspect_err(|e| tracing::error!("{e}")).unwrap_or(false)
            {
                new = true;
                self.served.access().revoke_those(|id| list.body().revoked.contains(&revocations::name(id)));
            }
            last = one.held.list.clone();
        }
        // This node's own grant may be among the revoked.
        if new {
            self.holdings.wake.notify_one();
        }
        last
    }
}
