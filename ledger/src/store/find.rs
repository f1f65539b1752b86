//! Finding jobs: by request id, by question, and jobs interrupted by a crash.

use redb::{ReadableDatabase as _, ReadableTable as _};
use tidegate_protocol::{ContentHash, Job, Signed, receipt::Party};

use super::{
    error::StoreError,
    record::{JobRecord, Reservation, State},
    row::Rows,
    schema::{ASKED, job_key},
    state::Store,
    stored,
};

/// Returns the key under which a job's question is stored.
pub(super) fn question(record: &JobRecord) -> Option<String> {
    let job = Signed::<Job>::open(record.job.clone()).ok()?;
    let question = job.body().question(&record.facts.policy, record.facts.policy_newest.as_ref());
    Some(job_key(&record.facts.buyer, &question.to_string()))
}

impl Store {
    /// Returns the job with this request id, if any.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn job(&self, buyer: &Party, request: &str) -> Result<Option<JobRecord>, StoreError> {
        let tx = self.db.begin_read()?;
        Rows::of(&tx)?.get(&job_key(buyer, request))
    }

    /// Returns the last finished job of `buyer` with this question ([`Job::question`]), if any.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn asked(&self, buyer: &Party, question: &ContentHash) -> Result<Option<JobRecord>, StoreError> {
        let tx = self.db.begin_read()?;
        let asked = tx.open_table(ASKED)?;
        let Some(key) = asked.get(job_key(buyer, &question.to_string()).as_str())? else { return Ok(None) };
        Rows::of(&tx)?.get(key.value())
    }

    /// Returns the job of `buyer` with this id. Searches all of the buyer's jobs.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn job_of_id(&self, buyer: &Party, id: &ContentHash) -> Result<Option<JobRecord>, StoreError> {
        let tx = self.db.begin_read()?;
        let (first, id_text) = (job_key(buyer, ""), id.to_string());
        let rows = Rows::of(&tx)?;
        for item in rows.jobs.range(first.as_str()..)? {
            let (key, value) = item?;
            if !key.value().starts_with(&first) {
                break;
            }
            // Searched as text first, which is a hundred times faster.
            if std::str::from_utf8(value.value()).is_ok_and(|text| text.contains(&id_text)) {
                let ended = rows.ended.get(key.value())?;
                let record = rows.record(value.value(), ended.as_ref().map(|state| state.value()))?;
                if record.facts.job == *id {
                    return Ok(Some(record));
                }
            }
        }
        Ok(None)
    }

    /// Returns the charged jobs without a result, interrupted by a crash.
    ///
    /// Run them again; nothing of them was revealed.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub fn unfinished(&self) -> Result<Vec<Reservation>, StoreError> {
        let tx = self.db.begin_read()?;
        let mut found = Vec::new();
        let rows = Rows::of(&tx)?;
        for item in rows.jobs.iter()? {
            let (key, value) = item?;
            if rows.ended.get(key.value())?.is_some() {
                continue;
            }
            let record = rows.record(value.value(), None)?;
            if record.state == State::Reserved {
                let written = stored::facts(&rows.entries, record.intent)?;
                found.push(Reservation { key: key.value().to_owned(), record, written });
            }
        }
        Ok(found)
    }
}
