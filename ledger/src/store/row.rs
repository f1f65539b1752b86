//! Storage of jobs in two tables: request and charge, written with the INTENT, and the end, written with the OUTCOME.

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, WriteTransaction};
use serde::Deserialize;
use tidegate_protocol::{ContentHash, Envelope, receipt::JobFacts};

use super::{
    error::StoreError,
    record::{JobRecord, State},
    schema::{ENDED, ENTRIES, JOBS, Written, decode},
    stored,
};

const RESERVED: &str = "{\"state\":\"reserved\",";

/// Formats the row of a new job: its id, JSON of the request, and its INTENT's index. The facts are in the INTENT.
pub(super) fn begun(id: &ContentHash, job: &str, intent: u64) -> String {
    format!("{RESERVED}\"id\":\"{id}\",\"job\":{job},\"intent\":{intent}}}")
}

/// Formats the end of a job with a `result`, which is JSON of a text.
pub(super) fn done(result: &str, outcome: u64) -> String {
    format!("{{\"done\":{{\"result\":{result},\"outcome\":{outcome}}}}}")
}

/// Formats the end of a closed job.
pub(super) fn closed(outcome: u64) -> String {
    format!("{{\"closed\":{{\"outcome\":{outcome}}}}}")
}

/// A row of [`JOBS`]. Earlier versions stored the facts there.
#[derive(Deserialize)]
struct Row {
    job: Envelope,
    #[serde(default)]
    facts: Option<JobFacts>,
    intent: u64,
    state: State,
}

/// A stored job's state alone.
#[derive(Deserialize)]
struct StateOnly {
    state: State,
}

/// Tables with the jobs.
pub(super) struct Rows<J, E, L> {
    pub(super) jobs: J,
    pub(super) ended: E,
    pub(super) entries: L,
}

type Read<K> = ReadOnlyTable<K, &'static [u8]>;

impl Rows<Read<&'static str>, Read<&'static str>, Read<u64>> {
    pub(super) fn of(tx: &ReadTransaction) -> Result<Self, StoreError> {
        Ok(Self { jobs: tx.open_table(JOBS)?, ended: tx.open_table(ENDED)?, entries: tx.open_table(ENTRIES)? })
    }
}

impl<'tx> Rows<Written<'tx, &'static str>, Written<'tx, &'static str>, Written<'tx, u64>> {
    pub(super) fn writing(tx: &'tx WriteTransaction, entries: Written<'tx, u64>) -> Result<Self, StoreError> {
        Ok(Self { jobs: tx.open_table(JOBS)?, ended: tx.open_table(ENDED)?, entries })
    }
}

impl<J, E, L> Rows<J, E, L>
where
    J: ReadableTable<&'static str, &'static [u8]>,
    E: ReadableTable<&'static str, &'static [u8]>,
    L: ReadableTable<u64, &'static [u8]>,
{
    /// Assembles a job from both tables.
    pub(super) fn record(&self, stored: &[u8], ended: Option<&[u8]>) -> Result<JobRecord, StoreError> {
        let Row { job, facts, intent, state } = decode(stored)?;
        let facts = match facts {
            Some(facts) => facts,
            None => decode(stored::facts(&self.entries, intent)?.json().as_bytes())?,
        };
        Ok(JobRecord { job, facts, intent, state: ended.map_or(Ok(state), decode)? })
    }

    /// Returns the job of a key, if any.
    pub(super) fn get(&self, key: &str) -> Result<Option<JobRecord>, StoreError> {
        let Some(stored) = self.jobs.get(key)? else { return Ok(None) };
        let ended = self.ended.get(key)?;
        self.record(stored.value(), ended.as_ref().map(|state| state.value())).map(Some)
    }

    /// Returns whether the job of a key has ended; false for an unknown key.
    pub(super) fn has_ended(&self, key: &str) -> Result<bool, StoreError> {
        if self.ended.get(key)?.is_some() {
            return Ok(true);
        }
        let Some(stored) = self.jobs.get(key)? else { return Ok(false) };
        Ok(!stored.value().starts_with(RESERVED.as_bytes()) && decode::<StateOnly>(stored.value())?.state != State::Reserved)
    }
}

#[cfg(test)]
mod tests {
    use redb::{Database, backends::InMemoryBackend};

    use super::*;

    /// A job that was ended before there was a table for it has ended all the same: it is not run again.
    #[test]
    fn a_state_is_found_wherever_it_was_written() {
        let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let tx = db.begin_write().unwrap();
        let mut rows = Rows::writing(&tx, tx.open_table(ENTRIES).unwrap()).unwrap();
        for (key, stored, end, expected) in [
            ("old, reserved", "{\"job\":1,\"state\":\"reserved\"}", None, false),
            ("old, closed", "{\"job\":1,\"state\":{\"closed\":{\"outcome\":7}}}", None, true),
            ("old, done", "{\"job\":1,\"state\":{\"done\":{\"result\":\"{}\",\"outcome\":7}}}", None, true),
            ("old, ended since", "{\"job\":1,\"state\":\"reserved\"}", Some(closed(9)), true),
            ("new, reserved", "{\"state\":\"reserved\",\"job\":1}", None, false),
            ("new, done", "{\"state\":\"reserved\",\"job\":1}", Some(done("\"{\\\"a\\\":1}\"", 9)), true),
        ] {
            rows.jobs.insert(key, stored.as_bytes()).unwrap();
            if let Some(end) = &end {
                rows.ended.insert(key, end.as_bytes()).unwrap();
                let state: State = decode(end.as_bytes()).unwrap();
                assert!(matches!(state, State::Done { outcome: 9, .. } | State::Closed { outcome: 9 }), "{state:?}");
            }
            assert_eq!(rows.has_ended(key).unwrap(), expected, "{key}");
        }
        assert!(!rows.has_ended("not there").unwrap());
        assert!(rows.get("not there").unwrap().is_none());
        // What cannot be read is an error, not a job that may be run again.
        rows.jobs.insert("damaged", &b"{"[..]).unwrap();
        assert!(rows.has_ended("damaged").is_err());
    }
}
