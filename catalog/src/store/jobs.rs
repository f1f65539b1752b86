//! A job's way through the ledger: charged and its INTENT logged in one transaction, its result and OUTCOME in another.

use redb::{ReadableTable as _, WriteTransaction};
use serde::Deserialize;
use tidegate_protocol::{
    Envelope, Identity, Sha256Digest,
    dsse::Document as _,
    limits,
    receipt::{
        LedgerLink, Statement,
        draft::{Draft, Facts},
        entry::Ending,
    },
};

use super::{
    JOBS, JobRecord, LAST, LINKS, Reservation, Reserve, ReserveError, SPENT, State, Store, StoreError, append::append_bytes,
    decode, find, grants, job_key, read_cost, spent_key,
};

impl Store {
    /// Charges a job and logs its INTENT, in one durable transaction. The same request id and job is charged once: its record comes back.
    ///
    /// # Errors
    /// [`ReserveError`]; nothing was charged then.
    pub fn reserve(&self, ask: Reserve) -> Result<Result<Reservation, JobRecord>, ReserveError> {
        let key = job_key(&ask.facts.buyer, &ask.request);
        let identity = self.identity.clone();
        // What takes time is done before others wait for it.
        let draft = Draft::of(ask.facts.clone(), ask.job.payload_sha256()).map_err(StoreError::from)?;
        let most = limits::DOCUMENT_BYTES - limits::OUTCOME_BYTES;
        if draft.most() > most {
            return Err(ReserveError::Oversized { bytes: draft.most(), most });
        }
        self.committer.run(move |tx| match reserve(tx, &identity, &key, ask.clone(), &draft) {
            // What was refused has written nothing: those beside it are not held up.
            Err(ReserveError::Store(e)) => Err(e),
            settled => Ok(settled),
        })?
    }

    /// Makes a result and its receipt durable, in one transaction. `commitment` is to the sums that it was made of.
    ///
    /// # Errors
    /// [`StoreError`]; the result must not be revealed then.
    pub fn finish(&self, reservation: Reservation, result: String, commitment: Sha256Digest) -> Result<JobRecord, StoreError> {
        let settled = Settled::of(reservation, Some((result, commitment)), &self.identity)?;
        self.committer.run(move |tx| settled.put(tx))
    }

    /// Closes a job that was charged and will have no result.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn close(&self, reservation: Reservation) -> Result<JobRecord, StoreError> {
        let settled = Settled::of(reservation, None, &self.identity)?;
        let record = self.committer.run(move |tx| settled.put(tx))?;
        self.export()?;
        Ok(record)
    }
}

fn existing(tx: &WriteTransaction, key: &str) -> Result<Option<JobRecord>, StoreError> {
    let jobs = tx.open_table(JOBS)?;
    jobs.get(key)?.map(|v| decode(v.value())).transpose()
}

/// Stores a [`JobRecord`], of which the facts are written already.
fn put(tx: &WriteTransaction, key: &str, record: &JobRecord, facts: &Facts) -> Result<(), StoreError> {
    let (job, state) = (serde_json::to_string(&record.job)?, serde_json::to_string(&record.state)?);
    let text = format!("{{\"job\":{job},\"facts\":{},\"intent\":{},\"state\":{state}}}", facts.json(), record.intent);
    tx.open_table(JOBS)?.insert(key, text.as_bytes())?;
    Ok(())
}

fn reserve(
    tx: &WriteTransaction,
    identity: &Identity,
    key: &str,
    ask: Reserve,
    draft: &Draft,
) -> Result<Result<Reservation, JobRecord>, ReserveError> {
    let Some(record) = existing(tx, key)? else {
        let (record, facts) = charge(tx, identity, key, ask, draft.clone())?;
        return Ok(Ok(Reservation { key: key.to_owned(), record, facts: Some(facts) }));
    };
    if record.facts.job != ask.facts.job {
        return Err(ReserveError::Conflict(ask.request));
    }
    Ok(match record.state {
        State::Reserved => Ok(Reservation { key: key.to_owned(), record, facts: None }),
        State::Done { .. } | State::Closed { .. } => Err(record),
    })
}

