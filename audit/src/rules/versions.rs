//! Rules of versions: a version may not be used if retired, or if superseded by a newer version without leave to answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_protocol::{
    ContentHash, Lease,
    receipt::{JobFacts, Predicate},
};

use super::Broken;
use crate::lineage::{Lineage, Newest, NotInForce};

/// Versions of every dataset, by `population` (dataset lineage).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Versions(BTreeMap<ContentHash, Lineage>);

fn broken(why: &NotInForce) -> Broken {
    (why.rule(), why.to_string())
}

impl Versions {
    /// Records a publication or a retirement.
    pub(super) fn hear(&mut self, says: &Predicate) -> Result<(), Broken> {
        let Some(population) = Lineage::of(says) else { return Ok(()) };
        match Lineage::after(self.0.get(&population).cloned(), says) {
            Ok(after) => {
                self.0.extend(after.map(|after| (population, after)));
                Ok(())
            }
            Err(why) => Err(broken(&why)),
        }
    }

    /// Checks whether a job's version answers, and returns the version whose policy and caps apply besides its own. Other rules
    /// cover unpublished versions.
    pub(super) fn job(&self, facts: &JobFacts) -> Result<Option<&Newest>, Broken> {
        let Some(lineage) = self.0.get(&facts.ledger.population) else { return Ok(None) };
        match lineage.governed_by(&facts.dataset, facts.policy_newest) {
            Err(NotInForce::Unknown) => Ok(None),
            governed => governed.map_err(|why| broken(&why)),
        }
    }

    /// Checks whether a copied version is in force.
    pub(super) fn copied(&self, population: &ContentHash, manifest: &ContentHash) -> Result<(), Broken> {
        match self.0.get(population).map(|lineage| lineage.governed(manifest)) {
            None | Some(Ok(_) | Err(NotInForce::Unknown)) => Ok(()),
            Some(Err(why)) => Err(broken(&why)),
        }
    }

    /// Checks whether a lease is over the newest version.
    pub(super) fn leased(&self, lease: &Lease) -> Result<(), Broken> {
        match self.0.get(&lease.population).map(|lineage| lineage.governed_by(&lease.manifest, None)) {
            None | Some(Ok(_) | Err(NotInForce::Unknown)) => Ok(()),
            Some(Err(NotInForce::Governed(newest))) => Err(broken(&NotInForce::Superseded(newest))),
            Some(Err(why)) => Err(broken(&why)),
        }
    }
}
