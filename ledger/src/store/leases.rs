//! Parts of the budget handed to leaseholders: charged in full in advance, given back by a settlement, burnt without a
//! settlement.
//!
//! While a lease is out, a buyer's limit under it counts as spent by that buyer here too, so that caps hold over all holders
//! together.

use std::{collections::BTreeMap, time::SystemTime};

use redb::{ReadableDatabase as _, ReadableTable};
use serde::{Deserialize, Serialize};
use tidegate_protocol::{
    ContentHash, Cost, Envelope, Lease, PeerId, Settlement, Signed, limits,
    receipt::{LedgerLink, Party, Predicate, Statement},
};

use super::{
    append::append,
    error::{LeaseError, RecordFault, StoreError},
    links::{keep, next},
    schema::{LEASES, decode, read_cost, spent_key},
    state::Store,
    tables::Tables,
    versions,
};

/// Whereabouts of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whereabouts {
    /// The lease is with its leaseholder.
    Out,
    /// Lost: the whole lease counts as spent.
    Burnt,
}

/// A lease given to a leaseholder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Given {
    /// Id of the lease.
    pub id: ContentHash,
    /// Lease as signed.
    pub envelope: Envelope,
    /// Content of the lease.
    pub lease: Lease,
    /// Lower limits of individual buyers under the lease.
    pub less: BTreeMap<Party, Cost>,
    /// Whereabouts of the lease.
    pub state: Whereabouts,
}

/// Request for a lease.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Dataset lineage.
    pub population: ContentHash,
    /// Version of the dataset.
    pub manifest: ContentHash,
    /// Leaseholder.
    pub holder: PeerId,
    /// The holder's name for the lease.
    pub nonce: String,
    /// Requested amount.
    pub want: Cost,
    /// Cap of the dataset lineage.
    pub cap: Cost,
    /// Limit of each buyer.
    pub per_buyer: Cost,
    /// Revocation ids of the grant shown.
    pub grant_ids: Vec<String>,
    /// Start of the lease.
    pub now: SystemTime,
    /// End of the lease.
    pub until: SystemTime,
}

impl Given {
    /// Returns `buyer`'s limit under the lease, assumed spent until the actual spending is known.
    fn set_aside(&self, buyer: &Party) -> Cost {
        self.less.get(buyer).copied().unwrap_or(self.lease.per_buyer)
    }
}

/// Returns the key for recording a lease's end, by its id; `used` does so by its holder's name for the lease.
fn over(id: &ContentHash) -> String {
    format!("lease over {id}")
}

fn used(holder: &PeerId, nonce: &str) -> String {
    format!("lease name {holder}/{nonce}")
}

