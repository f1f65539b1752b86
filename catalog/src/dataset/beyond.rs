//! How many values lie beyond the policy's bounds, and where most of them lie: exact numbers, for the owner alone.

use std::collections::BTreeMap;

use arrow::{
    array::{Array, AsArray as _},
    compute::cast,
    datatypes::{DataType, Float64Type},
};
use serde::Serialize;

/// Other bounds are suggested beyond which one in so many of the values lies.
const ONE_IN: u64 = 100;
/// Low bits of a float that are dropped when values are counted together: the sign, the exponent and 12 bits of the fraction stay, so an error is at most 2^-12
/// of the value.
const DROPPED: u32 = 64 - 12 - 12;

/// What a column's bounds do to its values.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bounded {
    /// The column.
    pub column: String,
    /// The policy's lower bound.
    pub lo: f64,
    /// The policy's upper bound.
    pub hi: f64,
    /// Number of the column's values that are neither NULL nor NaN, in rows that have a unit.
    pub values: u64,
    /// Share of the values below `lo`, which count as `lo`.
    pub below: f64,
    /// Share of the values above `hi`, which count as `hi`.
    pub above: f64,
    /// Bounds that would hold 99 % of the values, where the policy's do not; each is too wide by at most 2^-12 of itself.
    pub most: Option<(f64, f64)>,
}

/// Values that differ in their dropped bits alone.
#[derive(Debug, Clone, Copy)]
struct Alike {
    count: u64,
    least: f64,
    greatest: f64,
}

/// A column with bounds, as far as it is read.
#[derive(Debug)]
pub(super) struct Values {
    lo: f64,
    hi: f64,
    count: u64,
    below: u64,
    above: u64,
    /// The counts by the bits that stay, in the order of numbers.
    alike: BTreeMap<u64, Alike>,
}

/// Maps a float to bits whose order is the order of the floats.
fn ordered(value: f64) -> u64 {
    let bits = value.to_bits();
    if value.is_sign_negative() { !bits } else { bits | 1 << 63 }
}

impl Values {
    pub(super) fn of((lo, hi): (f64, f64)) -> Self {
        Self { lo, hi, count: 0, below: 0, above: 0, alike: BTreeMap::new() }
    }

    /// Counts one value of a row that has a unit.
    pub(super) fn see(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        self.count += 1;
        self.below += u64::from(value < self.lo);
        self.above += u64::from(value > self.hi);
        let alike = self.alike.entry(ordered(value) >> DROPPED).or_insert(Alike { count: 0, least: value, greatest: value });
        alike.count += 1;
        alike.least = alike.least.min(value);
        alike.greatest = alike.greatest.max(value);
    }

    /// The first of the values, from one end on, that are not among so many at that end.
    fn end<'a>(beyond: u64, values: impl Iterator<Item = &'a Alike>, edge: fn(&Alike) -> f64) -> Option<f64> {
        let mut passed = 0;
        let mut values = values.skip_while(|alike| {
            passed += alike.count;
            passed <= beyond
        });
        values.next().map(edge)
    }

    pub(super) fn ended(self, column: String) -> Bounded {
        let share = |part: u64| part as f64 / self.count.max(1) as f64;
        let (below, above) = (share(self.below), share(self.above));
        // Where few are beyond one bound, that one stays, and what is left of the hundredth is beyond the other.
        let beyond = self.count / ONE_IN;
        let half = beyond / 2;
        let (under, over) = if self.below <= half {
            (self.below, beyond - self.below)
        } else if self.above <= half {
            (beyond - self.above, self.above)
        } else {
            (half, half)
        };
        let most = (self.below + self.above > beyond).then(|| {
            let lo = if self.below > under { Self::end(under, self.alike.values(), |alike| alike.least) } else { None };
            let hi = if self.above > over { Self::end(over, self.alike.values().rev(), |alike| alike.greatest) } else { None };
            (lo.unwrap_or(self.lo), hi.unwrap_or(self.hi))
        });
        Bounded { column, lo: self.lo, hi: self.hi, values: self.count, below, above, most }
    }
}

/// A column's values as jobs clamp them.
pub(super) fn numbers(column: &dyn Array) -> Option<arrow::array::PrimitiveArray<Float64Type>> {
    Some(cast(column, &DataType::Float64).ok()?.as_primitive_opt::<Float64Type>()?.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bounds: (f64, f64), values: impl Iterator<Item = f64>) -> Bounded {
        let mut seen = Values::of(bounds);
        values.for_each(|value| seen.see(value));
        seen.ended("x".into())
    }

    #[test]
    fn shares_beyond_bounds_are_exact_and_others_hold_most() {
        let all = || (0..1000).map(f64::from);
        let found = of((0.0, 899.0), all().chain([f64::NAN]));
        assert_eq!((found.values, found.below, found.above, found.most), (1000, 0.0, 0.1, Some((0.0, 989.0))));
        let found = of((100.0, 2000.0), all());
        assert_eq!((found.below, found.above, found.most), (0.1, 0.0, Some((10.0, 2000.0))));
        let found = of((100.0, 899.0), all());
        assert_eq!((found.below, found.above, found.most), (0.1, 0.1, Some((5.0, 994.0))));
        assert_eq!(of((0.0, 990.0), all()).most, None, "99.1 % are within");
        let found = of((-1.0, 1.0), all().map(|v| -v * 1e9));
        let (lo, hi) = found.most.unwrap();
        let within = all().map(|v| -v * 1e9).filter(|v| (lo..=hi).contains(v)).count();
        assert!((990..=993).contains(&within) && hi == 1.0, "{lo} {hi} {within}");
        assert_eq!(of((0.0, 1.0), std::iter::empty()).most, None);
    }

    #[test]
    fn bits_are_in_the_order_of_numbers() {
        let numbers = [f64::NEG_INFINITY, -1e300, -2.0, -1.0, -1e-300, -0.0, 0.0, 1e-300, 1.0, 2.0, 1e300, f64::INFINITY];
        assert!(numbers.windows(2).all(|two| ordered(two[0]) < ordered(two[1])));
    }
}
