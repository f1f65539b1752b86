//! Released groups, as many as a reply holds: which ones stay depends on released numbers alone.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use tidegate_protocol::{limits, result::Row};

use crate::{GateError, noise::Noisy, release::compare_keys};

/// Rows that passed their threshold; beyond [`limits::RESULT_BYTES`] those with the smallest noisy number of units go.
#[derive(Default)]
pub(crate) struct Passed {
    rows: BinaryHeap<Reverse<Entry>>,
    bytes: usize,
    /// The largest group that went: whatever is smaller goes too, or the order in which they came would show.
    floor: Option<Entry>,
    left_out: u64,
}

struct Entry {
    noisy: Noisy,
    bytes: usize,
    row: Row,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        // Equal sizes are told apart by key: the order in which groups came would tell which of them lay first in the files.
        self.noisy.cmp(&other.noisy).then_with(|| compare_keys(&self.row.key, &other.row.key))
    }
}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Entry {}

impl Passed {
    pub(crate) fn add(&mut self, noisy: Noisy, row: Row) {
        let bytes = serde_json::to_vec(&row).map_or(0, |json| json.len() + 1);
        let entry = Entry { noisy, bytes, row };
        if self.floor.as_ref().is_some_and(|floor| entry < *floor) {
            self.left_out += 1;
            return;
        }
        self.bytes += bytes;
        self.rows.push(Reverse(entry));
        while self.bytes > limits::RESULT_BYTES
            && let Some(Reverse(smallest)) = self.rows.pop()
        {
            self.bytes -= smallest.bytes;
            self.left_out += 1;
            self.floor = Some(smallest);
        }
    }

    /// How many groups passed and had no room.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// In key order: the order of arrival in the worker would tell which group came first in the files.
    ///
    /// # Errors
    /// [`GateError::Misfit`] where a key came twice: it was noised twice, and a unit would be in more groups than it paid for.
    pub(crate) fn into_rows(self) -> Result<Vec<Row>, GateError> {
        let mut rows: Vec<Row> = self.rows.into_iter().map(|Reverse(entry)| entry.row).collect();
        rows.sort_by(|a, b| compare_keys(&a.key, &b.key));
        if rows.windows(2).any(|two| two[0].key == two[1].key) {
            return Err(GateError::Misfit("a key comes twice".into()));
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use tidegate_protocol::{job::Key, result::Cell};

    use super::*;

    fn row(i: i64) -> Row {
        let cell = Cell { value: i as f64, low: 0.0, high: 0.0 };
        Row { key: vec![Key::Text(format!("{i:0200}"))], cells: vec![cell; 200] }
    }

    #[test]
    fn beyond_a_reply_the_smallest_groups_go_whatever_the_order_they_came_in() {
        let mut orders = [(0..4000).collect::<Vec<i64>>(), (0..4000).rev().collect()].map(|order| {
            let mut passed = Passed::default();
            order.into_iter().for_each(|i| passed.add(Noisy::of(i % 1000), row(i)));
            let left = passed.left_out();
            (left, passed.into_rows().unwrap())
        });
        assert!(orders[0].0 > 100, "some must go");
        assert!(orders[0] == orders[1]);
        let [(left, rows), _] = &mut orders;
        assert_eq!(rows.len() as u64 + *left, 4000);
        let worst = |row: &Row| row.cells[0].value as i64 % 1000;
        let least = rows.iter().map(worst).min().unwrap();
        assert!(least > 10, "those with few units went: {least}");
    }

    #[test]
    fn a_key_that_comes_twice_is_no_release() {
        let mut passed = Passed::default();
        passed.add(Noisy::of(5), row(1));
        passed.add(Noisy::of(6), row(1));
        assert!(passed.into_rows().is_err());
    }
}
