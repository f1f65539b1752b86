//! Offline audit of a verified log.
//!
//! It checks each entry by itself ([`entry`], [`alone`]), jobs and charges ([`jobs`]), leases ([`lease_entries`], and [`holder`]
//! for comparing two logs), the price of the noise ([`price`]), rights ([`rights`]), and parts of files ([`fetches`]).
//!
//! Memory grows with the jobs without an outcome, the grants in force, the datasets, and the dataset lineages with their buyers,
//! not with the log. An [`Audit`] is saved and loaded as JSON, and later continues from the entry at which it stopped.

use std::{collections::BTreeMap, time::SystemTime};

use tidegate_protocol::{
    PeerId, Sha256Digest,
    grant::Action,
    receipt::{Party, Predicate, Statement, entry::Ending},
};

pub mod alone;
mod answered;
pub mod entry;
pub mod fetches;
pub mod holder;
mod jobs;
mod lease_entries;
pub mod leases;
pub mod price;
mod report;
mod rights;
mod state;
mod time;
mod versions;

pub use entry::open_entry;
pub use report::{Broken, Finding, Report};
pub use state::Audit;

use entry::Opened;

/// Maximum number of findings in a report; further findings are only counted.
const TOLD: usize = 1000;

impl Audit {
    /// Begins the audit of `owner`'s log, with no entry read yet.
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

    /// Returns the owner of the log.
    pub fn owner(&self) -> PeerId {
        self.owner
    }

    /// Returns the number of checked entries.
    pub fn entries(&self) -> u64 {
        self.report.entries
    }

    /// Checks the entries from `index` on, in order: signatures on as many threads as there are processors, other rules entry by
    /// entry.
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

    /// Reports the state so far, as of the time `now`.
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
        // Its effects are recorded, whatever is wrong with it; the first broken rule is reported.
        let alone = alone::check(&statement, &self.owner);
        alone.and(self.after_others(index, statement, subject, receipt))
    }

    /// Widens the covered period by the times stated in an entry.
    fn happened(&mut self, what: &Predicate) {
        let (first, last) = match what {
            Predicate::Intent(facts) => (&facts.slot_start, &facts.slot_start),
            Predicate::Outcome { facts, .. } => (&facts.slot_start, &facts.slot_end),
            Predicate::Copy { time, .. } | Predicate::Replay { time, .. } => (time, time),
            _ => return,
        };
        let at = |text: &str| text.parse::<jiff::Timestamp>().ok();
        // Invalid times are found by another rule.
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

    /// Checks an entry against the state of earlier entries, and adds its own statement to the state.
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
            // Purged each time the number doubles, so that the additions pay for the scan.
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
                let (at, none) = (time::time(&time)?, fetches::Copies::default());
                self.copies.get(&peer).unwrap_or(&none).let_begin(&peer, at, |ids| self.rights.in_force(ids, at))
            }
            Predicate::Countersignature { buyer, job, outcome, signature } => {
                self.report.countersigned += 1;
                self.answered.countersigned(index, (buyer, job), outcome, subject, &signature, &self.opened)
            }
            Predicate::Replay { auditor, holder, population, outcome, grant_ids, time, .. } => {
                self.report.replays += 1;
                if outcome >= index {
                    return Err(("replay-of-receipt", format!("is for entry {outcome}, which is later")));
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
