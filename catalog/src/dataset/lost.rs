//! Rows counting for nobody, or not for the apparent unit: counted by the readers, and reported to the owner alone.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::Array;
use tidegate_protocol::{policy::Policy, shown::plain};

use super::bounded;

/// Row counts of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Number of all rows.
    pub(super) rows: u64,
    /// Number of rows without a unit.
    pub(super) without_unit: u64,
    /// Number of rows whose unit is an empty text.
    empty: u64,
}

impl Seen {
    /// Adds the units of the next rows.
    pub(super) fn see(&mut self, unit: &dyn Array) {
        self.rows += unit.len() as u64;
        self.without_unit += unit.null_count() as u64;
        if let Some(lengths) = bounded::lengths(unit) {
            self.empty += lengths.enumerate().filter(|(row, bytes)| *bytes == 0 && unit.is_valid(*row)).count() as u64;
        }
    }

    /// Formats the notes for the owner about a table.
    fn words(&self, policy: &Policy, table: Option<&String>) -> Vec<String> {
        let column = plain(&policy.unit.column);
        let of = table.map(|table| format!("table {}: ", plain(table))).unwrap_or_default();
        let mut words = Vec::new();
        if self.without_unit > 0 {
            words.push(format!(
                "{of}{} of {} rows {} no privacy unit (column {column} is empty, or NULL) and {} for nobody",
                self.without_unit,
                self.rows,
                if self.without_unit == 1 { "has" } else { "have" },
                if self.without_unit == 1 { "counts" } else { "count" }
            ));
        }
        if self.empty > 0 {
            words.push(format!(
                "{of}{} of {} rows {} an empty text in column {column}: {} of one privacy unit with an empty id",
                self.empty,
                self.rows,
                if self.empty == 1 { "has" } else { "have" },
                if self.empty == 1 { "it counts as a row" } else { "they count as the rows" }
            ));
        }
        words
    }
}

/// Row counts of each table, in the policy's order, filled by the readers.
#[derive(Debug, Clone)]
pub(super) struct Count(Arc<Mutex<Vec<Seen>>>);

impl Count {
    pub(super) fn new(policy: &Policy) -> Self {
        Self(Arc::new(Mutex::new(vec![Seen::default(); policy.tables.len().max(1)])))
    }

    pub(super) fn see(&self, table: Option<usize>, unit: &dyn Array) {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = tables.get_mut(table.unwrap_or_default()) {
            seen.see(unit);
        }
    }

    /// Returns the number of rows without a unit, by table.
    pub(super) fn without_unit(&self) -> Vec<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|seen| seen.without_unit).collect()
    }

    /// Formats the notes for the owner.
    pub(super) fn words(&self, policy: &Policy) -> Vec<String> {
        let tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tables.iter().enumerate().flat_map(|(at, seen)| seen.words(policy, policy.tables.get(at))).collect()
    }
}
