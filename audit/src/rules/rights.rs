//! Rights as stated in the log itself: datasets and policies in force, grants issued and revoked.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};
use tidegate_protocol::{
    ContentHash, Cost, Lease, PeerId,
    grant::{self, Action, Ask, Scope},
    limits,
    receipt::{JobFacts, Party, Predicate, entry::Change},
};

use super::{
    Broken, fetches,
    leases::{GrantSeen, Stated, VersionSeen},
    time::time,
};

/// Published version.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Version {
    #[serde(default)]
    entry: u64,
    policy: ContentHash,
    population: ContentHash,
    previous: Option<ContentHash>,
    cap: Cost,
    per_buyer: Cost,
    /// Owner of the dataset, if the version is held for another.
    #[serde(default)]
    owner: Option<PeerId>,
}

/// Grant as issued.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Grant {
    #[serde(default)]
    entry: u64,
    holder: Party,
    population: ContentHash,
    scope: Scope,
    /// Start times of the last jobs' slots, if the scope limits the rate: as many as may begin within an hour.
    starts: VecDeque<SystemTime>,
}

impl Grant {
    /// Counts the jobs begun within the hour before `start`, as far as the limit needs.
    fn used(&self, start: SystemTime) -> u32 {
        grant::within_hour(self.starts.iter().rev().copied(), start)
    }

    fn count(&mut self, start: SystemTime) {
        let Some(most) = self.scope.per_hour else { return };
        self.starts.push_back(start);
        while self.starts.len() > most.min(limits::GRANT_PER_HOUR) as usize {
            self.starts.pop_front();
        }
    }
}

/// Versions and grants, with the revocations.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Rights {
    versions: BTreeMap<ContentHash, Version>,
    grants: BTreeMap<String, Grant>,
    revoked: BTreeSet<String>,
}

impl Rights {
    pub(super) fn publication(&mut self, entry: u64, publication: &Predicate) -> Result<(), Broken> {
        let Predicate::Publication { manifest, policy, population, previous, changes, cap, per_buyer, owner, versions: _ } =
            publication
        else {
            return Ok(());
        };
        let before = previous.and_then(|previous| self.versions.get(&previous).cloned());
        let version = Version {
            entry,
            policy: *policy,
            population: *population,
            previous: *previous,
            cap: *cap,
            per_buyer: *per_buyer,
            owner: *owner,
        };
        let known = self.versions.insert(*manifest, version.clone()).is_some();
        if known {
            return Err(("publication-once", format!("manifest {} is already published", manifest.short())));
        }
        let Some(before) = before else {
            return match previous {
                None => Ok(()),
                // The owner's log has what came before.
                Some(_) if owner.is_some() => Ok(()),
                Some(previous) => Err(("lineage", format!("the log has no earlier version {}", previous.short()))),
            };
        };
        if before.owner != version.owner {
            return Err(("lineage", "the new version has another owner than the previous version".into()));
        }
        if before.population != version.population {
            return Err(("lineage", "the new version has another dataset lineage than the previous version".into()));
        }
        let spends = (before.cap, before.per_buyer) != (version.cap, version.per_buyer);
        let seen = (before.policy != version.policy, spends);
        if seen != (changes.contains(&Change::Policy), changes.contains(&Change::Budget)) {
            return Err(("changes", "the stated changes differ from the actual changes".into()));
        }
        Ok(())
    }

    pub(super) fn grant(&mut self, entry: u64, grant: &Predicate) -> Result<(), Broken> {
        let Predicate::Grant { grant, holder, population, scope } = grant else {
            return Ok(());
        };
        let starts = VecDeque::new();
        let issued = Grant { entry, holder: *holder, population: *population, scope: (**scope).clone(), starts };
        self.grants.insert(grant.clone(), issued);
        if self.versions.values().any(|v| v.population == *population) {
            return time(&scope.expires).map(|_| ());
        }
        Err(("grant-population", format!("the log has no dataset of lineage {}", population.short())))
    }

    pub(super) fn revoke(&mut self, grant: String) {
        self.revoked.insert(grant);
    }

    /// Returns a buyer's limit by the policy of this manifest.
    pub(super) fn per_buyer(&self, manifest: &ContentHash) -> Option<Cost> {
        self.versions.get(manifest).map(|version| version.per_buyer)
    }

    /// Returns the statements for comparison with another log.
    pub(super) fn stated(&self, owner: PeerId) -> Stated {
        let version = |v: &Version| VersionSeen { entry: v.entry, policy: v.policy, population: v.population, owner: v.owner };
        let grant = |g: &Grant| GrantSeen { entry: g.entry, holder: g.holder, population: g.population, scope: g.scope.clone() };
        Stated {
            owner: Some(owner),
            versions: self.versions.iter().map(|(id, v)| (*id, version(v))).collect(),
            grants: self.grants.iter().map(|(id, g)| (id.clone(), grant(g))).collect(),
        }
    }

