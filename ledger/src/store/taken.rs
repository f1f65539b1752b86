//! Leased parts of others' budgets: jobs over their datasets are charged to the single open lease of the `population` (dataset
//! lineage).

use std::{collections::BTreeMap, time::SystemTime};

use redb::{ReadableDatabase as _, ReadableTable};
use serde::{Deserialize, Serialize};
use tidegate_protocol::{
    ContentHash, Cost, Envelope, Lease, PeerId, Settlement, Signed, limits,
    receipt::{JobFacts, Party, Predicate, Statement},
};

use super::{
    append::append,
    error::{LeaseError, RecordFault, ReserveError, StoreError},
    leases::{ended, settled},
    schema::{SPENT, TAKEN, decode, read_cost, spent_key},
    state::Store,
    tables::Tables,
};

/// Status of a taken lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Jobs are charged to the lease.
    Open,
    /// Nothing is charged any more, and the owner must be told.
    Closed(Envelope),
    /// The lease is the owner's again.
    Settled,
    /// The remainder is lost: the owner has burnt the lease, or this ledger cannot tell its spending.
    Lost,
}

/// A lease taken from an owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// Id of the lease.
    pub id: ContentHash,
    /// Lease as signed by its owner.
    pub envelope: Envelope,
    /// Owner of the budget.
    pub owner: PeerId,
    /// Content of the lease.
    pub lease: Lease,
    /// Lower limits of individual buyers.
    pub less: BTreeMap<Party, Cost>,
    /// Spending of this node on the dataset lineage before the lease.
    pub base: Cost,
    /// Status of the lease.
    pub state: Standing,
}

impl Taken {
    /// Returns this node's limit for all spending on the dataset lineage, under this lease and earlier leases.
    pub fn cap(&self) -> Cost {
        self.base.plus(self.lease.amount).unwrap_or(self.base)
    }
}

fn get(taken: &impl ReadableTable<&'static str, &'static [u8]>, population: &ContentHash) -> Result<Option<Taken>, StoreError> {
    taken.get(population.to_string().as_str())?.map(|found| decode(found.value())).transpose()
}

fn put(tables: &mut Tables<'_>, taken: &Taken) -> Result<(), StoreError> {
    let name = taken.lease.population.to_string();
    tables.taken.insert(name.as_str(), serde_json::to_vec(taken)?.as_slice())?;
    Ok(())
}

/// Returns the key for recording a dataset lineage as held for another owner.
fn held(population: &ContentHash) -> String {
    format!("held {population}")
}

/// Returns the key under which the charges of an account to a lease are summed.
fn account(lease: &ContentHash, buyer: &Party) -> String {
    format!("lease {lease}/{buyer}")
}

/// Returns the key of a lease's document, which receipts go on naming.
fn document(lease: &ContentHash) -> String {
    format!("lease {lease}")
}

/// Returns the spending of each account under a lease.
fn buyers(tables: &Tables<'_>, lease: &ContentHash) -> Result<BTreeMap<Party, Cost>, StoreError> {
    let prefix = format!("lease {lease}/");
    let mut found = BTreeMap::new();
    for item in tables.spent.range(prefix.as_str()..)? {
        let (key, cost) = item?;
        let Some(name) = key.value().strip_prefix(prefix.as_str()) else { break };
        found.insert(name.parse().map_err(|_| RecordFault::Party { name: name.to_owned() })?, decode(cost.value())?);
    }
    Ok(found)
}

/// Returns a job's further account besides dataset lineage and buyer: an account of its lease, with its limit.
///
/// Returns `None` if the dataset lineage is this owner's.
pub(super) fn charged(tables: &Tables<'_>, facts: &JobFacts) -> Result<Option<(String, Cost)>, ReserveError> {
    let link = &facts.ledger;
    let Some(taken) = get(&tables.taken, &link.population)? else {
        let held = tables.taken.get(held(&link.population).as_str()).map_err(StoreError::from)?.is_some();
        return if facts.lease.is_none() && !held { Ok(None) } else { Err(ReserveError::Lease) };
    };
    let start = facts.slot_start.parse::<jiff::Timestamp>().map(SystemTime::from).ok();
    let in_time = start.zip(taken.lease.until()).is_some_and(|(start, until)| start < until);
    let fits = facts.lease == Some(taken.id) && facts.dataset == taken.lease.manifest && link.cap == taken.cap();
    if taken.state != Standing::Open || !in_time || !fits {
        return Err(ReserveError::Lease);
    }
    let key = account(&taken.id, &link.buyer);
    if tables.spent.get(key.as_str()).map_err(StoreError::from)?.is_none()
        && buyers(tables, &taken.id)?.len() >= limits::LEASE_BUYERS
    {
        return Err(ReserveError::Lease);
    }
    Ok(Some((key, taken.less.get(&link.buyer).copied().unwrap_or(taken.lease.per_buyer))))
}

fn take(tables: &mut Tables<'_>, signed: &Signed<Lease>, less: &BTreeMap<Party, Cost>) -> Result<Taken, LeaseError> {
    let lease = signed.body();
    match get(&tables.taken, &lease.population)? {
        Some(known) if known.id == signed.id() => return Ok(known),
        Some(Taken { state: Standing::Open | Standing::Closed(_), .. }) => return Err(LeaseError::TooMany),
        _ => {}
    }
    let base = read_cost(&tables.spent, &spent_key(&lease.population, None))?;
    let (envelope, owner) = (signed.envelope().clone(), signed.signer());
    let taken = Taken { id: signed.id(), envelope, owner, lease: lease.clone(), less: less.clone(), base, state: Standing::Open };
    append(tables, taken_over(signed))?;
    let text = serde_json::to_vec(&taken.envelope)?;
    tables.taken.insert(document(&taken.id).as_str(), text.as_slice()).map_err(StoreError::from)?;
    put(tables, &taken)?;
    Ok(taken)
}

