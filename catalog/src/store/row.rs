//! Jobs as they lie in two tables: what was asked and charged, written once with its INTENT, and how it ended, written with its OUTCOME.

use redb::{ReadableTable, TableDefinition};
use serde::Deserialize;
use tidegate_protocol::receipt::draft::Facts;

use super::{JobRecord, State, StoreError, decode};

/// JSON of a [`JobRecord`] by buyer and request id. Earlier versions kept its state there too.
pub(super) const JOBS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("jobs");
/// JSON of a [`State`], by the same: none of a job that is [`State::Reserved`].
pub(super) const ENDED: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("ended");

const RESERVED: &str = "{\"state\":\"reserved\",";

/// What is stored of a job that begins: of its JSON, its facts', and its INTENT's index.
pub(super) fn begun(job: &str, facts: &Facts, intent: u64) -> String {
    format!("{RESERVED}\"job\":{job},\"facts\":{},\"intent\":{intent}}}", facts.json())
}

/// What is stored of one that has a `result`, which is JSON of a text.
pub(super) fn done(result: &str, outcome: u64) -> String {
    format!("{{\"done\":{{\"result\":{result},\"outcome\":{outcome}}}}}")
}

/// What is stored of one that was closed.
pub(super) fn closed(outcome: u64) -> String {
    format!("{{\"closed\":{{\"outcome\":{outcome}}}}}")
}

/// A job out of both tables.
pub(super) fn record(stored: &[u8], ended: Option<&[u8]>) -> Result<JobRecord, StoreError> {
    let mut record: JobRecord = decode(stored)?;
    if let Some(ended) = ended {
        record.state = decode(ended)?;
    }
    Ok(record)
}

/// The job of a key, if any.
pub(super) fn get(
    jobs: &impl ReadableTable<&'static str, &'static [u8]>,
    ended: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Result<Option<JobRecord>, StoreError> {
    let Some(stored) = jobs.get(key)? else { return Ok(None) };
    let ended = ended.get(key)?;
    record(stored.value(), ended.as_ref().map(|state| state.value())).map(Some)
}

/// A stored job's state alone.
#[derive(Deserialize)]
struct StateOnly {
    state: State,
}

/// Whether the job of a key has ended. One that is not there has not.
pub(super) fn has_ended(
    jobs: &impl ReadableTable<&'static str, &'static [u8]>,
    ended: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Result<bool, StoreError> {
    if ended.get(key)?.is_some() {
        return Ok(true);
    }
    let Some(stored) = jobs.get(key)? else { return Ok(false) };
    Ok(!stored.value().starts_with(RESERVED.as_bytes()) && decode::<StateOnly>(stored.value())?.state != State::Reserved)
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
        let (mut jobs, mut ended) = (tx.open_table(JOBS).unwrap(), tx.open_table(ENDED).unwrap());
        for (key, stored, end, expected) in [
            ("old, reserved", "{\"job\":1,\"state\":\"reserved\"}", None, false),
            ("old, closed", "{\"job\":1,\"state\":{\"closed\":{\"outcome\":7}}}", None, true),
            ("old, done", "{\"job\":1,\"state\":{\"done\":{\"result\":\"{}\",\"outcome\":7}}}", None, true),
            ("old, ended since", "{\"job\":1,\"state\":\"reserved\"}", Some(closed(9)), true),
            ("new, reserved", "{\"state\":\"reserved\",\"job\":1}", None, false),
            ("new, done", "{\"state\":\"reserved\",\"job\":1}", Some(done("\"{\\\"a\\\":1}\"", 9)), true),
        ] {
            jobs.insert(key, stored.as_bytes()).unwrap();
            if let Some(end) = &end {
                ended.insert(key, end.as_bytes()).unwrap();
                let state: State = decode(end.as_bytes()).unwrap();
                assert!(matches!(state, State::Done { outcome: 9, .. } | State::Closed { outcome: 9 }), "{state:?}");
            }
            assert_eq!(has_ended(&jobs, &ended, key).unwrap(), expected, "{key}");
        }
        assert!(!has_ended(&jobs, &ended, "not there").unwrap());
        assert!(get(&jobs, &ended, "not there").unwrap().is_none());
        // What cannot be read is an error, not a job that may be run again.
        jobs.insert("damaged", &b"{"[..]).unwrap();
        assert!(has_ended(&jobs, &ended, "damaged").is_err());
    }
}
