//! Privacy budgets spent and left, read from the owner's own log; this works beside a running node.

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

use crate::{NodeError, error::Unverified, home::Home, owner::jobs::fallbacks};

/// Charge for a job.
#[derive(Debug, Clone)]
pub struct Charge {
    /// The ledger's link.
    pub link: LedgerLink,
    /// Start of the job's slot, RFC 3339.
    pub at: String,
    /// Whether the job has no result yet: still running, or cut off by a crash.
    pub open: bool,
}

/// Account of a dataset lineage.
#[derive(Debug)]
pub struct Account {
    /// Latest dataset version of the lineage.
    pub dataset: Dataset,
    /// Total spent, on finished and running jobs.
    pub spent: Cost,
    /// Part of `spent` for jobs without a result yet.
    pub reserved: Cost,
    /// Spent by each buyer.
    pub buyers: BTreeMap<Party, Cost>,
    /// All charges of jobs, in order.
    pub charges: Vec<Charge>,
    /// Number of jobs answered with noise over the public default: for the owner alone.
    pub fallbacks: usize,
    /// Parts of the budget handed over, in order. Each counts as spent until it has come back.
    pub leases: Vec<Handed>,
}

/// A part of a budget, handed over by a lease.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Handed {
    /// Id of the lease.
    pub id: ContentHash,
    /// The lease.
    pub lease: Lease,
    /// Settlement with the amount spent, if the part came back.
    pub settlement: Option<Settlement>,
    /// Whether the part is lost.
    pub burnt: bool,
}

impl Handed {
    /// Returns the amount counted as spent.
    pub fn spent(&self) -> Cost {
        self.settlement.as_ref().map_or(self.lease.amount, |settlement| settlement.spent)
    }
}

/// Charges and leases found in a log.
#[derive(Default)]
struct Charged {
    jobs: BTreeMap<ContentHash, Vec<Charge>>,
    leases: BTreeMap<ContentHash, Vec<Handed>>,
}

/// Reads the charges in the owner's log, by lineage, in order.
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

/// Returns the accounts of all dataset lineages published here.
///
/// # Errors
/// [`NodeError`] if the log does not verify.
pub fn accounts(home: &Home) -> Result<Vec<Account>, NodeError> {
    let (mut charges, fallbacks) = (charges(home)?, fallbacks::all(home)?);
    let mut latest: BTreeMap<ContentHash, Dataset> = BTreeMap::new();
    let me = home.identity()?.id();
    for dataset in load_all(&home.datasets())?.into_iter().filter(|dataset| dataset.manifest.signer() == me) {
        latest.insert(dataset.manifest.body().population, dataset);
    }
    let add = |total: &mut Cost, cost: Cost| {
        *total = total.plus(cost).ok_or(Unverified::Charges)?;
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
