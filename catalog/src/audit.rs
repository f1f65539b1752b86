//! What an auditor checks in a verified log, offline: signatures, the ledger's chain, its cap, and that every intent is closed.

use std::collections::BTreeMap;

use tidegate_protocol::{
    ContentHash, Cost, Envelope, PeerId, Sha256Digest, Signed,
    receipt::{JobFacts, LedgerLink, Predicate, STATEMENT_TYPE, Statement},
};

use crate::log::VerifiedLog;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Index of the offending entry.
    pub entry: u64,
    /// The rule that is broken.
    pub rule: &'static str,
    /// What was seen.
    pub detail: String,
}

/// What an audit saw.
#[derive(Debug, Default, serde::Serialize)]
pub struct Report {
    /// Entries read.
    pub entries: u64,
    /// Publications.
    pub publications: u64,
    /// Jobs that were charged.
    pub intents: u64,
    /// Results released.
    pub outcomes: u64,
    /// Charged jobs without an outcome: running, or lost.
    pub open: Vec<u64>,
    /// What was spent on each population.
    pub spent: BTreeMap<String, Cost>,
    /// What is wrong; empty when all holds.
    pub findings: Vec<Finding>,
}

struct Intent {
    index: u64,
    facts: JobFacts,
    closed: bool,
}

/// Checks all entries of `owner`'s log.
pub fn audit(log: &VerifiedLog, owner: &PeerId) -> Report {
    let mut audit = Audit { report: Report::default(), intents: BTreeMap::new(), last: BTreeMap::new() };
    for (index, entry) in (0u64..).zip(&log.entries) {
        audit.report.entries += 1;
        if let Err((rule, detail)) = audit.entry(index, entry, owner) {
            audit.report.findings.push(Finding { entry: index, rule, detail });
        }
    }
    audit.report.open = audit.intents.values().filter(|i| !i.closed).map(|i| i.index).collect();
    audit.report
}

type Broken = (&'static str, String);

struct Audit {
    report: Report,
    intents: BTreeMap<u64, Intent>,
    last: BTreeMap<ContentHash, LedgerLink>,
}

/// Opens one entry and checks its form and signature.
///
/// # Errors
/// The rule that is broken and what was seen.
pub fn open_entry(entry: &[u8], owner: &PeerId) -> Result<Statement, (&'static str, String)> {
    let envelope = Envelope::from_canonical(entry).map_err(|e| ("entry-form", e.to_string()))?;
    let signed = Signed::<Statement>::open(envelope).map_err(|e| ("entry-signature", e.to_string()))?;
    if signed.signer() != *owner {
        return Err(("entry-signer", format!("signed by {}, not by the owner", signed.signer())));
    }
    let statement = signed.body().clone();
    if statement.type_ != STATEMENT_TYPE || statement.predicate_type != statement.predicate.uri() || statement.subject.len() != 1
    {
        return Err(("statement-type", format!("predicate type {:?}", statement.predicate_type)));
    }
    Ok(statement)
}

impl Audit {
    fn entry(&mut self, index: u64, entry: &[u8], owner: &PeerId) -> Result<(), Broken> {
        let statement = open_entry(entry, owner)?;
        match statement.predicate {
            Predicate::Publication { .. } => {
                self.report.publications += 1;
                Ok(())
            }
            Predicate::Intent(facts) => self.intent(index, *facts),
            Predicate::Outcome { facts, intent, mode, .. } => {
                let cost = facts.ledger.cost;
                let (paid, noise) = match (cost.rho_micro.0, cost.epsilon_micro.0, cost.reviewed) {
                    (0, 0, 1..) => ("reviewed", "none"),
                    (0, 1.., 0) => ("dp", "discrete-laplace"),
                    _ => ("dp", "discrete-gaussian"),
                };
                if mode != paid || facts.mechanism.noise != noise {
                    return Err(("mode", format!("a result of mode {mode} with noise {}", facts.mechanism.noise)));
                }
                self.outcome(*facts, intent)
            }
        }
    }

    fn intent(&mut self, index: u64, facts: JobFacts) -> Result<(), Broken> {
        self.report.intents += 1;
        let link = facts.ledger.clone();
        if link.job != facts.job || link.buyer != facts.buyer {
            return Err(("ledger-binding", "the charge names another job or buyer".into()));
        }
        let (sequence, previous) = match self.last.get(&link.population) {
            None => (0, Sha256Digest([0; 32])),
            Some(last) => (last.sequence + 1, last.digest().map_err(|e| ("ledger-chain", e.to_string()))?),
        };
        if link.sequence != sequence || link.previous != previous {
            return Err(("ledger-chain", format!("link {} does not follow the one before it", link.sequence)));
        }
        let spent = self.report.spent.entry(link.population.to_string()).or_default();
        *spent = spent.plus(link.cost).ok_or(("ledger-cap", "the spent budget overflows".to_owned()))?;
        let within = spent.within(link.cap);
        let detail = format!("spent {spent} of {}", link.cap);
        self.last.insert(link.population, link);
        self.intents.insert(index, Intent { index, facts, closed: false });
        if within { Ok(()) } else { Err(("ledger-cap", detail)) }
    }

    fn outcome(&mut self, facts: JobFacts, intent: u64) -> Result<(), Broken> {
        self.report.outcomes += 1;
        let Some(opened) = self.intents.get_mut(&intent) else {
            return Err(("intent-first", format!("entry {intent} is no intent before this outcome")));
        };
        if opened.closed {
            return Err(("one-outcome", format!("intent {intent} was closed before")));
        }
        opened.closed = true;
        if opened.facts == facts { Ok(()) } else { Err(("same-facts", format!("differs from intent {intent}"))) }
    }
}
