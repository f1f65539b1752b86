//! Numbers of integer keys that lie close together, found by position: in front of the group table, which hashes.

use arrow::{
    array::{Array as _, ArrayRef, AsArray},
    datatypes::{Date32Type, Int32Type, Int64Type},
};

/// Keys further apart than this are left to the group table: more would not stay in a processor's cache.
const SPAN: usize = 1 << 18;
/// A place without a number.
const NONE: u32 = u32::MAX;

/// Where known keys are.
#[derive(Default)]
pub(super) struct Direct {
    /// The key of the first place.
    first: i64,
    numbers: Vec<u32>,
    /// Batches with keys that were not here, more than those without; past a bound it is of no use.
    missed: u32,
}

impl Direct {
    /// The numbers of a batch's keys, where all are known.
    pub(super) fn find(&mut self, keys: &[ArrayRef], numbers: &mut Vec<usize>) -> bool {
        let Some(values) = self.values(keys) else { return false };
        let known = match values {
            Values::Long(values) => self.look_up(values, numbers),
            Values::Short(values) => self.look_up(values, numbers),
        };
        self.missed = if known { self.missed.saturating_sub(1) } else { self.missed + 1 };
        known
    }

    fn look_up<K: Copy + Into<i64>>(&self, keys: &[K], numbers: &mut Vec<usize>) -> bool {
        let (first, places) = (self.first, self.numbers.as_slice());
        let mut known = true;
        numbers.resize(keys.len(), 0);
        for (number, &key) in numbers.iter_mut().zip(keys) {
            let key: i64 = key.into();
            let found = places.get(key.wrapping_sub(first) as usize).copied().unwrap_or(NONE);
            known &= found != NONE;
            *number = found as usize;
        }
        known
    }

    /// Remembers the numbers that the group table gave to a batch's keys.
    pub(super) fn learn(&mut self, keys: &[ArrayRef], numbers: &[usize]) {
        match self.values(keys) {
            None => {}
            Some(Values::Long(values)) => self.keep(values.iter().copied(), numbers),
            Some(Values::Short(values)) => self.keep(values.iter().map(|v| i64::from(*v)), numbers),
        }
    }

    fn keep(&mut self, keys: impl Iterator<Item = i64> + Clone, numbers: &[usize]) {
        let (Some(mut lo), Some(mut hi)) = (keys.clone().min(), keys.clone().max()) else { return };
        if !self.numbers.is_empty() {
            (lo, hi) = (lo.min(self.first), hi.max(self.first.saturating_add(self.numbers.len() as i64 - 1)));
        }
        let span = hi.checked_sub(lo).and_then(|span| usize::try_from(span).ok()).filter(|span| *span < SPAN);
        let Some(span) = span else {
            // Never again: they are too far apart.
            *self = Self { missed: u32::MAX, ..Self::default() };
            return;
        };
        if !self.numbers.is_empty() && lo < self.first {
            self.numbers.splice(0..0, std::iter::repeat_n(NONE, (self.first - lo) as usize));
        }
        self.first = lo;
        self.numbers.resize(span + 1, NONE);
        for (key, number) in keys.zip(numbers) {
            if let (Some(place), Ok(number)) = (self.numbers.get_mut((key - lo) as usize), u32::try_from(*number)) {
                *place = number;
            }
        }
    }

    /// The keys, where they are one column of integers without NULL.
    fn values<'a>(&self, keys: &'a [ArrayRef]) -> Option<Values<'a>> {
        const TOO_OFTEN: u32 = 256;
        let [key] = keys else { return None };
        if self.missed > TOO_OFTEN || key.null_count() > 0 {
            return None;
        }
        let short = || {
            key.as_primitive_opt::<Int32Type>().map(|a| a.values()).or(key.as_primitive_opt::<Date32Type>().map(|a| a.values()))
        };
        match key.as_primitive_opt::<Int64Type>() {
            Some(long) => Some(Values::Long(long.values())),
            None => short().map(|values| Values::Short(values)),
        }
    }
}

enum Values<'a> {
    Long(&'a [i64]),
    Short(&'a [i32]),
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, Int64Array};

    use super::*;

    fn keys(values: &[i64]) -> Vec<ArrayRef> {
        vec![Arc::new(Int64Array::from(values.to_vec()))]
    }

    #[test]
    fn known_keys_are_found_and_no_others() {
        let (mut direct, mut numbers) = (Direct::default(), vec![]);
        assert!(!direct.find(&keys(&[5]), &mut numbers));
        direct.learn(&keys(&[5, 9, 7]), &[0, 1, 2]);
        assert!(direct.find(&keys(&[7, 7, 5, 9]), &mut numbers));
        assert_eq!(numbers, [2, 2, 0, 1]);
        for unknown in [6, 8, 4, 10, -1, i64::MIN, i64::MAX] {
            assert!(!direct.find(&keys(&[5, unknown]), &mut numbers), "{unknown}");
        }
        // Before the first, and after the last.
        direct.learn(&keys(&[-3, 20]), &[3, 4]);
        assert!(direct.find(&keys(&[9, -3, 20, 5]), &mut numbers));
        assert_eq!(numbers, [1, 3, 4, 0]);
        let short: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(vec![20, -3]))];
        assert!(direct.find(&short, &mut numbers));
        assert_eq!(numbers, [4, 3]);
        assert!(!direct.find(&[keys(&[5]), keys(&[5])].concat(), &mut numbers), "two columns");
        let null: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![Some(5), None]))];
        assert!(!direct.find(&null, &mut numbers));
    }

    #[test]
    fn keys_far_apart_are_left_alone() {
        for far in [[0, SPAN as i64], [i64::MIN, i64::MAX], [-1, i64::MAX]] {
            let (mut direct, mut numbers) = (Direct::default(), vec![]);
            direct.learn(&keys(&far), &[0, 1]);
            assert!(!direct.find(&keys(&far), &mut numbers), "{far:?}");
            direct.learn(&keys(&[1]), &[0]);
            assert!(!direct.find(&keys(&[1]), &mut numbers), "never again");
        }
        let (mut direct, mut numbers) = (Direct::default(), vec![]);
        direct.learn(&keys(&[i64::MIN, i64::MIN + 5]), &[0, 1]);
        assert!(direct.find(&keys(&[i64::MIN + 5]), &mut numbers) && numbers == [1]);
        direct.learn(&keys(&[i64::MAX]), &[2]);
        assert!(!direct.find(&keys(&[i64::MIN]), &mut numbers));
    }
}
