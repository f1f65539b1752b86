//! Rows that count for nobody, or not for whom they seem to: counted where they are read, and told to the owner alone.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::Array;
use tidegate_protocol::{policy::Policy, shown::plain};

use super::bounded;

/// Rows of one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Number of all.
    pub(super) rows: u64,
    /// Number of those without a unit.
    pub(super) without_unit: u64,
    /// Number of those whose unit is an empty text.
    empty: u64,
}

impl Seen {
    /// Sees the units of the next rows.
    pub(super) fn see(&mut self, unit: &dyn Array) {
        self.rows += unit.len() as u64;
        self.without_unit += unit.null_count() as u64;
        if let Some(lengths) = bounded::lengths(unit) {
            self.empty += lengths.enumerate().filter(|(row, bytes)| *bytes == 0 && unit.is_valid(*row)).count() as u64;
        }
    }

    /// What its owner is told of a table.
    fn words(&self, policy: &Policy, table: Option<&String>) -> Vec<String> {
        let column = plain(&policy.unit.column);
        let of = table.map(|table| format!("table {}: ", plain(table))).unwrap_or_default();
        let mut words = Vec::new();
        if self.without_unit > 0 {
            words.push(format!(
                "{of}{} of {} rows have no unit (column {column} is empty, or NULL) and count for nobody",
                self.without_unit, self.rows
            ));
        }
        if self.empty > 0 {
            words.push(format!(
                "{of}{} of {} rows have an empty text in column {column}: they count as the rows of one unit of that name",
                self.empty, self.rows
            ));
        }
        words
    }
}

/// Rows of each table, in the policy's order, counted by whoever reads them.
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

    /// Number of rows without a unit, of each table.
    pub(super) fn without_unit(&self) -> Vec<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|seen| seen.without_unit).collect()
    }

    /// What the owner is told.
    pub(super) fn words(&self, policy: &Policy) -> Vec<String> {
        let tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tables.iter().enumerate().flat_map(|(at, seen)| seen.words(policy, policy.tables.get(at))).collect()
    }
}
