//! Noised sums. What is computed from them is post-processing: free.

use tidegate_protocol::result::Cell;

use crate::noise::{Noisy, Source};

/// A part's noised sums, in the column's unit.
#[derive(Debug, Clone)]
pub(crate) struct Noised {
    /// One value a lane, or a node where the reducer expands its lanes.
    pub(crate) values: Vec<f64>,
    /// One of these noises is no further from zero than this with 95 %: whole steps, and exact.
    half: f64,
    /// A combination of such noises, of this square for each, is no further from zero than the root of all with 95 %.
    pub(crate) reach: f64,
    /// The same, of which noise in whole steps makes half a step more.
    wide: f64,
    /// Grid step that rows were rounded to; none of what is counted.
    pub(crate) step: f64,
}

impl Noised {
    /// Sums with noise from `source`, on a grid of `step`.
    pub(crate) fn of(noisy: &[Noisy], source: &Source, step: f64) -> Self {
        let (noise, scale) = (source.noise, source.scale);
        let wide = noise.wide(scale) * step;
        Self {
            // A step is a power of two: nothing is rounded here.
            values: noisy.iter().map(|noisy| noisy.to_f64() * step).collect(),
            half: noise.half(scale) * step,
            reach: wide + 0.5 * step,
            wide,
            // Counts are exact on their grid: only noise moves them.
            step: if step == 1.0 { 0.0 } else { step },
        }
    }

    /// A number that is known.
    pub(crate) fn exact(value: f64) -> Self {
        Self { values: vec![value], half: 0.0, reach: 0.0, wide: 0.0, step: 0.0 }
    }

    /// The first value.
    pub(crate) fn one(&self) -> f64 {
        self.values.first().copied().unwrap_or(0.0)
    }

    /// Each value with its 95 % interval, and half a step for rounding.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let half = self.half + 0.5 * self.step;
        self.values.iter().map(|&value| Cell { value, low: value - half, high: value + half }).collect()
    }

    /// The sum of some of its values, counts each.
    pub(crate) fn sum(&self, places: impl Iterator<Item = usize>) -> Cell {
        let (value, n) = places.filter_map(|i| self.values.get(i)).fold((0.0, 0u32), |(sum, n), v| (sum + v, n + 1));
        let half = self.wide * f64::from(n).sqrt() + (self.reach - self.wide);
        Cell { value, low: value - half, high: value + half }
    }
}
