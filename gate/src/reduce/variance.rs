//! Variance of a value clipped to [lo, hi], or its square root.
//!
//! Three sums: of c = value − middle, in [−h, h]; of c² − h²/2, in [−h²/2, h²/2]; and of rows. One unit moves them by `max_rows`
//! times the bound; one block from end to end, and the count is public. Each may use an equal share of the column's ρ.
//!
//! If a unit has more rows than that, both sums are scaled down together, as for a [mean](super::Mean): E[c] and E[c²] are of the
//! same rows.
//!
//! Variance = E[c²] − E[c]²: post-processing, as is the clip to [0, h²] (no distribution on [lo, hi] has more).

use serde::{Deserialize, Serialize};
use tidegate_protocol::result::Cell;

use super::{Reduce, centre};
use crate::{
    interval::{cell, extremes, is_told, mapped, of_sample},
    noised::Noised,
    part::{Frame, Laid, Part, clip, grid},
};

/// Variance of a value clipped to [lo, hi], or its square root.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Variance {
    /// Lower clip bound.
    pub lo: f64,
    /// Upper clip bound.
    pub hi: f64,
    /// Whether to divide by n − 1 (for a sample) instead of n (for the population).
    pub sample: bool,
    /// Whether to compute the standard deviation.
    pub root: bool,
}

impl Reduce for Variance {
    fn parts(&self, frame: Frame) -> Result<Vec<Part>, String> {
        grid(self.lo, self.hi)?;
        let half = centre(self.lo, self.hi).1;
        let share = if frame.blocks.is_some() { 1.0 / 2.0 } else { 1.0 / 3.0 };
        let mut parts = vec![Part::centred(half, frame)?.share(share), Part::centred(half * half / 2.0, frame)?.share(share)];
        if frame.blocks.is_none() {
            parts.push(Part::counter(frame.rows).share(share));
        }
        Ok(parts)
    }
    fn lay(&self, rows: usize, values: &[&[f64]], _: &[Part], fields: &mut [Laid<'_>]) {
        let (lo, hi, (middle, half)) = (self.lo, self.hi, centre(self.lo, self.hi));
        let centred = values[0].iter().map(|v| clip(*v, lo, hi) - middle);
        fields[0].values(centred.clone());
        fields[1].values(centred.map(|v| v * v - half * half / 2.0));
        fields[2..].iter_mut().for_each(|count| count.present(rows, values));
    }
    fn cells(&self, noised: &[Noised], blocks: Option<u32>) -> Vec<Cell> {
        let half = centre(self.lo, self.hi).1;
        let public = blocks.map(|b| Noised::exact(f64::from(b)));
        let count = public.as_ref().unwrap_or_else(|| &noised[2]);
        let at = |[sum, square, count]: [f64; 3]| half * half / 2.0 + square / count - (sum / count).powi(2);
        let range = (0.0, half * half);
        let value = at([noised[0].one(), noised[1].one(), count.one().max(1.0)]);
        let mut found = if is_told(count) {
            let round = noised[1].step + 2.0 * half * noised[0].step;
            let (low, high) = extremes([&noised[0], &noised[1], count], at);
            cell(value, (low - round, high + round), range)
        } else {
            Cell { value: value.clamp(range.0, range.1), low: range.0, high: range.1 }
        };
        if self.sample {
            found = of_sample(found, count);
        }
        vec![if self.root { mapped(found, f64::sqrt) } else { found }]
    }
    fn note(&self, _: Frame) -> (&'static str, f64, f64) {
        (if self.root { "standard-deviation" } else { "variance" }, self.lo, self.hi)
    }
}
