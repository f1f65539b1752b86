//! What was spent and what is left, read from the owner's own log: it can be asked beside a running node.

use std::collections::BTreeMap;

use tidegate_audit::{
    log::scan,
    note::{BadNote, Verifier},
    open_entry,
};
use tidegate_catalog::dataset::{Dataset, load_all};
use tidegate_ledger::from_folder;
use tidegate_protocol::{
    ContentHash, Cost, Lease, Settlement,
    receipt::{JobFacts, LedgerLink, Party, Predicate},
};

use crate::{NodeError, fallbacks, home::Home};

/// One charge.
#[derive(Debug, Clone)]
pub struct Charge {
    /// The ledger's link.
    pub link: LedgerLink,
    /// Start of the job's slot, RFC 3339.
    pub at: String,
    /// No result yet: it runs, or a crash cut it off.
    pub open: bool,
}

/// One population's account.
#[derive(Debug)]
pub struct Account {
    /// The latest dataset version of the population.
    pub dataset: Dataset,
    /// Spent in all, on jobs that are done and on those that run.
    pub spent: Cost,
    /// Of that, for jobs without a result yet.
    pub reserved: Cost,
    /// Spent by each buyer.
    pub buyers: BTreeMap<Party, Cost>,
    /// Every charge of a job, in order.
    pub charges: Vec<Charge>,
    /// Of the jobs, those that were answered with noise over the public default: for the owner alone.
    pub fallbacks: usize,
    /// Parts that were handed over, in order: each counts as spent until it has come back.
    pub leases: Vec<Handed>,
}

/// A part of a budget that was handed over.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Handed {
    /// The lease's id.
    pub id: ContentHash,
    /// The lease.
    pub lease: Lease,
    /// What was spent of it, where it came back.
    pub settlement: Option<Settlement>,
    /// Whether it is lost.
    pub burnt: bool,
}

impl Handed {
    /// What counts as spent.
    pub fn spent(&self) -> Cost {
        self.settlement.as_ref().map_or(self.lease.amount, |settlement| settlement.spent)
    }
}

/// What a log says was charged.
#[derive(Default)]
struct Charged {
    jobs: BTreeMap<ContentHash, Vec<Charge>>,
    leases: BTreeMap<ContentHash, Vec<Handed>>,
}

/// The charges in the owner's log, by population, in order.
fn charges(home: &Home) -> Result<Charged, NodeError> {
    let owner = home.identity()?.id();
    if !home.path().join("log/checkpoint").exists() {
        return Ok(Charged::default());
    }
    let mut leases: BTreeMap<ContentHash, Vec<Handed>> = BTreeMap::new();
    let mut intents: BTreeMap<u64, (Box<JobFacts>, bool)> = BTreeMap::new();
    scan(&Verifier::log(&owner), &mut from_folder(home.path().join("log")), |index, entry| {
        let statement =
            open_entry(entry, &owner).map_err(|(rule, detail)| BadNote(format!("entry {index}: {rule}: {detail}")))?;
        match statement.predicate {
            Predicate::Intent(facts) => {
                intents.insert(index, (facts, true));
            }
            Predicate::Outcome { intent, .. } => {
                if let Some((_, open)) = intents.get_mut(&intent) {
                    *open = false;
                }
            }
            Predicate::Lease { lease, ledger, .. } => {
                let handed = Handed { id: ledger.job, lease: *lease, settlement: None, burnt: false };
                leases.entry(ledger.population).or_default().push(handed);
            }
            Predicate::LeaseEnd { lease, population, settlement, .. } => {
                let all = leases.entry(population).or_default();
                if let Some(handed) = all.iter_mut().find(|handed| handed.id == lease) {
                    (handed.burnt, handed.settlement) = (settlement.is_none(), settlement.map(|settlement| *settlement));
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    let mut found: BTreeMap<ContentHash, Vec<Charge>> = BTreeMap::new();
    for (facts, open) in intents.into_values() {
        let charge = Charge { at: facts.slot_start, open, link: facts.ledger };
        found.entry(charge.link.population).or_default().push(charge);
    }
    Ok(Charged { jobs: found, leases })
}

/// The accounts of every population published here.
///
/// # Errors
/// [`NodeError`] when the log does not verify.
pub fn accounts(home: &Home) -> Result<Vec<Account>, NodeError> {
    let (mut charges, fallbacks) = (charges(home)?, fallbacks::all(home)?);
    let mut latest: BTreeMap<ContentHash, Dataset> = BTreeMap::new();
    let me = home.identity()?.id();
    for dataset in load_all(&home.datasets())?.into_iter().filter(|dataset| dataset.manifest.signer() == me) {
        latest.insert(dataset.manifest.body().population, dataset);
    }
    let add = |total: &mut Cost, cost: Cost| {
        *total = total.plus(cost).ok_or_else(|| NodeError::Unverified("the charges overflow".into()))?;
        Ok::<_, NodeError>(())
    };
    latest
        .into_iter()
        .map(|(population, dataset)| {
            let leases = charges.leases.remove(&population).unwrap_or_default();
            let charges = charges.jobs.remove(&population).unwrap_or_default();
            let (mut spent, mut reserved, mut buyers) = (Cost::default(), Cost::default(), BTreeMap::new());
            for charge in &charges {
                add(&mut spent, charge.link.cost)?;
                add(buyers.entry(charge.link.buyer).or_default(), charge.link.cost)?;
                if charge.open {
                    add(&mut reserved, charge.link.cost)?;
                }
            }
            for handed in &leases {
                add(&mut spent, handed.spent())?;
                for (buyer, cost) in handed.settlement.iter().flat_map(|settlement| &settlement.buyers) {
                    add(buyers.entry(*buyer).or_default(), *cost)?;
                }
            }
            let fallbacks = charges.iter().filter(|charge| fallbacks.contains_key(&charge.link.job)).count();
            Ok(Account { dataset, fallbacks, spent, reserved, buyers, charges, leases })
        })
        .collect()
}
