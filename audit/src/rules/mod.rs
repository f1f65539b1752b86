//! The audit of a verified log, offline: each entry by itself ([`entry`], [`alone`]), jobs and charges ([`jobs`]), the price of the noise ([`price`]), rights ([`rights`]), parts of files ([`fetches`]).
//!
//! Memory grows with the jobs without an outcome, the grants in force, the datasets, and the populations with their buyers, not with the log. An [`Audit`] is
//! written and read as JSON, and goes on at a later time from the entry at which it stopped.

use std::{collections::BTreeMap, time::SystemTime};

use serde::{Deserialize, Serialize};
use tidegate_protocol::{
    ContentHash, Cost, PeerId, Sha256Digest,
    grant::Action,
    receipt::{JobFacts, LedgerLink, Party, Predicate, Statement, entry::Ending},
};

pub mod alone;
mod answered;
pub mod entry;
pub mod fetches;
mod jobs;
pub mod leases;
pub mod price;
mod rights;
mod versions;

pub use entry::open_entry;

use entry::Opened;

/// The most findings that a report lists; further findings are only counted.
const TOLD: usize = 1000;

/// A broken rule, and what was seen of it.
pub type Broken = (&'static str, String);

/// A broken rule at one entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Index of the offending entry.
    pub entry: u64,
    /// The rule that is broken.
    pub rule: String,
    /// What was seen.
    pub detail: String,
}

/// What an audit saw.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Entries read.
    pub entries: u64,
    /// Versions of datasets that were published.
    pub publications: u64,
    /// Versions and datasets that were retired.
    #[serde(default)]
    pub retirements: u64,
    /// Jobs that were charged.
    pub intents: u64,
    /// Charged jobs whose result was released.
    pub outcomes: u64,
    /// Charged jobs that the owner closed without a result.
    pub spent_not_released: u64,
    /// Jobs that were turned away.
    pub refusals: u64,
    /// Grants that were issued.
    pub grants: u64,
    /// Revocations.
    pub revocations: u64,
    /// Jobs that the owner read, approved or not.
    pub approvals: u64,
    /// Times that a peer was let copy a dataset.
    pub copies: u64,
    /// Parts of files that were sent.
    pub fetches: u64,
    /// Receipts that their buyers countersigned.
    #[serde(default)]
    pub countersigned: u64,
    /// Replays by auditors.
    pub replays: u64,
    /// Leases that this log's owner gave or took, by their ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub leases: BTreeMap<ContentHash, leases::Seen>,
    /// Leases that the owner gave, that ran out and that did not come back: their budget counts as spent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_leases: Vec<ContentHash>,
    /// Charged jobs without an outcome: running, or lost.
    pub open: Vec<u64>,
    /// What was spent on each population.
    pub spent: BTreeMap<String, Cost>,
    /// What may be spent on each population, by the last charge.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub caps: BTreeMap<String, Cost>,
    /// The first and the last time that an entry states, RFC 3339: slots of jobs, and when copies and replays were allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<(String, String)>,
    /// What this log states of a leaseholder's jobs, to compare with the leaseholder's own log.
    #[serde(skip)]
    pub stated: leases::Stated,
    /// Broken rules, the first of them; empty when all rules hold.
    pub findings: Vec<Finding>,
    /// The number of broken rules beyond those listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub further_findings: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A charged job that has no outcome yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Intent {
    facts: Box<JobFacts>,
    subject: Option<Sha256Digest>,
}

/// An audit of one owner's log, as far as it has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Audit {
    owner: PeerId,
    report: Report,
    /// Charged jobs without an outcome, by log index.
    intents: BTreeMap<u64, Intent>,
    /// The last link of each population's chain.
    last: BTreeMap<ContentHash, LedgerLink>,
    /// What each buyer spent, by population and buyer.
    by_buyer: BTreeMap<String, Cost>,
    rights: rights::Rights,
    versions: versions::Versions,
    /// Jobs that were approved, by their approvals' ids.
    approved: BTreeMap<ContentHash, ContentHash>,
    /// The last receipts, which their buyers may countersign.
    answered: answered::Answered,
    /// Leases, given and taken.
    #[serde(default)]
    leases: leases::Leases,
    /// What each party may begin to fetch files by.
    copies: BTreeMap<Party, fetches::Copies>,
    /// Number of these parties after the last time that some were forgotten.
    copying_at_most: usize,
    /// Whose names were opened to this auditor.
    #[serde(skip)]
    opened: BTreeMap<Party, PeerId>,
}

