//! Who was allowed what, as the log itself says: datasets and policies in force, grants issued and revoked.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tidegate_protocol::{
    ContentHash, Cost, MicroRho,
    cost::MicroEpsilon,
    grant::Action,
    receipt::{JobFacts, Party, Predicate, entry::Change},
};

use super::{Broken, jobs::time};

/// A published version.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Version {
    policy: ContentHash,
    population: ContentHash,
    previous: Option<ContentHash>,
    cap: Cost,
    per_buyer: Cost,
}

/// A grant as it was issued.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Grant {
    holder: Party,
    population: ContentHash,
    actions: Vec<Action>,
    rho_ceiling: MicroRho,
    epsilon_ceiling: MicroEpsilon,
    expires: String,
}

/// What is in force.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Rights {
    versions: BTreeMap<ContentHash, Version>,
    grants: BTreeMap<String, Grant>,
    revoked: BTreeSet<String>,
}

impl Rights {
    pub(super) fn publication(&mut self, publication: &Predicate) -> Result<(), Broken> {
        let Predicate::Publication { manifest, policy, population, previous, changes, cap, per_buyer } = publication else {
            return Ok(());
        };
        let before = previous.and_then(|previous| self.versions.get(&previous).cloned());
        let version = Version { policy: *policy, population: *population, previous: *previous, cap: *cap, per_buyer: *per_buyer };
        let known = self.versions.insert(*manifest, version.clone()).is_some();
        if known {
            return Err(("publication-once", format!("manifest {} was published before", manifest.short())));
        }
        let Some(before) = before else {
            return match previous {
                None => Ok(()),
                Some(previous) => Err(("lineage", format!("the log has no version {} before it", previous.short()))),
            };
        };
        if before.population != version.population {
            return Err(("lineage", "a new version charges another population than the one before it".into()));
        }
        let spends = (before.cap, before.per_buyer) != (version.cap, version.per_buyer);
        let seen = (before.policy != version.policy, spends);
        if seen != (changes.contains(&Change::Policy), changes.contains(&Change::Budget)) {
            return Err(("changes", "what it says has changed is not what has".into()));
        }
        Ok(())
    }

    pub(super) fn grant(&mut self, grant: &Predicate) -> Result<(), Broken> {
        let Predicate::Grant { grant, holder, population, actions, rho_ceiling, epsilon_ceiling, expires } = grant else {
            return Ok(());
        };
        let issued = Grant {
            holder: *holder,
            population: *population,
            actions: actions.clone(),
            rho_ceiling: *rho_ceiling,
            epsilon_ceiling: *epsilon_ceiling,
            expires: expires.clone(),
        };
        self.grants.insert(grant.clone(), issued);
        if self.versions.values().any(|v| v.population == *population) {
            return time(expires).map(|_| ());
        }
        Err(("grant-population", format!("the log has no dataset of population {}", population.short())))
    }

    pub(super) fn revoke(&mut self, grant: String) {
        self.revoked.insert(grant);
    }

    /// What one buyer may spend by the policy of this manifest.
    pub(super) fn per_buyer(&self, manifest: &ContentHash) -> Option<Cost> {
        self.versions.get(manifest).map(|version| version.per_buyer)
    }

    /// A job is on a published version, under its policy and cap, by a grant that covers it.
    pub(super) fn job(&self, facts: &JobFacts) -> Result<(), Broken> {
        let Some(version) = self.versions.get(&facts.dataset) else {
            return Err(("dataset-published", format!("the log has no manifest {} before it", facts.dataset.short())));
        };
        if facts.policy != version.policy {
            return Err((
                "policy-in-force",
                format!("names policy {}, published was {}", facts.policy.short(), version.policy.short()),
            ));
        }
        let link = &facts.ledger;
        if link.population != version.population || facts.previous != version.previous {
            return Err(("lineage", "names another population or version before than was published".into()));
        }
        if link.cap != version.cap {
            return Err(("cap-in-force", format!("names a cap of {}, published was {}", link.cap, version.cap)));
        }
        let grant = self.allows(facts.buyer, version.population, Action::Compute, &facts.grant_ids, &facts.slot_start)?;
        let Cost { rho_micro, epsilon_micro, .. } = link.cost;
        if rho_micro > grant.rho_ceiling || epsilon_micro > grant.epsilon_ceiling {
            return Err(("grant-ceiling", format!("{} is more than the grant lets one job cost", link.cost)));
        }
        Ok(())
    }

    /// A copy is of a published version, by a grant that covers it.
    pub(super) fn copy(
        &self,
        peer: Party,
        manifest: ContentHash,
        population: ContentHash,
        ids: &[String],
        at: &str,
    ) -> Result<(), Broken> {
        if self.versions.get(&manifest).is_none_or(|version| version.population != population) {
            return Err(("dataset-published", format!("the log has no manifest {} of this population", manifest.short())));
        }
        self.allows(peer, population, Action::Replicate, ids, at).map(|_| ())
    }

    /// A replay is by a grant that covers it.
    pub(super) fn replay(&self, peer: Party, population: ContentHash, ids: &[String], at: &str) -> Result<(), Broken> {
        self.allows(peer, population, Action::Replay, ids, at).map(|_| ())
    }

    fn allows(&self, peer: Party, population: ContentHash, action: Action, ids: &[String], at: &str) -> Result<&Grant, Broken> {
        let Some(grant) = ids.first().and_then(|id| self.grants.get(id)) else {
            return Err(("grant-issued", "the log has no such grant before it".into()));
        };
        if let Some(id) = ids.iter().find(|id| self.revoked.contains(*id)) {
            return Err(("grant-revoked", format!("its grant {}… had been revoked", id.get(..10).unwrap_or_default())));
        }
        if grant.holder != peer || grant.population != population || !grant.actions.contains(&action) {
            return Err(("grant-covers", format!("the grant does not let {peer} {} this population", action.word())));
        }
        if time(at)? >= time(&grant.expires)? {
            return Err(("grant-expired", format!("at {at}, and the grant was good until {}", grant.expires)));
        }
        Ok(grant)
    }
}