    /// Returns the owner for whom a version is held, and its dataset lineage.
    pub(super) fn held_for(&self, manifest: &ContentHash) -> Option<(PeerId, ContentHash)> {
        let version = self.versions.get(manifest)?;
        Some((version.owner?, version.population))
    }

    /// Checks whether a lease is over a published version, under its cap, by a grant that covers it.
    pub(super) fn lease(&self, lease: &Lease, cap: Cost, ask: &Ask, ids: &[String]) -> Result<(), Broken> {
        let version = self.versions.get(&lease.manifest).filter(|version| version.population == lease.population);
        let Some(version) = version.filter(|version| version.owner.is_none()) else {
            return Err(("dataset-published", format!("the log has no manifest {} of this lineage", lease.manifest.short())));
        };
        if cap != version.cap {
            return Err(("cap-in-force", format!("names a cap of {cap}, and the published cap is {}", version.cap)));
        }
        self.allows(lease.holder.into(), lease.population, ask, ids)
    }

    /// Checks whether a job is on a published version, under its policy and cap, by a grant that covers it.
    ///
    /// If a newer version governs, its cap applies too.
    pub(super) fn job(&mut self, facts: &JobFacts, newest: Option<Cost>) -> Result<(), Broken> {
        let Some(version) = self.versions.get(&facts.dataset) else {
            return Err(("dataset-published", format!("the log has no earlier manifest {}", facts.dataset.short())));
        };
        if facts.policy != version.policy {
            return Err((
                "policy-in-force",
                format!("names policy {}, and the published policy is {}", facts.policy.short(), version.policy.short()),
            ));
        }
        let link = &facts.ledger;
        if link.population != version.population || facts.previous != version.previous {
            return Err(("lineage", "names a lineage or previous version that differs from the publication".into()));
        }
        let cap = newest.map_or(version.cap, |newest| version.cap.least(newest));
        if version.owner.is_none() && link.cap != cap {
            return Err(("cap-in-force", format!("names a cap of {}, and the published cap is {cap}", link.cap)));
        }
        let (population, start) = (version.population, time(&facts.slot_start)?);
        let ask = Ask {
            cost: link.cost,
            program: Some(facts.program),
            reducers: facts.mechanism.columns.iter().map(|column| column.reducer.clone()).collect(),
            ..Ask::of(Action::Compute, start)
        };
        let id = facts.grant_ids.first();
        let used = id.and_then(|id| self.grants.get(id)).map_or(0, |grant| grant.used(start));
        let allowed = self.allows(facts.account(), population, &Ask { used, ..ask }, &facts.grant_ids);
        // A job counts toward the rate, whatever is wrong with it.
        if let Some(grant) = id.and_then(|id| self.grants.get_mut(id)) {
            grant.count(start);
        }
        allowed
    }

    /// Checks whether a copy is of a published version, by a grant covering any of these actions.
    pub(super) fn copy(
        &self,
        peer: Party,
        (manifest, population): (ContentHash, ContentHash),
        what: &[Action],
        ids: &[String],
        at: &str,
    ) -> Result<(), Broken> {
        if self.versions.get(&manifest).is_none_or(|version| version.population != population) {
            return Err(("dataset-published", format!("the log has no manifest {} of this lineage", manifest.short())));
        }
        let at = time(at)?;
        let mut tried = what.iter().map(|action| self.allows(peer, population, &Ask::of(*action, at), ids));
        let first = tried.next().unwrap_or(Ok(()));
        if tried.any(|other| other.is_ok()) { Ok(()) } else { first }
    }

    /// Checks whether a replay is by a grant that covers it.
    pub(super) fn replay(&self, peer: Party, population: ContentHash, ids: &[String], at: &str) -> Result<(), Broken> {
        self.allows(peer, population, &Ask::of(Action::Replay, time(at)?), ids)
    }

    /// Checks whether a grant with these revocation ids, as far as the log knows it, is in force at a time.
    pub(super) fn in_force(&self, ids: &[String], at: SystemTime) -> Result<(), Broken> {
        self.not_revoked(ids)?;
        ids.first().and_then(|id| self.grants.get(id)).map_or(Ok(()), |grant| fetches::in_time(&grant.scope, at))
    }

    fn not_revoked(&self, ids: &[String]) -> Result<(), Broken> {
        match ids.iter().find(|id| self.revoked.contains(*id)) {
            Some(id) => Err(("grant-revoked", format!("its grant {}… had been revoked", id.get(..10).unwrap_or_default()))),
            None => Ok(()),
        }
    }

    fn allows(&self, holder: Party, population: ContentHash, ask: &Ask, ids: &[String]) -> Result<(), Broken> {
        let Some(grant) = ids.first().and_then(|id| self.grants.get(id)) else {
            return Err(("grant-issued", "the log has no earlier entry that issues the grant".into()));
        };
        self.not_revoked(ids)?;
        if grant.holder != holder || grant.population != population {
            return Err(("grant-covers", format!("the grant does not allow {holder} to {} this dataset", ask.action.word())));
        }
        time(&grant.scope.expires)?;
        grant.scope.covers(ask).map_err(|why| (why.rule(), why.to_string()))
    }
}