impl Audit {
    /// Begins the audit of `owner`'s log, of which no entry was read yet.
    pub fn new(owner: PeerId) -> Self {
        Self {
            owner,
            report: Report::default(),
            intents: BTreeMap::new(),
            last: BTreeMap::new(),
            by_buyer: BTreeMap::new(),
            rights: rights::Rights::default(),
            versions: versions::Versions::default(),
            approved: BTreeMap::new(),
            answered: answered::Answered::default(),
            leases: leases::Leases::default(),
            copies: BTreeMap::new(),
            copying_at_most: 0,
            opened: BTreeMap::new(),
        }
    }

    /// Names the parties behind the log's commitments: their signatures are checked from here on.
    pub fn open_names(&mut self, opened: BTreeMap<Party, PeerId>) {
        self.opened = opened;
    }

    /// The owner of the log.
    pub fn owner(&self) -> PeerId {
        self.owner
    }

    /// The number of entries that were checked.
    pub fn entries(&self) -> u64 {
        self.report.entries
    }

    /// Checks the entries from `index` on, in order: signatures on as many threads as there are processors, other rules one entry after another.
    pub fn bundle(&mut self, index: u64, entries: &[Vec<u8>]) {
        for (index, opened) in (index..).zip(entry::open_all(entries, &self.owner)) {
            self.report.entries += 1;
            if let Err((rule, detail)) = opened.and_then(|opened| self.entry(index, opened)) {
                self.finding(index, rule, detail);
            }
        }
    }

    fn finding(&mut self, entry: u64, rule: &str, detail: String) {
        if self.report.findings.len() < TOLD {
            self.report.findings.push(Finding { entry, rule: rule.into(), detail });
        } else {
            self.report.further_findings += 1;
        }
    }

    /// Reports what was seen until now, the time being `now`.
    pub fn report(&self, now: SystemTime) -> Report {
        let mut audit = self.clone();
        audit.report.open = self.intents.keys().copied().collect();
        audit.report.lost_leases = self.lost(now);
        audit.report.caps = self.last.iter().map(|(population, link)| (population.to_string(), link.cap)).collect();
        audit.report.stated = self.rights.stated(self.owner);
        for (index, intent) in &self.intents {
            if let Err((rule, detail)) = jobs::is_in_time(&intent.facts, now) {
                audit.finding(*index, rule, detail);
            }
        }
        audit.report
    }

    fn entry(&mut self, index: u64, opened: Opened) -> Result<(), Broken> {
        let Opened { statement, receipt } = opened;
        let subject = statement.subject.first().map(|s| s.digest.sha256);
        // What it changes is taken in, whatever is wrong with it; the first broken rule is told.
        let alone = alone::check(&statement, &self.owner);
        alone.and(self.after_others(index, statement, subject, receipt))
    }

    /// Widens the covered period by the times that an entry states.
    fn happened(&mut self, what: &Predicate) {
        let (first, last) = match what {
            Predicate::Intent(facts) => (&facts.slot_start, &facts.slot_start),
            Predicate::Outcome { facts, .. } => (&facts.slot_start, &facts.slot_end),
            Predicate::Copy { time, .. } | Predicate::Replay { time, .. } => (time, time),
            _ => return,
        };
        let at = |text: &str| text.parse::<jiff::Timestamp>().ok();
        // A time that is none is another rule's to find.
        let (Some(begun), Some(ended)) = (at(first), at(last)) else { return };
        match &mut self.report.period {
            None => self.report.period = Some((first.clone(), last.clone())),
            Some((from, to)) => {
                if at(from).is_none_or(|from| begun < from) {
                    from.clone_from(first);
                }
                if at(to).is_none_or(|to| ended > to) {
                    to.clone_from(last);
                }
            }
        }
    }

