//! Authorization: a grant's signature and rules, and its standing in the log.

use std::time::SystemTime;

use tidegate_ledger::store::Standing;
use tidegate_protocol::{
    Code, ContentHash, Envelope, Job, PeerId, Refusal, Signed,
    frame::Request,
    grant::{Action, Ask, Authority, Presented, Token},
    policy::Access,
};

use crate::owner::{Provider, unavailable, versions::InForce};

/// Grant presented with a job.
#[derive(Debug, Clone)]
pub(in crate::owner) struct Shown {
    /// BLAKE3 of the token.
    pub(in crate::owner) token: ContentHash,
    /// Revocation ids of its blocks.
    pub(in crate::owner) ids: Vec<String>,
    /// Peer to whom the grant was issued, whose account is charged.
    pub(in crate::owner) holder: PeerId,
}

impl Provider {
    /// Checks whether a token gives `peer` the rights in `ask`.
    ///
    /// The token must allow the action, have been logged when it was issued, and not be revoked.
    pub(in crate::owner) fn authorize(
        &self,
        dataset: InForce<'_>,
        peer: PeerId,
        token: &str,
        ask: &Ask,
    ) -> Result<Authority, Refusal> {
        self.authorized(dataset, peer, &Presented::read(token), ask)
    }

    /// Like [`Provider::authorize`], for a token already read.
    ///
    /// Its signatures are verified once, however many actions it is checked for.
    fn authorized(&self, dataset: InForce<'_>, peer: PeerId, shown: &Presented, ask: &Ask) -> Result<Authority, Refusal> {
        let action = ask.action.word();
        if dataset.policy().access(ask.action) == Access::Nobody {
            let message = format!("the policy allows nobody to {action} this dataset");
            return Err(Refusal::new(Code::Policy, message).at(format!("access.{action}")));
        }
        let manifest = dataset.manifest().body();
        let authority = shown.authorize(&manifest.grant_key, peer, manifest.population, ask)?;
        let refused = |why: String| Err(Refusal::new(Code::NotGranted, why).at("grant").fix("Ask the data owner for a grant"));
        let standing = match self.is_own(dataset) {
            true => self.store.standing(&authority.ids).map_err(unavailable)?,
            false => self.standing_elsewhere(dataset, shown.token().map_or("", Token::text), &authority)?,
        };
        match standing {
            Standing::Good(scope) => match scope.covers(ask) {
                Ok(()) => Ok(authority.until(scope.until())),
                Err(why) => refused(why.to_string()),
            },
            Standing::Revoked => refused("the owner has revoked this grant".into()),
            Standing::Unknown if !self.is_own(dataset) => {
                refused("the grant does not state its scope, and the owner's log is not here".into())
            }
            Standing::Unknown => refused("the owner's log has no entry that issues this grant".into()),
        }
    }

    /// Checks whether `peer` may perform `action`.
    ///
    /// It may if the policy allows anybody, or with a token for `action` or for one of the `greater` actions of which it is a
    /// part.
    pub(in crate::owner) fn admits(
        &self,
        dataset: InForce<'_>,
        peer: PeerId,
        shown: &Presented,
        action: Action,
        greater: &[Action],
    ) -> Result<(), Refusal> {
        let now = SystemTime::now();
        match dataset.policy().access(action) {
            Access::Anybody => return Ok(()),
            Access::Granted => {
                let other = |greater: &Action| self.authorized(dataset, peer, shown, &Ask::of(*greater, now)).is_ok();
                if greater.iter().any(other) {
                    return Ok(());
                }
            }
            Access::Nobody => {}
        }
        self.authorized(dataset, peer, shown, &Ask::of(action, now)).map(|_| ())
    }

    /// Returns whether `request` presents a valid grant of a dataset here.
    ///
    /// The grant must be `peer`'s to show, unexpired and not revoked, whatever it is for: the peer is then no stranger.
    pub(in crate::owner) fn shows_a_grant(&self, peer: PeerId, request: &Request) -> bool {
        let shown = Presented::read(request.grant());
        let Some(token) = shown.token() else { return false };
        let Some(dataset) = self.versions.newest(&token.population()) else {
            return false;
        };
        let manifest = dataset.manifest().body();
        let Some(authority) = token.is_held(&manifest.grant_key, peer, manifest.population, SystemTime::now()) else {
            return false;
        };
        match self.is_own(dataset) {
            true => matches!(self.store.standing(&authority.ids), Ok(Standing::Good(_))),
            false => matches!(self.revoked_elsewhere(&manifest.population, &authority.ids), Ok(None)),
        }
    }

    /// Opens a job signed by `peer` and checks its form, its size and its grant.
    pub(in crate::owner) fn granted(
        &self,
        peer: PeerId,
        job: Envelope,
        token: &str,
    ) -> Result<(Signed<Job>, InForce<'_>, Authority), Refusal> {
        let bad = |e: &dyn std::fmt::Display| Refusal::new(Code::BadRequest, e.to_string()).at("job");
        let job = Signed::<Job>::open(job).map_err(|e| bad(&e))?;
        if job.signer() != peer {
            return Err(bad(&format!("signed by {}, sent by {}", job.signer(), peer)));
        }
        job.body().check()?;
        let dataset = self.asked_of(&job)?;
        let now = SystemTime::now();
        let first = Ask { cost: job.body().cost, program: Some(job.body().bound()), ..Ask::of(Action::Compute, now) };
        let authority = self.authorize(dataset, peer, token, &first)?;
        // Nothing is looked up or recorded for a peer without a grant.
        let ask = self.asked(&job, dataset, &authority.ids, now)?;
        if ask.used > 0 {
            self.authorize(dataset, peer, token, &ask)?;
        }
        Ok((job, dataset, authority))
    }

    /// Builds the [`Ask`] of a job to its grant, before the job is planned.
    pub(in crate::owner) fn asked(
        &self,
        job: &Signed<Job>,
        dataset: InForce<'_>,
        ids: &[String],
        now: SystemTime,
    ) -> Result<Ask, Refusal> {
        let known = self.store.job(&self.party(dataset, job.signer())?, &job.body().request).map_err(unavailable)?;
        // A job that was charged before does not count again.
        let again = known.is_some_and(|record| record.facts.job == job.id());
        let id = ids.first().filter(|_| !again);
        let used = id.map_or(Ok(0), |id| self.store.used(id, now)).map_err(unavailable)?;
        Ok(Ask { cost: job.body().cost, program: Some(job.body().bound()), used, ..Ask::of(Action::Compute, now) })
    }

    /// Checks again whether a grant is in force, and withdraws the access just given if not.
    pub(in crate::owner) fn still_good(&self, dataset: InForce<'_>, ids: &[String]) -> Result<(), Refusal> {
        let revoked = match self.is_own(dataset) {
            true => None,
            false => self.revoked_elsewhere(&dataset.population(), ids)?,
        };
        if revoked.is_none() && matches!(self.store.standing(ids).map_err(unavailable)?, Standing::Good(_)) {
            return Ok(());
        }
        ids.iter().for_each(|id| self.served.access().revoke(id));
        Err(Refusal::new(Code::NotGranted, "the owner has revoked this grant").at("grant"))
    }
}
