//! Rules of leases: the leased amount was charged in full, each lease ends once, and a leaseholder charges nothing but the open
//! lease.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use tidegate_protocol::{
    ContentHash, Cost, Lease, PeerId, Settlement,
    grant::{Action, Ask},
    lease::Repeated as _,
    receipt::{JobFacts, LedgerLink, Party},
};

use super::{
    leases::{Seen, Taken},
    report::Broken,
    state::Audit,
    time::time,
};

fn bad(rule: &'static str, detail: impl Into<String>) -> Broken {
    (rule, detail.into())
}

impl Audit {
    /// Adds a lease given by this log's owner.
    pub(super) fn lease(&mut self, lease: Lease, signature: &str, link: &LedgerLink, ids: &[String]) -> Result<(), Broken> {
        let charged = self.link(link);
        let owner = self.owner;
        let signed = lease.signed(&owner, signature).map_err(|e| bad("lease-signature", e.to_string()))?;
        let (id, holder, population, amount) = (signed.id(), lease.holder, lease.population, lease.amount);
        let entry = self.report.entries.saturating_sub(1);
        self.report.leases.insert(id, Seen { entry, owner, holder, population, amount, spent: None, burnt: false });
        let ask = Ask { cost: amount, ..Ask::of(Action::Hold, time(&lease.given)?) };
        let allowed = self.rights.lease(&lease, link.cap, &ask, ids);
        self.leases.out.insert(id, lease);
        charged.and(allowed)
    }

    /// Adds a lease taken by this log's owner.
    pub(super) fn lease_taken(&mut self, lease: Lease, owner: PeerId, signature: &str) -> Result<(), Broken> {
        let signed = lease.signed(&owner, signature).map_err(|e| bad("lease-signature", e.to_string()))?;
        let (id, holder, population, amount) = (signed.id(), lease.holder, lease.population, lease.amount);
        let entry = self.report.entries.saturating_sub(1);
        self.report.leases.insert(id, Seen { entry, owner, holder, population, amount, spent: None, burnt: false });
        if self.rights.held_for(&lease.manifest) != Some((owner, population)) {
            return Err(bad("dataset-published", "the log has no dataset of the lease's owner and lineage"));
        }
        let base = self.report.spent.get(&population.to_string()).copied().unwrap_or_default();
        let taken = Taken { id, lease, base, buyers: BTreeMap::new(), open: true };
        match self.leases.taken.insert(population, taken) {
            // A lost lease is never closed: its remainder is not spent under another.
            Some(before) if before.id == id => Err(bad("lease-once", "the lease was already received")),
            _ => Ok(()),
        }
    }

    /// Checks whether a job over a dataset held for another owner is charged to the open lease, and other jobs to none.
    pub(super) fn leased(&mut self, facts: &JobFacts) -> Result<(), Broken> {
        let link = &facts.ledger;
        let refused = |why: &str| Err(bad("lease-in-force", why));
        let held = self.rights.held_for(&facts.dataset).is_some();
        let Some(id) = facts.lease else {
            return if held { refused("a job on a replica names no lease") } else { Ok(()) };
        };
        let Some(taken) = self.leases.taken.get_mut(&link.population).filter(|taken| taken.id == id) else {
            return refused("names a lease other than the last one received");
        };
        let spent = taken.buyers.entry(link.buyer).or_default();
        *spent = spent.plus(link.cost).ok_or_else(|| bad("ledger-cap", "the spent budget overflows"))?;
        let of_buyer = *spent;
        if !taken.open || facts.dataset != taken.lease.manifest {
            return refused("the lease has ended, or is for another version");
        }
        if taken.lease.until().is_none_or(|until| time(&facts.slot_start).is_ok_and(|start| start >= until)) {
            return refused("the lease had expired");
        }
        if taken.base.plus(taken.lease.amount) != Some(link.cap) {
            return Err(bad("cap-in-force", format!("names a cap of {}, which differs from the lease's total", link.cap)));
        }
        if !of_buyer.within(taken.lease.per_buyer) {
            return Err(bad("buyer-cap", format!("{} spent {of_buyer} of {}", link.buyer, taken.lease.per_buyer)));
        }
        Ok(())
    }

    /// Ends a lease, given or taken.
    pub(super) fn lease_end(
        &mut self,
        (id, population): (ContentHash, ContentHash),
        settlement: Option<Settlement>,
        signature: Option<&str>,
    ) -> Result<(), Broken> {
        if let Some(seen) = self.report.leases.get_mut(&id) {
            seen.burnt = settlement.is_none();
            seen.spent = settlement.as_ref().map(|settlement| settlement.spent);
        }
        let given = self.leases.out.remove(&id);
        let lease = match (&given, self.leases.taken.get_mut(&population).filter(|taken| taken.id == id && taken.open)) {
            (Some(given), _) => given.clone(),
            (None, Some(taken)) => {
                taken.open = false;
                taken.lease.clone()
            }
            (None, None) => return Err(bad("lease-once", "no such lease is open")),
        };
        if lease.population != population {
            return Err(bad("lease-form", "the lease is for another dataset lineage"));
        }
        let Some(settlement) = settlement else { return Ok(()) };
        let signed = settlement.signed(&lease.holder, signature.unwrap_or_default());
        signed.map_err(|e| bad("lease-signature", format!("the settlement: {e}")))?;
        settlement.check(&lease).map_err(|field| bad("lease-form", format!("the settlement's `{field}` is invalid")))?;
        if given.is_some() {
            return self.credit(&lease, &settlement);
        }
        let said = self.leases.taken.get(&population).map(|taken| &taken.buyers);
        // An account with no charge may be listed or not.
        let counted = |buyers: &BTreeMap<Party, Cost>| {
            buyers.iter().filter(|(_, c)| **c != Cost::default()).map(|(p, c)| (*p, *c)).collect::<BTreeMap<_, _>>()
        };
        if said.map(counted) != Some(counted(&settlement.buyers)) {
            return Err(bad("lease-spent", "the settlement differs from the charges to the lease"));
        }
        Ok(())
    }

    /// Returns the unspent amount to this owner and charges the rest to its buyers.
    fn credit(&mut self, lease: &Lease, settlement: &Settlement) -> Result<(), Broken> {
        let overflows = || bad("ledger-cap", "the spent budget overflows");
        let spent = self.report.spent.entry(lease.population.to_string()).or_default();
        *spent = lease.amount.left_of(*spent).plus(settlement.spent).ok_or_else(overflows)?;
        let cap = self.rights.per_buyer(&lease.manifest);
        let mut over = BTreeSet::new();
        for (buyer, cost) in &settlement.buyers {
            let of_buyer = self.by_buyer.entry(format!("{}/{buyer}", lease.population)).or_default();
            *of_buyer = of_buyer.plus(*cost).ok_or_else(overflows)?;
            if cap.is_some_and(|cap| !of_buyer.within(cap)) {
                over.insert(buyer);
            }
        }
        match over.first() {
            Some(buyer) => Err(bad("buyer-cap", format!("{buyer} spent more than the cap, over all replicas"))),
            None => Ok(()),
        }
    }

    /// Returns the given leases that expired by `now` without being settled.
    pub(super) fn lost(&self, now: SystemTime) -> Vec<ContentHash> {
        let over = |lease: &Lease| lease.until().is_none_or(|until| until < now);
        self.leases.out.iter().filter(|(_, lease)| over(lease)).map(|(id, _)| *id).collect()
    }
}
