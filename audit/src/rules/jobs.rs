//! Rules of jobs: each charge follows the previous and stays within its caps; each intent has a single outcome, with the same
//! facts.

use std::time::{Duration, SystemTime};

use tidegate_protocol::{
    Cost, Sha256Digest, limits,
    receipt::{JobFacts, LedgerLink, entry::Ending},
};

use super::{
    report::Broken,
    state::{Audit, Intent},
    time::time,
};

/// Time after its slot during which a job may lack an outcome: an interrupted node finishes the job in its next run.
const LATE: Duration = Duration::from_secs(24 * 3600);

/// Checks whether a job without an outcome may still be running at `now`.
pub(super) fn is_in_time(facts: &JobFacts, now: SystemTime) -> Result<(), Broken> {
    let end = time(&facts.slot_end)?;
    if end + LATE < now {
        return Err(("intent-closed", format!("charged, and has had no outcome since {}", facts.slot_end)));
    }
    let skew = Duration::from_secs(limits::CLOCK_SKEW_SECONDS as u64);
    if time(&facts.slot_start)? > now + skew {
        return Err(("time", format!("its time budget begins in the future: {}", facts.slot_start)));
    }
    Ok(())
}

impl Audit {
    pub(super) fn intent(&mut self, index: u64, facts: Box<JobFacts>, subject: Option<Sha256Digest>) -> Result<(), Broken> {
        self.report.intents += 1;
        // Charges are counted, whatever else is wrong with them; the first broken rule is reported.
        let (version, newest) = match self.versions.job(&facts) {
            Ok(newest) => (Ok(()), newest.map(|newest| (newest.cap, newest.per_buyer))),
            Err(broken) => (Err(broken), None),
        };
        let charged = self.charge(&facts, newest.map(|(_, per_buyer)| per_buyer));
        let allowed = self.rights.job(&facts, newest.map(|(cap, _)| cap));
        // If the version is not in force, the facts need not fit it.
        let allowed = version.and(allowed).and_then(|()| self.approval(&facts));
        self.intents.insert(index, Intent { facts, subject });
        charged.and(allowed)
    }

    /// Charges a job. If a newer version governs too, `newest` is a buyer's limit by the newer version.
    fn charge(&mut self, facts: &JobFacts, newest: Option<Cost>) -> Result<(), Broken> {
        let link = &facts.ledger;
        let linked = self.link(link);
        let leased = self.leased(facts);
        let overflows = || ("ledger-cap", "the spent budget overflows".to_owned());
        let buyer = self.by_buyer.entry(format!("{}/{}", link.population, link.buyer)).or_default();
        *buyer = buyer.plus(link.cost).ok_or_else(overflows)?;
        let buyer = *buyer;
        linked.and(leased)?;
        let cap = self.rights.per_buyer(&facts.dataset);
        match cap.map(|cap| newest.map_or(cap, |newest| cap.least(newest))) {
            Some(cap) if !buyer.within(cap) => Err(("buyer-cap", format!("{} spent {buyer} of {cap}", link.buyer))),
            _ => Ok(()),
        }
    }

    /// Checks whether a charge follows the previous charge, and all charges are within the cap.
    pub(super) fn link(&mut self, link: &LedgerLink) -> Result<(), Broken> {
        let (sequence, previous) = match self.last.get(&link.population) {
            None => (0, Sha256Digest([0; 32])),
            Some(last) => (last.sequence + 1, last.digest().map_err(|e| ("ledger-chain", e.to_string()))?),
        };
        let follows = link.sequence == sequence && link.previous == previous;
        self.last.insert(link.population, link.clone());
        let overflows = || ("ledger-cap", "the spent budget overflows".to_owned());
        let spent = self.report.spent.entry(link.population.to_string()).or_default();
        *spent = spent.plus(link.cost).ok_or_else(overflows)?;
        let spent = *spent;
        if !follows {
            return Err(("ledger-chain", format!("link {} does not follow the previous link", link.sequence)));
        }
        if !spent.within(link.cap) {
            return Err(("ledger-cap", format!("spent {spent} of {}", link.cap)));
        }
        Ok(())
    }

    fn approval(&self, facts: &JobFacts) -> Result<(), Broken> {
        match facts.approval {
            Some(approval) if self.approved.get(&facts.job) != Some(&approval) => {
                Err(("approval-logged", format!("the log has no earlier approval {} of this job", approval.short())))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn outcome(
        &mut self,
        facts: JobFacts,
        intent: u64,
        outcome: Ending,
        subject: Option<Sha256Digest>,
    ) -> Result<(), Broken> {
        let Some(opened) = self.intents.remove(&intent) else {
            return Err(("one-outcome", format!("entry {intent} is not an earlier intent, or already has an outcome")));
        };
        if *opened.facts != facts {
            return Err(("same-facts", format!("differs from intent {intent}")));
        }
        if outcome == Ending::SpentNotReleased && subject != opened.subject {
            return Err(("subject", "an outcome without a result must have its job as subject".into()));
        }
        Ok(())
    }
}
