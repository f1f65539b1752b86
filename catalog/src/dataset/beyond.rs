//! Statistics of values beyond the policy's bounds, and of bounds holding most values: exact numbers, for the owner alone.

use std::collections::BTreeMap;

use arrow::{
    array::{Array, AsArray as _},
    compute::cast,
    datatypes::{DataType, Float64Type},
};
use serde::Serialize;

/// Suggested bounds leave at most one value in this many outside.
const ONE_IN: u64 = 100;
/// Number of low bits of a float dropped when values are counted together: the sign, the exponent and 12 bits of the fraction
/// stay, so an error is at most 2^-12 of the value.
const DROPPED: u32 = 64 - 12 - 12;

/// Effect of a column's bounds on its values.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bounded {
    /// Name of the column.
    pub column: String,
    /// The policy's lower bound.
    pub lo: f64,
    /// The policy's upper bound.
    pub hi: f64,
    /// Number of the column's values, except NULL and NaN, in rows with a unit.
    pub values: u64,
    /// Share of the values below `lo`, which count as `lo`.
    pub below: f64,
    /// Share of the values above `hi`, which count as `hi`.
    pub above: f64,
    /// Bounds holding 99 % of the values, if the policy's do not; each is too wide by at most 2^-12 of itself.
    pub most: Option<(f64, f64)>,
}

/// Values with equal leading bits.
#[derive(Debug, Clone, Copy)]
struct Alike {
    count: u64,
    least: f64,
    greatest: f64,
}

/// A column with bounds, as far as read.
#[derive(Debug)]
pub(super) struct Values {
    lo: f64,
    hi: f64,
    count: u64,
    below: u64,
    above: u64,
    /// Counts by the leading bits, in numerical order.
    alike: BTreeMap<u64, Alike>,
}

/// Maps a float to bits in an order-preserving way.
fn ordered(value: f64) -> u64 {
    let bits = value.to_bits();
    if value.is_sign_negative() { !bits } else { bits | 1 << 63 }
}

impl Values {
    pub(super) fn of((lo, hi): (f64, f64)) -> Self {
        Self { lo, hi, count: 0, below: 0, above: 0, alike: BTreeMap::new() }
    }

    /// Counts a value of a row with a unit.
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

    /// Returns the edge value, from one end on, after skipping at most `beyond` values at this end.
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
        // If few values are beyond one bound, that bound stays, and the rest of the hundredth is beyond the other.
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

/// Converts a column's values to floats, as jobs clamp them.
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
