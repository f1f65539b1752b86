//! Lookup by position of the numbers of integer keys close together: a fast path before the group table, which hashes.

use arrow::{
    array::{Array as _, ArrayRef, AsArray},
    datatypes::{Date32Type, Int32Type, Int64Type},
};

/// Maximum span of the keys: a larger table would not stay in a processor's cache, and is left to the group table.
const SPAN: usize = 1 << 18;
/// Entry of a position without a number.
const NONE: u32 = u32::MAX;
/// Placeholder for the number of an unknown key.
pub(super) const UNKNOWN: usize = NONE as usize;
/// Inverse of the permitted share of unknown keys in a batch; only these are then looked up in the group table.
const FEW: usize = 4;

/// Positions of known keys.
#[derive(Default)]
pub(super) struct Direct {
    /// Key of the first position.
    first: i64,
    numbers: Vec<u32>,
    /// Number of batches with too many unknown keys, less the others; past a bound the lookup is no longer used.
    missed: u32,
}

impl Direct {
    /// Finds the numbers of a batch's keys, [`UNKNOWN`] for unknown keys, and returns how many these are; `None` if too many.
    pub(super) fn find(&mut self, keys: &[ArrayRef], numbers: &mut Vec<usize>) -> Option<usize> {
        let unknown = match self.values(keys)? {
            Values::Long(values) => self.look_up(values, numbers),
            Values::Short(values) => self.look_up(values, numbers),
        };
        if unknown > numbers.len() / FEW {
            self.missed += 1;
            return None;
        }
        self.missed = self.missed.saturating_sub(1);
        Some(unknown)
    }

    fn look_up<K: Copy + Into<i64>>(&self, keys: &[K], numbers: &mut Vec<usize>) -> usize {
        let (first, places) = (self.first, self.numbers.as_slice());
        let mut unknown = 0;
        numbers.resize(keys.len(), 0);
        for (number, &key) in numbers.iter_mut().zip(keys) {
            let key: i64 = key.into();
            let found = places.get(key.wrapping_sub(first) as usize).copied().unwrap_or(NONE);
            unknown += usize::from(found == NONE);
            *number = found as usize;
        }
        unknown
    }

    /// Records the group table's numbers for a batch's keys.
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
            // Disabled for good: the keys are too far apart.
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

    /// Returns the keys if they are a single column of integers without NULL.
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
        assert_eq!(direct.find(&keys(&[5]), &mut numbers), None);
        direct.learn(&keys(&[5, 9, 7]), &[0, 1, 2]);
        assert_eq!(direct.find(&keys(&[7, 7, 5, 9]), &mut numbers), Some(0));
        assert_eq!(numbers, [2, 2, 0, 1]);
        for unknown in [6, 8, 4, 10, -1, i64::MIN, i64::MAX] {
            assert_eq!(direct.find(&keys(&[5, unknown]), &mut numbers), None, "{unknown}");
            assert_eq!(direct.find(&keys(&[5, unknown, 9, 7]), &mut numbers), Some(1), "{unknown}");
            assert_eq!(numbers, [0, UNKNOWN, 1, 2]);
        }
        // Before the first, and after the last.
        direct.learn(&keys(&[-3, 20]), &[3, 4]);
        assert_eq!(direct.find(&keys(&[9, -3, 20, 5]), &mut numbers), Some(0));
        assert_eq!(numbers, [1, 3, 4, 0]);
        let short: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(vec![20, -3]))];
        assert_eq!(direct.find(&short, &mut numbers), Some(0));
        assert_eq!(numbers, [4, 3]);
        assert_eq!(direct.find(&[keys(&[5]), keys(&[5])].concat(), &mut numbers), None, "two columns");
        let null: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![Some(5), None]))];
        assert_eq!(direct.find(&null, &mut numbers), None);
    }

    #[test]
    fn keys_far_apart_are_left_alone() {
        for far in [[0, SPAN as i64], [i64::MIN, i64::MAX], [-1, i64::MAX]] {
            let (mut direct, mut numbers) = (Direct::default(), vec![]);
            direct.learn(&keys(&far), &[0, 1]);
            assert_eq!(direct.find(&keys(&far), &mut numbers), None, "{far:?}");
            direct.learn(&keys(&[1]), &[0]);
            assert_eq!(direct.find(&keys(&[1]), &mut numbers), None, "never again");
        }
        let (mut direct, mut numbers) = (Direct::default(), vec![]);
        direct.learn(&keys(&[i64::MIN, i64::MIN + 5]), &[0, 1]);
        assert!(direct.find(&keys(&[i64::MIN + 5]), &mut numbers) == Some(0) && numbers == [1]);
        direct.learn(&keys(&[i64::MAX]), &[2]);
        assert_eq!(direct.find(&keys(&[i64::MIN]), &mut numbers), None);
    }
}
