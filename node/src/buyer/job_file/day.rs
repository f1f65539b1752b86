//! Replacement of the current date and time in a job.

use tidegate_sandbox::sql::dated;

use crate::NodeError;
use crate::buyer::job_file::{JobFile, wrong};

impl JobFile {
    /// Replaces CURRENT_DATE, CURRENT_TIMESTAMP and now() with the day and time `at`, in seconds since 1970 and UTC.
    ///
    /// This applies to the query, or to the select of a component or model: the signed job asks the same question on every day.
    /// Returns the words, each with the literal that replaced it.
    pub fn date(&mut self, at: i64) -> Vec<(String, String)> {
        let Ok(time) = jiff::Timestamp::from_second(at) else { return vec![] };
        let time = time.to_string();
        let (sql, wasm, onnx) = (&mut self.sql, &mut self.wasm, &mut self.onnx);
        let texts = sql.iter_mut().map(|sql| &mut sql.query);
        let texts = texts.chain(wasm.iter_mut().map(|wasm| &mut wasm.select));
        let texts = texts.chain(onnx.iter_mut().map(|onnx| &mut onnx.select));
        let mut all = Vec::new();
        for text in texts {
            let (made, replaced) = dated(text, time.get(..10).unwrap_or_default(), &time);
            *text = made;
            all.extend(replaced);
        }
        all
    }

    /// Refuses a query whose meaning changes from day to day.
    ///
    /// # Errors
    /// [`NodeError::JobFile`] naming the word.
    pub(super) fn says_no_day(&self) -> Result<(), NodeError> {
        let Some((word, _)) = self.clone().date(0).into_iter().next() else { return Ok(()) };
        let problem = format!("a grant cannot be bound to a query with {word}, which changes every day");
        Err(wrong("sql.query", format!("{problem}. Write a date, such as DATE '2024-01-31'")))
    }
}
