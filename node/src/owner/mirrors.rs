//! Answers to mirrors and to peers copying from them: the encrypted files and the revoked grants.

use std::{sync::Arc, time::SystemTime};

use tidegate_exchange::{
    Address,
    gossip::{Listener, Swarm, Teller},
};
use tidegate_protocol::{
    Code, ContentHash, PeerId, Refusal,
    frame::Reply,
    grant::{Action, Ask},
    receipt::Predicate,
};

use crate::owner::{Provider, access::access_log::now, unavailable};
use crate::{
    NodeError,
    mirror::{lists::Own, seal},
};

impl Provider {
    /// Returns the document naming a lineage's encrypted files, and lets `peer` fetch the files unless `known` is this document.
    pub(in crate::owner) async fn sealed(
        &self,
        peer: PeerId,
        population: ContentHash,
        token: &str,
        known: Option<ContentHash>,
    ) -> Result<Reply, Refusal> {
        let none = || Refusal::new(Code::NotFound, "there is no such encrypted dataset here").at("population");
        let sealed = seal::latest(&self.home, &population).map_err(unavailable)?.ok_or_else(none)?;
        // The encrypted version may no longer be in force.
        let dataset = self.in_force(&sealed.body().manifest)?;
        let may = |action| self.authorize(dataset, peer, token, &Ask::of(action, SystemTime::now()));
        let authority = may(Action::Mirror).or_else(|_| may(Action::Replicate))?;
        let reply = Reply::Sealed(Box::new(sealed.envelope().clone()));
        if known == Some(sealed.id()) {
            return Ok(reply);
        }
        if !self.fetched.take(authority.holder) {
            return Err(Refusal::new(Code::Busy, "the limit of copies per hour is reached").fix("Ask again later"));
        }
        for file in sealed.body().all() {
            let at = seal::file(&self.home, &population, &file.hash);
            self.served.add(&at, file.hash).await.map_err(unavailable)?;
        }
        let party = self.party(dataset, peer)?;
        let copy = Predicate::Copy {
            peer: party,
            holder: self.holder(dataset, peer, authority.holder)?,
            sealed: true,
            key: false,
            manifest: sealed.body().manifest,
            population,
            grant_ids: authority.ids.clone(),
            time: now(),
        };
        self.log("encrypted dataset".into(), sealed.envelope().payload_sha256(), copy).await?;
        self.let_fetch((peer, party), sealed.body().all().map(|file| file.hash), &authority);
        self.still_good(dataset, &authority.ids)?;
        self.still_in_force(dataset)?;
        Ok(reply)
    }

    /// Returns the revocation list of `owner`: this node's owner, or an owner for whom this node holds a dataset.
    pub(in crate::owner) fn revocations(&self, owner: PeerId) -> Result<Reply, Refusal> {
        if owner != self.identity.id() {
            let none = || Refusal::new(Code::NotFound, "there is no revocation list of this owner here").at("owner");
            return self.list_of(&owner).map(|list| Reply::Revocations(Box::new(list))).ok_or_else(none);
        }
        let list = self.lists.now(&self.store, &self.identity).map_err(unavailable)?;
        Ok(Reply::Revocations(Box::new(list.envelope().clone())))
    }

    /// Joins the gossip in which mirrors are told about revoked grants.
    ///
    /// # Errors
    /// Returns [`NodeError`] if there is no gossip to take part in.
    pub(in crate::owner) async fn join_mirrors(&self, swarm: &Swarm, with: &[Address]) -> Result<(Teller, Listener), NodeError> {
        Own::join(&self.identity.id(), swarm, with).await
    }

    /// Tells mirrors about revoked grants until the future is dropped.
    ///
    /// # Errors
    /// Returns [`NodeError`] if there is no gossip to take part in any more.
    pub(in crate::owner) async fn tell_revocations(
        self: Arc<Self>,
        swarm: Swarm,
        with: Vec<Address>,
        joined: (Teller, Listener),
    ) -> Result<(), NodeError> {
        self.lists.tell(&self.store, &self.identity, (&swarm, &with), joined).await
    }
}
