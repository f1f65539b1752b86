//! Noised sums, and intervals for what is computed from them. Everything here is post-processing: free.

use statrs::distribution::{ContinuousCDF, Normal};
use tidegate_protocol::result::Cell;

/// 97.5th percentile of the standard normal: a two-sided 95 % interval.
pub(crate) const Z95: f64 = 1.959_963_984_540_054;

/// A part's noised sums, in the column's unit.
#[derive(Debug, Clone)]
pub(crate) struct Noised {
    /// One value a lane, or a node where the reducer expands its lanes.
    pub(crate) values: Vec<f64>,
    /// Standard deviation of the noise on each.
    pub(crate) sigma: f64,
    /// Grid step: half of it is what rounding may have added.
    pub(crate) step: f64,
}

impl Noised {
    /// A number that is known.
    pub(crate) fn exact(value: f64) -> Self {
        Self { values: vec![value], sigma: 0.0, step: 0.0 }
    }

    /// The first value.
    pub(crate) fn one(&self) -> f64 {
        self.values.first().copied().unwrap_or(0.0)
    }

    /// Half the width of a value's interval: z standard deviations and half a step of rounding.
    pub(crate) fn half(&self, z: f64) -> f64 {
        self.sigma * z + 0.5 * self.step
    }

    /// Each value with its 95 % interval.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let half = self.half(Z95);
        self.values.iter().map(|&value| Cell { value, low: value - half, high: value + half }).collect()
    }
}

/// z of `n` intervals that hold together with 95 % (Bonferroni).
pub(crate) fn z_of(n: usize) -> f64 {
    Normal::standard().inverse_cdf(1.0 - 0.025 / n.max(1) as f64)
}

/// `of` the first values of `sums`, and as interval the least and greatest of it over the corners of their joint 95 % box, and over 0 for a sum whose
/// interval holds it. For functions that are monotone, or convex around zero, in each sum.
pub(crate) fn corners<const N: usize>(sums: [&Noised; N], of: impl Fn([f64; N]) -> f64) -> Cell {
    let z = z_of(sums.iter().filter(|s| s.sigma > 0.0).count());
    let value = of(sums.map(Noised::one));
    let mut cell = Cell { value, low: value, high: value };
    let ends = sums.map(|s| {
        let (v, half) = (s.one(), s.half(z));
        [v - half, v + half, if half >= v.abs() { 0.0 } else { v }]
    });
    for corner in 0..3usize.pow(N as u32) {
        let at = of(std::array::from_fn(|i| ends[i][corner / 3usize.pow(i as u32) % 3]));
        (cell.low, cell.high) = (cell.low.min(at), cell.high.max(at));
    }
    cell
}

/// `of` all values, and its interval by the spread of each: ±1.96 · √Σ ((of(v + σ) − of(v − σ)) / 2)², the delta method with differences as wide as the
/// noise. Approximate where `of` bends within a standard deviation; then clipped to `range`.
pub(crate) fn spread(values: &[f64], sigmas: &[f64], range: (f64, f64), of: impl Fn(&[f64]) -> f64) -> Cell {
    let mut at = values.to_vec();
    let mut variance = 0.0;
    for (i, sigma) in sigmas.iter().enumerate().filter(|(_, s)| **s > 0.0) {
        at[i] = values[i] + sigma;
        let above = of(&at);
        at[i] = values[i] - sigma;
        let below = of(&at);
        at[i] = values[i];
        variance += ((above - below) / 2.0).powi(2);
    }
    let (value, half) = (of(values), Z95 * variance.sqrt());
    let clip = |v: f64| v.clamp(range.0, range.1);
    Cell { value: clip(value), low: clip(value - half), high: clip(value + half) }
}