/// Returns the leases of a dataset lineage, in the order of its chain.
fn of(
    leases: &impl ReadableTable<(&'static str, u64), &'static [u8]>,
    population: &ContentHash,
) -> Result<Vec<Given>, StoreError> {
    let name = population.to_string();
    leases.range((name.as_str(), 0)..=(name.as_str(), u64::MAX))?.map(|item| decode(item?.1.value())).collect()
}

fn every(leases: &impl ReadableTable<(&'static str, u64), &'static [u8]>) -> Result<Vec<Given>, StoreError> {
    leases.iter()?.map(|item| decode(item?.1.value())).collect()
}

fn put(tables: &mut Tables<'_>, given: &Given) -> Result<(), StoreError> {
    let name = given.lease.population.to_string();
    tables.leases.insert((name.as_str(), given.lease.sequence), serde_json::to_vec(given)?.as_slice())?;
    Ok(())
}

fn sum(mut costs: impl Iterator<Item = Cost>) -> Result<Cost, StoreError> {
    costs.try_fold(Cost::default(), Cost::plus).ok_or(StoreError::Record(RecordFault::SetAside))
}

/// Returns the amount set aside by leases for `buyer`.
pub(super) fn set_aside(
    leases: &impl ReadableTable<(&'static str, u64), &'static [u8]>,
    population: &ContentHash,
    buyer: &Party,
) -> Result<Cost, StoreError> {
    sum(of(leases, population)?.iter().map(|given| given.set_aside(buyer)))
}

fn add(tables: &mut Tables<'_>, key: &str, cost: Cost) -> Result<(), StoreError> {
    let sum = read_cost(&tables.spent, key)?.plus(cost).ok_or(RecordFault::Charges)?;
    tables.spent.insert(key, serde_json::to_vec(&sum)?.as_slice())?;
    Ok(())
}

/// Returns the spending of each buyer.
fn buyers(tables: &Tables<'_>, population: &ContentHash) -> Result<BTreeMap<Party, Cost>, StoreError> {
    let prefix = format!("{population}/");
    let mut found = BTreeMap::new();
    for item in tables.spent.range(prefix.as_str()..)? {
        let (key, cost) = item?;
        let Some(name) = key.value().strip_prefix(prefix.as_str()) else { break };
        let buyer = name.parse().map_err(|_| RecordFault::Party { name: name.to_owned() })?;
        found.insert(buyer, decode(cost.value())?);
    }
    Ok(found)
}

fn text(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map(|t| t.to_string()).unwrap_or_default()
}

fn give(tables: &mut Tables<'_>, ask: &Ask) -> Result<Given, LeaseError> {
    versions::acts(tables, &ask.population, &ask.manifest, None)?.map_err(LeaseError::NotInForce)?;
    let all = of(&tables.leases, &ask.population)?;
    let theirs = || all.iter().filter(|given| given.lease.holder == ask.holder);
    if let Some(known) = theirs().find(|given| given.lease.nonce == ask.nonce) {
        return if known.state == Whereabouts::Out { Ok(known.clone()) } else { Err(LeaseError::Ended) };
    }
    if tables.once.get(used(&ask.holder, &ask.nonce).as_str())?.is_some() {
        return Err(LeaseError::Ended);
    }
    // A holder that asks under another name has lost track of its earlier lease: nobody can tell its spending.
    let lost: Vec<_> = theirs().filter(|given| given.state == Whereabouts::Out).cloned().collect();
    if all.iter().filter(|given| given.state == Whereabouts::Out).count() >= limits::LEASES + lost.len() {
        return Err(LeaseError::TooMany);
    }
    let left = read_cost(&tables.spent, &spent_key(&ask.population, None))?.left_of(ask.cap);
    let amount = Cost { reviewed: 0, ..ask.want.least(left) };
    let most = sum(all.iter().map(|given| given.lease.per_buyer))?;
    let per_buyer = Cost { reviewed: 0, ..most.left_of(ask.per_buyer).least(amount) };
    let pays = |cost: Cost| cost.rho_micro.0 > 0 || cost.epsilon_micro.0 > 0;
    if !pays(amount) || !pays(per_buyer) {
        return Err(LeaseError::Nothing);
    }
    let mut less = BTreeMap::new();
    for (buyer, spent) in buyers(tables, &ask.population)? {
        let gone = sum(all.iter().map(|given| given.set_aside(&buyer)).chain([spent]))?;
        let left = Cost { reviewed: 0, ..gone.left_of(ask.per_buyer).least(per_buyer) };
        if left != per_buyer {
            less.insert(buyer, left);
        }
    }
    if less.len() > limits::LEASE_LESS {
        return Err(LeaseError::TooManyBuyers);
    }
    for mut given in lost {
        burn(tables, &mut given)?;
    }
    let (sequence, previous) = next(tables, &ask.population)?;
    let (population, manifest, holder) = (ask.population, ask.manifest, ask.holder);
    let lease = Lease {
        version: 1,
        population,
        manifest,
        holder,
        amount,
        per_buyer,
        nonce: ask.nonce.clone(),
        sequence,
        given: text(ask.now),
        until: text(ask.until),
    };
    let signed = Signed::sign(lease.clone(), tables.identity()).map_err(StoreError::from)?;
    let envelope = signed.envelope().clone();
    let ledger =
        LedgerLink { buyer: holder.into(), cap: ask.cap, cost: amount, job: signed.id(), population, previous, sequence };
    add(tables, &spent_key(&population, None), amount)?;
    keep(tables, &ledger)?;
    let signature = envelope.signatures.first().map(|s| s.sig.clone()).unwrap_or_default();
    let says = Predicate::Lease { lease: Box::new(lease.clone()), signature, ledger, grant_ids: ask.grant_ids.clone() };
    append(tables, Statement::about("lease", envelope.payload_sha256(), says))?;
    let given = Given { id: signed.id(), envelope, lease, less, state: Whereabouts::Out };
    put(tables, &given)?;
    Ok(given)
}

fn burn(tables: &mut Tables<'_>, given: &mut Given) -> Result<(), StoreError> {
    given.state = Whereabouts::Burnt;
    put(tables, given)?;
    let (lease, population) = (given.id, given.lease.population);
    let says = Predicate::LeaseEnd { lease, population, settlement: None, signature: None };
    append(tables, Statement::about("lease", given.envelope.payload_sha256(), says)).map(drop)
}

/// Credits the unspent amount according to a settlement.
fn credit(tables: &mut Tables<'_>, given: &Given, settlement: &Settlement) -> Result<(), StoreError> {
    let key = spent_key(&given.lease.population, None);
    let without = given.lease.amount.left_of(read_cost(&tables.spent, &key)?);
    let after = without.plus(settlement.spent).ok_or(StoreError::Record(RecordFault::Charges))?;
    tables.spent.insert(key.as_str(), serde_json::to_vec(&after)?.as_slice())?;
    for (buyer, cost) in &settlement.buyers {
        add(tables, &spent_key(&given.lease.population, Some(buyer)), *cost)?;
    }
    let name = given.lease.population.to_string();
    tables.leases.remove((name.as_str(), given.lease.sequence))?;
    for key in [over(&given.id), used(&given.lease.holder, &given.lease.nonce)] {
        tables.once.insert(key.as_str(), given.lease.sequence)?;
    }
    Ok(())
}

fn settle(tables: &mut Tables<'_>, population: &ContentHash, signed: &Signed<Settlement>) -> Result<u64, LeaseError> {
    let settlement = signed.body();
    let all = of(&tables.leases, population)?;
    let found = all.into_iter().find(|given| given.id == settlement.lease);
    let again = format!("settlement {}", signed.id());
    if let Some(index) = tables.once.get(again.as_str())? {
        return Ok(index.value());
    }
    if tables.once.get(over(&settlement.lease).as_str())?.is_some() {
        return Err(LeaseError::Ended);
    }
    let Some(given) = found.filter(|given| given.lease.holder == signed.signer()) else { return Err(LeaseError::Unknown) };
    if given.state != Whereabouts::Out {
        return Err(LeaseError::Ended);
    }
    settlement.check(&given.lease).map_err(LeaseError::Settlement)?;
    let allowed = |(buyer, cost): (&Party, &Cost)| cost.within(given.set_aside(buyer));
    if !settlement.buyers.iter().all(allowed) {
        return Err(LeaseError::Settlement("buyers"));
    }
    credit(tables, &given, settlement)?;
    let index = append(tables, ended(population, signed))?;
    tables.once.insert(again.as_str(), index)?;
    Ok(index)
}

/// Builds the statement of a lease's end according to its leaseholder.
pub(super) fn ended(population: &ContentHash, signed: &Signed<Settlement>) -> Statement {
    let signature = signed.envelope().signatures.first().map(|s| s.sig.clone());
    let (lease, settlement) = (signed.body().lease, Some(Box::new(signed.body().clone())));
    let says = Predicate::LeaseEnd { lease, population: *population, settlement, signature };
    Statement::about("settlement", signed.envelope().payload_sha256(), says)
}

/// Restores given leases from a log's statements, if the ledger has lost them.
pub(super) fn remember(tables: &mut Tables<'_>, predicate: &Predicate, owner: &PeerId) -> Result<(), StoreError> {
    use tidegate_protocol::lease::Repeated as _;
    match predicate {
        Predicate::Lease { lease, signature, ledger, .. } => {
            let signed = lease.signed(owner, signature)?;
            let (id, envelope) = (signed.id(), signed.envelope().clone());
            add(tables, &spent_key(&lease.population, None), lease.amount)?;
            keep(tables, ledger)?;
            let less = BTreeMap::new();
            put(tables, &Given { id, envelope, lease: (**lease).clone(), less, state: Whereabouts::Out })
        }
        Predicate::LeaseEnd { lease, population, settlement, .. } => {
            let all = of(&tables.leases, population)?;
            let found = all.into_iter().find(|given| given.id == *lease);
            match (found, settlement) {
                (Some(given), Some(settlement)) => credit(tables, &given, settlement),
                (Some(mut given), None) => {
                    given.state = Whereabouts::Burnt;
                    put(tables, &given)
                }
                // A lease taken from another owner.
                (None, _) => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

impl Store {
    /// Charges a part of the budget, hands it over as a lease and logs this, in a single durable transaction.
    ///
    /// Asking again by the same name returns the same lease; a lease that the same holder had under another name, and did not
    /// give back, is burnt.
    ///
    /// # Errors
    /// Returns [`LeaseError`] if the lease is refused or the store fails; nothing was charged then.
    pub fn lease(&self, ask: Ask) -> Result<Given, LeaseError> {
        let given = self.committer.run(move |tables| settled(give(tables, &ask)))??;
        self.export()?;
        Ok(given)
    }

    /// Takes back the unspent part of a lease, logs this and returns the entry's index.
    ///
    /// # Errors
    /// Returns [`LeaseError`] if it has ended otherwise, or the settlement does not fit it.
    pub fn settle(&self, population: ContentHash, settlement: Signed<Settlement>) -> Result<u64, LeaseError> {
        let index = self.committer.run(move |tables| settled(settle(tables, &population, &settlement)))??;
        self.export()?;
        Ok(index)
    }

    /// Burns leases not returned by their end plus their own duration. Returns their number.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn burn_lost(&self, now: SystemTime) -> Result<u64, StoreError> {
        let lost = move |given: &Given| {
            let given_at = given.lease.given.parse::<jiff::Timestamp>().map(SystemTime::from).ok();
            let over = given.lease.until().zip(given_at).and_then(|(until, at)| Some(until + until.duration_since(at).ok()?));
            given.state == Whereabouts::Out && over.is_none_or(|over| over < now)
        };
        let table = self.db.begin_read()?.open_table(LEASES)?;
        if !every(&table)?.iter().any(lost) {
            return Ok(0);
        }
        let burnt = self.committer.run(move |tables| {
            let mut burnt = 0;
            for mut given in every(&tables.leases)?.into_iter().filter(lost) {
                burn(tables, &mut given)?;
                burnt += 1;
            }
            Ok(burnt)
        })?;
        self.export()?;
        Ok(burnt)
    }

    /// Returns the outstanding leases of a dataset lineage, in order.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn leases(&self, population: &ContentHash) -> Result<Vec<Given>, StoreError> {
        of(&self.db.begin_read()?.open_table(LEASES)?, population)
    }
}

/// Passes refusals through as values: a refused step has written nothing, so the other steps of the group go on.
pub(super) fn settled<T>(result: Result<T, LeaseError>) -> Result<Result<T, LeaseError>, StoreError> {
    match result {
        Err(LeaseError::Store(e)) => Err(e),
        settled => Ok(settled),
    }
}
