//! Released groups, as many as a reply holds: which ones stay depends on released numbers alone.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use tidegate_protocol::{job::Key, limits, result::Row};

use crate::{GateError, keys::compare_keys, noise::Noisy};

/// Groups past their threshold, ordered by noisy number of units and key.
///
/// Beyond [`limits::RESULT_BYTES`], or a given number of groups, the smallest are dropped.
pub(crate) struct Passed<T> {
    held: BinaryHeap<Reverse<Entry<T>>>,
    bytes: usize,
    most: u64,
    /// The largest dropped group: anything smaller is dropped too, or the order of arrival would show.
    floor: Option<Entry<T>>,
    left_out: u64,
}

struct Entry<T> {
    noisy: Noisy,
    key: Vec<Key>,
    bytes: usize,
    what: T,
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        // Equal sizes are told apart by key: the order of arrival would tell which of them lay first in the files.
        self.noisy.cmp(&other.noisy).then_with(|| compare_keys(&self.key, &other.key))
    }
}
impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl<T> Eq for Entry<T> {}

impl<T> Passed<T> {
    /// Returns an empty collection of at most `most` groups.
    pub(crate) fn at_most(most: u64) -> Self {
        Self { held: BinaryHeap::new(), bytes: 0, most, floor: None, left_out: 0 }
    }

    /// Adds a group, of which this many bytes are sure to be in the result.
    pub(crate) fn add(&mut self, noisy: Noisy, key: Vec<Key>, bytes: usize, what: T) {
        let entry = Entry { noisy, key, bytes, what };
        if self.floor.as_ref().is_some_and(|floor| entry < *floor) {
            self.left_out += 1;
            return;
        }
        self.bytes += bytes;
        self.held.push(Reverse(entry));
        while (self.bytes > limits::RESULT_BYTES || self.held.len() as u64 > self.most)
            && let Some(Reverse(smallest)) = self.held.pop()
        {
            self.bytes -= smallest.bytes;
            self.left_out += 1;
            self.floor = Some(smallest);
        }
    }

    /// Returns how many groups passed but had no room.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Returns the held groups, in no meaningful order.
    pub(crate) fn into_held(self) -> Vec<(Noisy, Vec<Key>, T)> {
        self.held.into_iter().map(|Reverse(entry)| (entry.noisy, entry.key, entry.what)).collect()
    }
}

impl Passed<Row> {
    /// Adds a row.
    pub(crate) fn add_row(&mut self, noisy: Noisy, row: Row) {
        let bytes = serde_json::to_vec(&row).map_or(0, |json| json.len() + 1);
        self.add(noisy, row.key.clone(), bytes, row);
    }

    /// Returns the rows in key order: the order of arrival in the worker would tell which group came first in the files.
    ///
    /// # Errors
    /// Returns [`GateError::Misfit`] if a key came twice: it was noised twice, and a unit would be in more groups than it paid
    /// for.
    pub(crate) fn into_rows(self) -> Result<Vec<Row>, GateError> {
        let mut rows: Vec<Row> = self.held.into_iter().map(|Reverse(entry)| entry.what).collect();
        rows.sort_by(|a, b| compare_keys(&a.key, &b.key));
        if rows.windows(2).any(|two| two[0].key == two[1].key) {
            return Err(GateError::Misfit("a key occurs twice".into()));
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use tidegate_protocol::result::Cell;

    use super::*;

    fn row(i: i64) -> Row {
        let cell = Cell { value: i as f64, low: 0.0, high: 0.0 };
        Row { key: vec![Key::Text(format!("{i:0200}"))], cells: vec![cell; 200] }
    }

    #[test]
    fn beyond_a_reply_the_smallest_groups_go_whatever_the_order_they_came_in() {
        let mut orders = [(0..4000).collect::<Vec<i64>>(), (0..4000).rev().collect()].map(|order| {
            let mut passed = Passed::at_most(u64::MAX);
            order.into_iter().for_each(|i| passed.add_row(Noisy::of(i % 1000), row(i)));
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
        let mut passed = Passed::at_most(u64::MAX);
        passed.add_row(Noisy::of(5), row(1));
        passed.add_row(Noisy::of(6), row(1));
        assert!(passed.into_rows().is_err());
    }

    #[test]
    fn of_more_groups_than_are_afforded_the_largest_stay_whatever_the_order_they_came_in() {
        for order in [(0..500).collect::<Vec<i64>>(), (0..500).rev().collect()] {
            let mut passed = Passed::at_most(7);
            order.into_iter().for_each(|i| passed.add(Noisy::of(i % 100), vec![Key::Int(i)], 9, ()));
            assert_eq!(passed.left_out(), 493);
            let mut held: Vec<_> = passed.into_held().into_iter().map(|(_, key, ())| key[0].clone()).collect();
            held.sort_by(|a, b| compare_keys(std::slice::from_ref(a), std::slice::from_ref(b)));
            assert_eq!(held, [99, 199, 299, 398, 399, 498, 499].map(Key::Int));
        }
    }
}
