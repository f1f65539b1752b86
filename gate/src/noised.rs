//! Noised sums, and intervals for what is computed from them. Everything here is post-processing: free.

use tidegate_protocol::result::Cell;

use crate::Noise;

/// A part's noised sums, in the column's unit.
#[derive(Debug, Clone)]
pub(crate) struct Noised {
    /// One value a lane, or a node where the reducer expands its lanes.
    pub(crate) values: Vec<f64>,
    /// Standard deviation of the noise on each.
    pub(crate) sigma: f64,
    /// What noise it is, and its scale in steps; none on a number that is known.
    pub(crate) noise: Option<(Noise, f64)>,
    /// Grid step: half of it is what rounding may have added.
    pub(crate) step: f64,
}

impl Noised {
    /// A number that is known.
    pub(crate) fn exact(value: f64) -> Self {
        Self { values: vec![value], sigma: 0.0, noise: None, step: 0.0 }
    }

    /// The first value.
    pub(crate) fn one(&self) -> f64 {
        self.values.first().copied().unwrap_or(0.0)
    }

    /// So many standard deviations wide, to each side, are `n` intervals that hold together with 95 %.
    pub(crate) fn quantile(&self, n: usize) -> f64 {
        self.noise.map_or(0.0, |(noise, scale)| noise.quantile(scale, n))
    }

    /// Half the width of a value's interval of `n` that hold together: the noise's, and half a step of rounding.
    pub(crate) fn half(&self, n: usize) -> f64 {
        self.sigma * self.quantile(n) + 0.5 * self.step
    }

    /// The sum of some of its values.
    pub(crate) fn sum(&self, range: std::ops::Range<usize>) -> Self {
        let (sigma, step) = (self.sigma * (range.len() as f64).sqrt(), self.step * range.len() as f64);
        Self { values: vec![self.values[range].iter().sum()], sigma, step, ..*self }
    }

    /// Each value with its 95 % interval.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let half = self.half(1);
        self.values.iter().map(|&value| Cell { value, low: value - half, high: value + half }).collect()
    }
}

/// `of` the first values of `sums`, and as interval the least and greatest of it over the corners of their joint 95 % box, and over 0 for a sum whose
/// interval holds it. For functions that are monotone, or convex around zero, in each sum.
pub(crate) fn corners<const N: usize>(sums: [&Noised; N], of: impl Fn([f64; N]) -> f64) -> Cell {
    let noised = sums.iter().filter(|s| s.sigma > 0.0).count();
    let value = of(sums.map(Noised::one));
    let mut cell = Cell { value, low: value, high: value };
    let ends = sums.map(|s| {
        let (v, half) = (s.one(), s.half(noised));
        [v - half, v + half, if half >= v.abs() { 0.0 } else { v }]
    });
    for corner in 0..3usize.pow(N as u32) {
        let at = of(std::array::from_fn(|i| ends[i][corner / 3usize.pow(i as u32) % 3]));
        (cell.low, cell.high) = (cell.low.min(at), cell.high.max(at));
    }
    cell
}

/// `of` all values of `sums` in a row, and its interval by the spread of each: ± the noise's 95 % · √Σ ((of(v + σ) − of(v − σ)) / 2)², the delta method
/// with differences as wide as the noise. Approximate where `of` bends within a standard deviation; then clipped to `range`. A sum of several draws is
/// nearer to a normal than Laplace noise is, so that one's interval is on the wide side.
pub(crate) fn spread(sums: &[Noised], range: (f64, f64), of: impl Fn(&[f64]) -> f64) -> Cell {
    let mut at: Vec<f64> = sums.iter().flat_map(|s| s.values.iter().copied()).collect();
    let value = of(&at);
    let mut variance = 0.0;
    for (i, sigma) in sums.iter().flat_map(|s| s.values.iter().map(|_| s.sigma)).enumerate().filter(|(_, s)| *s > 0.0) {
        let middle = at[i];
        at[i] = middle + sigma;
        let above = of(&at);
        at[i] = middle - sigma;
        let below = of(&at);
        at[i] = middle;
        variance += ((above - below) / 2.0).powi(2);
    }
    let half = sums.iter().map(|s| s.quantile(1)).fold(0.0, f64::max) * variance.sqrt();
    let clip = |v: f64| v.clamp(range.0, range.1);
    Cell { value: clip(value), low: clip(value - half), high: clip(value + half) }
}