/// Builds the statement of taking a lease.
fn taken_over(signed: &Signed<Lease>) -> Statement {
    let signature = signed.envelope().signatures.first().map(|s| s.sig.clone()).unwrap_or_default();
    let says = Predicate::LeaseTaken { lease: Box::new(signed.body().clone()), owner: signed.signer(), signature };
    Statement::about("lease", signed.envelope().payload_sha256(), says)
}

fn close(tables: &mut Tables<'_>, population: &ContentHash, now: SystemTime) -> Result<Option<Envelope>, StoreError> {
    let Some(mut taken) = get(&tables.taken, population)? else { return Ok(None) };
    match taken.state {
        Standing::Open => {}
        Standing::Closed(envelope) => return Ok(Some(envelope)),
        Standing::Settled | Standing::Lost => return Ok(None),
    }
    let buyers = buyers(tables, &taken.id)?;
    let spent = taken.base.left_of(read_cost(&tables.spent, &spent_key(population, None))?);
    let closed = jiff::Timestamp::try_from(now).map(|t| t.to_string()).unwrap_or_default();
    let settlement = Signed::sign(Settlement { version: 1, lease: taken.id, spent, buyers, closed }, tables.identity())?;
    append(tables, ended(population, &settlement))?;
    taken.state = Standing::Closed(settlement.envelope().clone());
    put(tables, &taken)?;
    Ok(Some(settlement.envelope().clone()))
}

/// Records the owner for whom a dataset lineage is held, once the log says so: only leases are charged then.
pub(super) fn hold(tables: &mut Tables<'_>, predicate: &Predicate) -> Result<(), StoreError> {
    let Predicate::Publication { population, owner: Some(owner), .. } = predicate else { return Ok(()) };
    tables.taken.insert(held(population).as_str(), owner.to_string().as_bytes())?;
    Ok(())
}

/// Restores taken leases from a log's statements, if the ledger has lost them.
///
/// They count as lost: spending that the log does not know of may have happened under them.
pub(super) fn remember(tables: &mut Tables<'_>, predicate: &Predicate) -> Result<(), StoreError> {
    use tidegate_protocol::lease::Repeated as _;
    hold(tables, predicate)?;
    let Predicate::LeaseTaken { lease, owner, signature } = predicate else { return Ok(()) };
    let signed = lease.signed(owner, signature)?;
    let base = read_cost(&tables.spent, &spent_key(&lease.population, None))?;
    let (id, envelope, state) = (signed.id(), signed.envelope().clone(), Standing::Lost);
    let text = serde_json::to_vec(&envelope)?;
    tables.taken.insert(document(&id).as_str(), text.as_slice())?;
    put(tables, &Taken { id, envelope, owner: *owner, lease: (**lease).clone(), less: BTreeMap::new(), base, state })
}

impl Store {
    /// Takes over a lease signed by its owner for this node, and logs this. Taking the same lease again has no effect.
    ///
    /// # Errors
    /// Returns [`LeaseError::TooMany`] if another lease of this dataset lineage has not come back.
    pub fn take(&self, lease: Signed<Lease>, less: BTreeMap<Party, Cost>) -> Result<Taken, LeaseError> {
        let taken = self.committer.run(move |tables| settled(take(tables, &lease, &less)))??;
        self.export()?;
        Ok(taken)
    }

    /// Returns the last lease taken of a dataset lineage.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn taken(&self, population: &ContentHash) -> Result<Option<Taken>, StoreError> {
        get(&self.db.begin_read()?.open_table(TAKEN)?, population)
    }

    /// Returns a taken lease, current or earlier, as signed by its owner.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn lease_document(&self, lease: &ContentHash) -> Result<Option<Envelope>, StoreError> {
        let taken = self.db.begin_read()?.open_table(TAKEN)?;
        taken.get(document(lease).as_str())?.map(|found| decode(found.value())).transpose()
    }

    /// Returns the remainder of a lease: in all, or for an account.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn left_of_lease(&self, taken: &Taken, buyer: Option<&Party>) -> Result<Cost, StoreError> {
        let tx = self.db.begin_read()?;
        let spent = tx.open_table(SPENT)?;
        let left = read_cost(&spent, &spent_key(&taken.lease.population, None))?.left_of(taken.cap());
        let Some(buyer) = buyer else { return Ok(left) };
        let cap = taken.less.get(buyer).copied().unwrap_or(taken.lease.per_buyer);
        Ok(read_cost(&spent, &account(&taken.id, buyer))?.left_of(cap).least(left))
    }

    /// Closes the open lease of a dataset lineage and logs its spending.
    ///
    /// Returns the signed [`Settlement`] for its owner, or `None` if there is nothing to report.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn close_lease(&self, population: ContentHash, now: SystemTime) -> Result<Option<Envelope>, StoreError> {
        let settlement = self.committer.run(move |tables| close(tables, &population, now))?;
        self.export()?;
        Ok(settlement)
    }

    /// Records the fate of a closed lease: returned to the owner, or burnt by the owner.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn lease_is_over(&self, population: ContentHash, returned: bool) -> Result<(), StoreError> {
        self.committer.run(move |tables| {
            let Some(mut taken) = get(&tables.taken, &population)? else { return Ok(()) };
            taken.state = if returned { Standing::Settled } else { Standing::Lost };
            put(tables, &taken)
        })
    }
}