fn charge(
    tx: &WriteTransaction,
    identity: &Identity,
    key: &str,
    ask: Reserve,
    draft: Draft,
) -> Result<(JobRecord, Facts), ReserveError> {
    let Reserve { job, mut facts, per_buyer, .. } = ask;
    let population = facts.ledger.population;
    let (asked, cap) = (facts.ledger.cost, facts.ledger.cap);
    // All is looked at before anything is written.
    let mut charges = Vec::new();
    if !grants::may_begin(tx, &facts)? {
        return Err(ReserveError::Rate);
    }
    {
        let spent = tx.open_table(SPENT).map_err(StoreError::from)?;
        for (buyer, cap) in [(None, cap), (Some(&facts.ledger.buyer), per_buyer)] {
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
    let intent = draft.placed(facts.ledger.sequence, facts.ledger.previous).map_err(StoreError::from)?;
    let written = intent.facts().map_err(StoreError::from)?;
    let entry = entry(intent.payload(), identity)?;
    for (key, after) in charges {
        tx.open_table(SPENT).map_err(StoreError::from)?.insert(key.as_str(), after.as_slice()).map_err(StoreError::from)?;
    }
    keep_written(tx, &facts.ledger, intent.link())?;
    grants::count(tx, &facts)?;
    let intent = append_bytes(tx, &entry)?;
    let record = JobRecord { job, facts, intent, state: State::Reserved };
    put(tx, key, &record, &written)?;
    Ok((record, written))
}

/// A statement's entry.
fn entry(payload: &str, identity: &Identity) -> Result<Vec<u8>, StoreError> {
    Ok(Envelope::sign(Statement::PAYLOAD_TYPE, payload.as_bytes(), identity).to_canonical()?)
}

/// Fills in sequence and previous.
fn follow(tx: &WriteTransaction, link: &mut LedgerLink) -> Result<(), StoreError> {
    let last = tx.open_table(LAST)?;
    (link.sequence, link.previous) = match last.get(link.population.to_string().as_str())? {
        Some(last) => (last.value().0 + 1, Sha256Digest(last.value().1)),
        None => (0, Sha256Digest([0; 32])),
    };
    Ok(())
}

pub(super) fn keep(tx: &WriteTransaction, link: &LedgerLink) -> Result<(), StoreError> {
    keep_written(tx, link, &link.to_canonical()?)
}

/// As [`keep`], of a link in canonical JSON.
fn keep_written(tx: &WriteTransaction, link: &LedgerLink, written: &str) -> Result<(), StoreError> {
    let name = link.population.to_string();
    tx.open_table(LINKS)?.insert((name.as_str(), link.sequence), written.as_bytes())?;
    tx.open_table(LAST)?.insert(name.as_str(), (link.sequence, Sha256Digest::of(written.as_bytes()).0))?;
    Ok(())
}

/// A job's end, signed, before it is durable: what takes time is done before others wait for it.
struct Settled {
    key: String,
    record: JobRecord,
    facts: Facts,
    result: Option<String>,
    entry: Vec<u8>,
    /// What it asked, for those who ask it again.
    question: Option<String>,
}

/// A stored job's state alone.
#[derive(Deserialize)]
struct StateOnly {
    state: State,
}

impl Settled {
    /// With a result or without one.
    fn of(reservation: Reservation, result: Option<(String, Sha256Digest)>, identity: &Identity) -> Result<Self, StoreError> {
        let Reservation { key, record, facts } = reservation;
        let job = record.facts.job;
        let (result, commitment) = result.unzip();
        let (name, subject, outcome) = match &result {
            Some(result) => (format!("result of job {job}"), Sha256Digest::of(result.as_bytes()), Ending::Released),
            None => (format!("job {job}"), record.job.payload_sha256(), Ending::SpentNotReleased),
        };
        let mode = match (&result, record.facts.ledger.cost.reviewed) {
            (None, _) => "none",
            (Some(_), 0) => "dp",
            (Some(_), _) => "reviewed",
        };
        // One that was begun before the node's last start is written out anew.
        let facts = facts.map_or_else(|| Facts::of(&record.facts), Ok)?;
        let entry = entry(&facts.outcome((&name, subject), record.intent, mode, outcome, commitment), identity)?;
        let question = result.as_ref().and_then(|_| find::question(&record));
        Ok(Self { key, record, facts, result, entry, question })
    }

    fn put(&self, tx: &WriteTransaction) -> Result<JobRecord, StoreError> {
        let ended = match tx.open_table(JOBS)?.get(self.key.as_str())? {
            Some(stored) => decode::<StateOnly>(stored.value())?.state != State::Reserved,
            None => false,
        };
        if ended && let Some(stored) = existing(tx, &self.key)? {
            // Another submission of the same id came first: its bytes are the result, these are dropped unseen.
            return Ok(stored);
        }
        let outcome = append_bytes(tx, &self.entry)?;
        let mut record = self.record.clone();
        record.state = match &self.result {
            Some(result) => State::Done { result: result.clone(), outcome },
            None => State::Closed { outcome },
        };
        put(tx, &self.key, &record, &self.facts)?;
        if let Some(question) = &self.question {
            tx.open_table(find::ASKED)?.insert(question.as_str(), self.key.as_str())?;
        }
        Ok(record)
    }
}
