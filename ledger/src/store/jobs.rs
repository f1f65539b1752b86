//! Steps of a job in the ledger: the charge and its INTENT in a transaction, the result and its OUTCOME in another.

use std::sync::Arc;

use redb::ReadableTable as _;
use tidegate_protocol::{
    Identity, Sha256Digest, limits,
    receipt::{
        draft::{Draft, Facts},
        entry::Ending,
    },
};

use super::{
    error::{ReserveError, StoreError},
    find, grants, leases,
    links::{keep_written, next},
    record::{JobRecord, Reservation, Reserve, State},
    row,
    schema::{job_key, read_cost, spent_key},
    state::Store,
    stored::{self, Entry},
    tables::{Tables, standing::Says},
    taken, versions,
};
use tidegate_audit::rules::alone::{self, Checked};

impl Store {
    /// Charges a job and logs its INTENT, in one durable transaction.
    ///
    /// The same request id and job are charged once: a repeat returns the existing record.
    ///
    /// # Errors
    /// Returns [`ReserveError`] if the job is refused or the store fails; nothing was charged then.
    pub fn reserve(&self, ask: Reserve) -> Result<Result<Reservation, JobRecord>, ReserveError> {
        // Slow work is done before others wait for this step.
        let asked = Arc::new(Asked::of(ask)?);
        let step = asked.clone();
        let begun = self.committer.run(move |tables| match reserve(tables, &step) {
            // A refused step has written nothing, so the other steps of the group go on.
            Err(ReserveError::Store(StoreError::Rule { rule, detail })) => Ok(Err(ReserveError::Rule { rule, detail })),
            Err(ReserveError::Store(e)) => Err(e),
            settled => Ok(settled),
        })??;
        Ok(match begun {
            Begun::Now(begun) => {
                let Asked { key, ask, .. } = Arc::unwrap_or_clone(asked);
                let Reserve { job: envelope, mut facts, .. } = ask;
                (facts.ledger.sequence, facts.ledger.previous) = (begun.sequence, begun.previous);
                let record = JobRecord { job: envelope, facts, intent: begun.intent, state: State::Reserved };
                Ok(Reservation { key, record, written: begun.facts })
            }
            Begun::Before(record, written) if record.state == State::Reserved => {
                Ok(Reservation { key: asked.key.clone(), record: *record, written })
            }
            Begun::Before(record, _) => Err(*record),
        })
    }

    /// Makes a result and its receipt durable, in one transaction. `commitment` commits to the sums behind the result.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails; the result must not be revealed then.
    pub fn finish(&self, reservation: Reservation, result: String, commitment: Sha256Digest) -> Result<JobRecord, StoreError> {
        self.end(reservation, Some((result, commitment)))
    }

    /// Closes a charged job that will have no result.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn close(&self, reservation: Reservation) -> Result<JobRecord, StoreError> {
        let record = self.end(reservation, None)?;
        self.export()?;
        Ok(record)
    }

    fn end(&self, reservation: Reservation, result: Option<(String, Sha256Digest)>) -> Result<JobRecord, StoreError> {
        let settled = Arc::new(Settled::of(reservation, result, &self.identity)?);
        let step = settled.clone();
        Ok(match self.committer.run(move |tables| step.put(tables))? {
            Ended::Now(outcome) => {
                let Settled { mut record, result, .. } = Arc::unwrap_or_clone(settled);
                record.state = match result {
                    Some(result) => State::Done { result, outcome },
                    None => State::Closed { outcome },
                };
                record
            }
            Ended::Before(record) => *record,
        })
    }
}

/// Request with the parts serialised beforehand.
#[derive(Clone)]
struct Asked {
    key: String,
    ask: Reserve,
    /// The buyer's signed job, as JSON.
    job: String,
    draft: Draft,
    checked: Checked,
}

impl Asked {
    fn of(ask: Reserve) -> Result<Self, ReserveError> {
        let checked = alone::intent(&ask.facts).map_err(|(rule, detail)| ReserveError::Rule { rule, detail })?;
        let draft = Draft::of(&ask.facts, ask.job.payload_sha256()).map_err(StoreError::from)?;
        let most = limits::DOCUMENT_BYTES - limits::OUTCOME_BYTES;
        if draft.most() > most {
            return Err(ReserveError::Oversized { bytes: draft.most(), most });
        }
        let job = serde_json::to_string(&ask.job).map_err(StoreError::from)?;
        Ok(Self { key: job_key(&ask.facts.buyer, &ask.request), ask, job, draft, checked })
    }
}

/// Place of a job in the log and the chain of charges.
struct Place {
    sequence: u64,
    previous: Sha256Digest,
    intent: u64,
    facts: Facts,
}

enum Begun {
    Now(Place),
    /// The same request existed, with these facts.
    Before(Box<JobRecord>, Facts),
}

fn existing(tables: &mut Tables<'_>, key: &str) -> Result<Option<Box<JobRecord>>, StoreError> {
    if tables.rows.jobs.get(key)?.is_none() {
        return Ok(None);
    }
    // It may have been added in this very transaction, and its facts are in its entry.
    tables.settle()?;
    Ok(tables.rows.get(key)?.map(Box::new))
}