    /// Checks an entry against what earlier entries state, and adds to that what this one states.
    fn after_others(
        &mut self,
        index: u64,
        statement: Statement,
        subject: Option<Sha256Digest>,
        receipt: Option<Sha256Digest>,
    ) -> Result<(), Broken> {
        self.happened(&statement.predicate);
        if let Some((party, ids, Ok(at))) = fetches::copied(&statement.predicate) {
            self.copies.entry(party).or_default().add(ids, at);
            // Half of them at a time, so that looking through them is paid by those that came.
            if self.copies.len() >= 2 * self.copying_at_most.max(fetches::PARTIES) {
                self.copies.retain(|_, copies| !copies.are_over(at));
                self.copying_at_most = self.copies.len();
            }
        }
        match statement.predicate {
            Predicate::Publication { .. } => {
                self.report.publications += 1;
                let published = self.rights.publication(index, &statement.predicate);
                published.and(self.versions.hear(&statement.predicate))
            }
            Predicate::Retirement { .. } => {
                self.report.retirements += 1;
                self.versions.hear(&statement.predicate)
            }
            Predicate::Grant { .. } => {
                self.report.grants += 1;
                self.rights.grant(index, &statement.predicate)
            }
            Predicate::Revocation { grant } => {
                self.report.revocations += 1;
                self.rights.revoke(grant);
                Ok(())
            }
            Predicate::Approval { job, approval } => {
                self.report.approvals += 1;
                if let Some(approval) = approval {
                    self.approved.insert(job, approval);
                }
                Ok(())
            }
            Predicate::Refusal { .. } => {
                self.report.refusals += 1;
                Ok(())
            }
            Predicate::Copy { peer, holder, sealed, key, manifest, population, grant_ids, time } => {
                self.report.copies += 1;
                let what = match (sealed, key) {
                    (false, false) => &[Action::Replicate][..],
                    (true, false) => &[Action::Mirror, Action::Replicate],
                    (false, true) => &[Action::Hold],
                    (true, true) => return Err(alone::copy_of_both()),
                };
                let copied = self.rights.copy(holder.unwrap_or(peer), (manifest, population), what, &grant_ids, &time);
                copied.and(self.versions.copied(&population, &manifest))
            }
            Predicate::Fetch { peer, time, .. } => {
                self.report.fetches += 1;
                let (at, none) = (jobs::time(&time)?, fetches::Copies::default());
                self.copies.get(&peer).unwrap_or(&none).let_begin(&peer, at, |ids| self.rights.in_force(ids, at))
            }
            Predicate::Countersignature { buyer, job, outcome, signature } => {
                self.report.countersigned += 1;
                self.answered.countersigned(index, (buyer, job), outcome, subject, &signature, &self.opened)
            }
            Predicate::Replay { auditor, holder, population, outcome, grant_ids, time, .. } => {
                self.report.replays += 1;
                if outcome >= index {
                    return Err(("replay-of-receipt", format!("is of entry {outcome}, which comes after it")));
                }
                self.rights.replay(holder.unwrap_or(auditor), population, &grant_ids, &time)
            }
            Predicate::Lease { lease, signature, ledger, grant_ids } => {
                let newest = self.versions.leased(&lease);
                self.lease(*lease, &signature, &ledger, &grant_ids).and(newest)
            }
            Predicate::LeaseTaken { lease, owner, signature } => self.lease_taken(*lease, owner, &signature),
            Predicate::LeaseEnd { lease, population, settlement, signature } => {
                self.lease_end((lease, population), settlement.map(|s| *s), signature.as_deref())
            }
            Predicate::Intent(facts) => self.intent(index, facts, subject),
            Predicate::Outcome { facts, intent, outcome, .. } => {
                match outcome {
                    Ending::Released => self.report.outcomes += 1,
                    Ending::SpentNotReleased => self.report.spent_not_released += 1,
                }
                if let (Ending::Released, Some(receipt)) = (outcome, receipt) {
                    self.answered.released(index, receipt, (facts.buyer, facts.job));
                }
                self.outcome(*facts, intent, outcome, subject)
            }
        }
    }
}
