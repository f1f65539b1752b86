//! A job's way through the ledger: charged and its INTENT logged in one transaction, its result and OUTCOME in another.

use redb::{ReadableTable as _, WriteTransaction};
use tidegate_protocol::{
    Identity, Sha256Digest, limits,
    receipt::{LedgerLink, Predicate, Statement, entry::Ending},
};

use super::{
    JOBS, JobRecord, LINKS, Reservation, Reserve, ReserveError, SPENT, State, Store, StoreError, append::append, decode, find,
    job_key, read_cost, spent_key,
};

impl Store {
    /// Charges a job and logs its INTENT, in one durable transaction. The same request id and job is charged once: its record comes back.
    ///
    /// # Errors
    /// [`ReserveError`]; nothing was charged then.
    pub fn reserve(&self, ask: Reserve) -> Result<Result<Reservation, JobRecord>, ReserveError> {
        let key = job_key(&ask.facts.buyer, &ask.request);
        let identity = self.identity.clone();
        self.committer.run(move |tx| match reserve(tx, &identity, &key, ask.clone()) {
            // What was refused has written nothing: those beside it are not held up.
            Err(ReserveError::Store(e)) => Err(e),
            settled => Ok(settled),
        })?
    }

    /// Makes a result and its receipt durable, in one transaction.
    ///
    /// # Errors
    /// [`StoreError`]; the result must not be revealed then.
    pub fn finish(&self, reservation: Reservation, result: String) -> Result<JobRecord, StoreError> {
        let identity = self.identity.clone();
        self.committer.run(move |tx| settle(tx, &identity, &reservation, Some(result.clone())))
    }

    /// Closes a job that was charged and will have no result.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn close(&self, reservation: Reservation) -> Result<JobRecord, StoreError> {
        let identity = self.identity.clone();
        let record = self.committer.run(move |tx| settle(tx, &identity, &reservation, None))?;
        self.export()?;
        Ok(record)
    }
}

fn existing(tx: &WriteTransaction, key: &str) -> Result<Option<JobRecord>, StoreError> {
    let jobs = tx.open_table(JOBS)?;
    jobs.get(key)?.map(|v| decode(v.value())).transpose()
}

fn put(tx: &WriteTransaction, key: &str, record: &JobRecord) -> Result<(), StoreError> {
    tx.open_table(JOBS)?.insert(key, serde_json::to_vec(record)?.as_slice())?;
    Ok(())
}

fn reserve(
    tx: &WriteTransaction,
    identity: &Identity,
    key: &str,
    ask: Reserve,
) -> Result<Result<Reservation, JobRecord>, ReserveError> {
    let Some(record) = existing(tx, key)? else {
        let record = charge(tx, identity, key, ask)?;
        return Ok(Ok(Reservation { key: key.to_owned(), record }));
    };
    if record.facts.job != ask.facts.job {
        return Err(ReserveError::Conflict(ask.request));
    }
    Ok(match record.state {
        State::Reserved => Ok(Reservation { key: key.to_owned(), record }),
        State::Done { .. } | State::Closed { .. } => Err(record),
    })
}

fn charge(tx: &WriteTransaction, identity: &Identity, key: &str, ask: Reserve) -> Result<JobRecord, ReserveError> {
    let Reserve { job, mut facts, per_buyer, .. } = ask;
    let subject = job.payload_sha256();
    let population = facts.ledger.population;
    let (asked, cap) = (facts.ledger.cost, facts.ledger.cap);
    // All is looked at before anything is written.
    let mut charges = Vec::new();
    {
        let spent = tx.open_table(SPENT).map_err(StoreError::from)?;
        for (buyer, cap) in [(None, cap), (Some(&facts.buyer), per_buyer)] {
            let key = spent_key(&population, buyer);
            let before = read_cost(&spent, &key)?;
            let after = before.plus(asked).filter(|after| after.within(cap));
            let left = before.left_of(cap);
            let after = after.ok_or(match buyer {
                None => ReserveError::Population { left, asked },
                Some(_) => ReserveError::Buyer { left, asked },
            })?;
            charges.push((key, serde_json::to_vec(&after).map_err(StoreError::from)?));
        }
    }
    follow(tx, &mut facts.ledger)?;
    let statement = Statement::about(&format!("job {}", facts.job), subject, Predicate::Intent(Box::new(facts.clone())));
    let bytes = serde_json::to_vec(&statement).map_err(StoreError::from)?.len();
    let most = limits::DOCUMENT_BYTES - limits::OUTCOME_BYTES;
    if bytes > most {
        return Err(ReserveError::Oversized { bytes, most });
    }
    for (key, after) in charges {
        tx.open_table(SPENT).map_err(StoreError::from)?.insert(key.as_str(), after.as_slice()).map_err(StoreError::from)?;
    }
    keep(tx, &facts.ledger)?;
    let intent = append(tx, identity, statement)?;
    let record = JobRecord { job, facts, intent, state: State::Reserved };
    put(tx, key, &record)?;
    Ok(record)
}

/// Fills in sequence and previous.
fn follow(tx: &WriteTransaction, link: &mut LedgerLink) -> Result<(), StoreError> {
    let name = link.population.to_string();
    let links = tx.open_table(LINKS)?;
    let last: Option<LedgerLink> = links
        .range((name.as_str(), 0)..=(name.as_str(), u64::MAX))?
        .next_back()
        .map(|item| decode(item?.1.value()))
        .transpose()?;
    (link.sequence, link.previous) = match last {
        Some(last) => (last.sequence + 1, last.digest()?),
        None => (0, Sha256Digest([0; 32])),
    };
    Ok(())
}

pub(super) fn keep(tx: &WriteTransaction, link: &LedgerLink) -> Result<(), StoreError> {
    let name = link.population.to_string();
    tx.open_table(LINKS)?.insert((name.as_str(), link.sequence), serde_json::to_vec(link)?.as_slice())?;
    Ok(())
}

/// Ends a job, with a result or without one.
fn settle(
    tx: &WriteTransaction,
    identity: &Identity,
    reservation: &Reservation,
    result: Option<String>,
) -> Result<JobRecord, StoreError> {
    let Reservation { key, record } = reservation;
    let mut record = record.clone();
    if let Some(stored) = existing(tx, key)?
        && stored.state != State::Reserved
    {
        // Another submission of the same id came first: its bytes are the result, these are dropped unseen.
        return Ok(stored);
    }
    let job = record.facts.job;
    let (name, subject, outcome) = match &result {
        Some(result) => (format!("result of job {job}"), Sha256Digest::of(result.as_bytes()), Ending::Released),
        None => (format!("job {job}"), record.job.payload_sha256(), Ending::SpentNotReleased),
    };
    let mode = match (&result, record.facts.ledger.cost.reviewed) {
        (None, _) => "none",
        (Some(_), 0) => "dp",
        (Some(_), _) => "reviewed",
    };
    let facts = Box::new(record.facts.clone());
    let predicate = Predicate::Outcome { facts, intent: record.intent, mode: mode.into(), outcome };
    let outcome = append(tx, identity, Statement::about(&name, subject, predicate))?;
    record.state = match result {
        Some(result) => State::Done { result, outcome },
        None => State::Closed { outcome },
    };
    put(tx, key, &record)?;
    find::remember(tx, key, &record)?;
    Ok(record)
}
