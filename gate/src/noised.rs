//! Noised sums. Everything computed from them is post-processing: free.

use tidegate_protocol::result::Cell;

use crate::noise::{Noisy, Source};

/// A part's noised sums, in the column's unit.
#[derive(Debug, Clone)]
pub(crate) struct Noised {
    /// Value of each lane, or of each node if the reducer expands its lanes.
    pub(crate) values: Vec<f64>,
    /// Bound within which each noise lies with 95 %: whole steps, and exact.
    half: f64,
    /// Reach of each noise: a combination of such noises lies with 95 % within the root of the sum of this squared for each.
    pub(crate) reach: f64,
    /// The same without the half step added because noise comes in whole steps.
    wide: f64,
    /// Grid step to which rows were rounded; zero for counts.
    pub(crate) step: f64,
}

impl Noised {
    /// Converts sums with noise from `source`, on a grid of `step`.
    pub(crate) fn of(noisy: &[Noisy], source: &Source, step: f64) -> Self {
        let (noise, scale) = (source.noise, source.scale);
        let wide = noise.wide(scale) * step;
        Self {
            // A step is a power of two: the product is exact.
            values: noisy.iter().map(|noisy| noisy.to_f64() * step).collect(),
            half: noise.half(scale) * step,
            reach: wide + 0.5 * step,
            wide,
            // Counts are exact on their grid: only noise moves them.
            step: if step == 1.0 { 0.0 } else { step },
        }
    }

    /// Wraps an exactly known number.
    pub(crate) fn exact(value: f64) -> Self {
        Self { values: vec![value], half: 0.0, reach: 0.0, wide: 0.0, step: 0.0 }
    }

    /// Returns the first value.
    pub(crate) fn one(&self) -> f64 {
        self.values.first().copied().unwrap_or(0.0)
    }

    /// Returns each value with its 95 % interval, plus half a step for rounding.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let half = self.half + 0.5 * self.step;
        self.values.iter().map(|&value| Cell { value, low: value - half, high: value + half }).collect()
    }

    /// Returns the sum of some of the values, each of which must be a count.
    pub(crate) fn sum(&self, places: impl Iterator<Item = usize>) -> Cell {
        let (value, n) = places.filter_map(|i| self.values.get(i)).fold((0.0, 0u32), |(sum, n), v| (sum + v, n + 1));
        let half = self.wide * f64::from(n).sqrt() + (self.reach - self.wide);
        Cell { value, low: value - half, high: value + half }
    }
}