fn reserve(tables: &mut Tables<'_>, asked: &Asked) -> Result<Begun, ReserveError> {
    let Some(record) = existing(tables, &asked.key)? else {
        return Ok(Begun::Now(charge(tables, asked)?));
    };
    if record.facts.job != asked.ask.facts.job {
        return Err(ReserveError::Conflict { request: asked.ask.request.clone() });
    }
    let written = stored::facts(&tables.rows.entries, record.intent)?;
    Ok(Begun::Before(record, written))
}

fn charge(tables: &mut Tables<'_>, asked: &Asked) -> Result<Place, ReserveError> {
    let Asked { key, ask: Reserve { facts, per_buyer, .. }, job, draft, checked } = asked;
    let link = &facts.ledger;
    // Everything is checked before anything is written.
    let mut charges = Vec::new();
    let acts = versions::acts(tables, &link.population, &facts.dataset, facts.policy_newest)?;
    acts.map_err(ReserveError::NotInForce)?;
    if !grants::may_begin(tables, facts)? {
        return Err(ReserveError::Rate);
    }
    // Amounts set aside by leases for this buyer may be spent elsewhere.
    let elsewhere = leases::set_aside(&tables.leases, &link.population, &link.buyer)?;
    let of_buyer = (Some(&link.buyer), spent_key(&link.population, Some(&link.buyer)), elsewhere.left_of(*per_buyer));
    let of_lease = taken::charged(tables, facts)?.map(|(key, cap)| (Some(&link.buyer), key, cap));
    let of_all = (None, spent_key(&link.population, None), link.cap);
    for (buyer, key, cap) in [of_all, of_buyer].into_iter().chain(of_lease) {
        let before = read_cost(&tables.spent, &key)?;
        let after = before.plus(link.cost).filter(|after| after.within(cap));
        let (left, asked) = (before.left_of(cap), link.cost);
        let after = after.ok_or(match buyer {
            None => ReserveError::Population { left, asked },
            Some(_) => ReserveError::Buyer { left, asked },
        })?;
        charges.push((key, serde_json::to_vec(&after).map_err(StoreError::from)?));
    }
    let (sequence, previous) = next(tables, &link.population)?;
    let intent = draft.placed(sequence, previous).map_err(StoreError::from)?;
    let written = intent.facts().map_err(StoreError::from)?;
    let chained = intent.link().to_owned();
    let intent = tables.append_statement(Says::Intent(facts), intent.into_payload(), *checked)?;
    for (key, after) in charges {
        tables.spent.insert(key.as_str(), after.as_slice()).map_err(StoreError::from)?;
    }
    keep_written(tables, &link.population, sequence, &chained)?;
    grants::count(tables, facts)?;
    let begun = row::begun(&facts.job, job, intent);
    tables.rows.jobs.insert(key.as_str(), begun.as_bytes()).map_err(StoreError::from)?;
    Ok(Place { sequence, previous, intent, facts: written })
}

/// End of a job, signed, before it is durable.
#[derive(Clone)]
struct Settled {
    key: String,
    record: JobRecord,
    result: Option<String>,
    /// The result as JSON.
    result_text: Option<String>,
    entry: Entry,
    checked: Checked,
    /// Key of the job's question, for repeated requests.
    question: Option<String>,
}

enum Ended {
    /// Ended now, with the OUTCOME at this index.
    Now(u64),
    /// Another submission of the same id came first: its bytes are the result, and these are dropped unseen.
    Before(Box<JobRecord>),
}

impl Settled {
    /// Prepares the end of a job, with a result or without.
    fn of(reservation: Reservation, result: Option<(String, Sha256Digest)>, identity: &Identity) -> Result<Self, StoreError> {
        let Reservation { key, record, written } = reservation;
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
        let checked = alone::outcome(&record.facts, mode, outcome, commitment)?;
        let outcome = written.outcome((&name, subject), record.intent, mode, outcome, commitment);
        let entry = Entry::sign_outcome(&outcome, record.intent, identity)?;
        let question = result.as_ref().and_then(|_| find::question(&record));
        let result_text = result.as_ref().map(serde_json::to_string).transpose()?;
        Ok(Self { key, record, result, result_text, entry, checked, question })
    }

    fn put(&self, tables: &mut Tables<'_>) -> Result<Ended, StoreError> {
        if tables.rows.has_ended(&self.key)?
            && let Some(stored) = existing(tables, &self.key)?
        {
            return Ok(Ended::Before(stored));
        }
        let outcome = tables.append(Says::Outcome, self.entry.clone(), self.checked)?;
        let state = self.result_text.as_ref().map_or_else(|| row::closed(outcome), |result| row::done(result, outcome));
        tables.rows.ended.insert(self.key.as_str(), state.as_bytes())?;
        if let Some(question) = &self.question {
            tables.asked.insert(question.as_str(), self.key.as_str())?;
        }
        Ok(Ended::Now(outcome))
    }
}
