//! What was spent and what is left, read from the owner's own log: it can be asked beside a running node.

use std::collections::BTreeMap;

use tidegate_catalog::{
    audit::open_entry,
    dataset::{Dataset, load_all},
    log::{from_folder, read},
};
use tidegate_protocol::{
    ContentHash, Cost, PeerId,
    receipt::{LedgerLink, Predicate},
};

use crate::{NodeError, home::Home};

/// One population's account.
#[derive(Debug)]
pub struct Account {
    /// The latest dataset version of the population.
    pub dataset: Dataset,
    /// Spent in all.
    pub spent: Cost,
    /// Spent by each buyer.
    pub buyers: BTreeMap<PeerId, Cost>,
    /// Every charge, in order.
    pub charges: Vec<LedgerLink>,
}

/// The accounts of every population published here.
///
/// # Errors
/// [`NodeError`] when the log does not verify.
pub fn accounts(home: &Home) -> Result<Vec<Account>, NodeError> {
    let owner = home.identity()?.id();
    let mut charges: BTreeMap<ContentHash, Vec<LedgerLink>> = BTreeMap::new();
    if home.path().join("log/checkpoint").exists() {
        for (index, entry) in read(&owner, from_folder(home.path().join("log")))?.entries.iter().enumerate() {
            let statement = open_entry(entry, &owner)
                .map_err(|(rule, detail)| NodeError::Unverified(format!("entry {index}: {rule}: {detail}")))?;
            if let Predicate::Intent(facts) = statement.predicate {
                charges.entry(facts.ledger.population).or_default().push(facts.ledger);
            }
        }
    }
    let mut latest: BTreeMap<ContentHash, Dataset> = BTreeMap::new();
    for dataset in load_all(&home.datasets())? {
        latest.insert(dataset.manifest.body().population, dataset);
    }
    let add = |total: &mut Cost, cost: Cost| {
        *total = total.plus(cost).ok_or_else(|| NodeError::Unverified("the charges overflow".into()))?;
        Ok::<_, NodeError>(())
    };
    latest
        .into_iter()
        .map(|(population, dataset)| {
            let charges = charges.remove(&population).unwrap_or_default();
            let (mut spent, mut buyers) = (Cost::default(), BTreeMap::new());
            for link in &charges {
                add(&mut spent, link.cost)?;
                add(buyers.entry(link.buyer).or_default(), link.cost)?;
            }
            Ok(Account { dataset, spent, buyers, charges })
        })
        .collect()
}
