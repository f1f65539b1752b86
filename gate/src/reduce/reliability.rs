//! A score in [lo, hi] against a label: the share of positives among rows with about the same score (a reliability diagram,
//! Niculescu-Mizil and Caruana 2005).
//!
//! Uses the two histograms of [`scores`](super::scores), and their sensitivity; shares of noised counts are post-processing.

use serde::{Deserialize, Serialize};
use tidegate_protocol::result::Cell;

use super::{Reduce, histogram, scores};
use crate::{
    interval::{Counted, share},
    noised::Noised,
    part::{Frame, Laid, Part},
};

/// A score in [lo, hi] against a label, by bins of the score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// Lowest score.
    pub lo: f64,
    /// Highest score.
    pub hi: f64,
    /// Number of bins of the score.
    pub bins: u32,
}

impl Reduce for Reliability {
    fn arity(&self) -> usize {
        2
    }
    fn parts(&self, frame: Frame) -> Result<Vec<Part>, String> {
        histogram::check(self.lo, self.hi, 2 * self.bins)?;
        Ok(vec![Part::bins(2 * self.bins as usize, frame)])
    }
    fn lay(&self, _: usize, values: &[&[f64]], _: &[Part], fields: &mut [Laid<'_>]) {
        scores::lay(self.lo, self.hi, self.bins, values, fields);
    }
    fn names(&self, column: &str) -> Vec<String> {
        let edge = |i: u32| self.lo + (self.hi - self.lo) * f64::from(i) / f64::from(self.bins);
        let bins = 0..self.bins;
        bins.flat_map(|i| ["positive share", "count"].map(|what| format!("{column} [{}, {}) {what}", edge(i), edge(i + 1))))
            .collect()
    }
    fn cells(&self, noised: &[Noised], _: Option<u32>) -> Vec<Cell> {
        let bins = self.bins as usize;
        let mut cells = Vec::with_capacity(2 * bins);
        for i in 0..bins {
            let one = |place| Counted::of(&noised[0], std::iter::once(place), 1.0);
            cells.push(share(one(i), one(bins + i)));
            cells.push(noised[0].sum([i, bins + i].into_iter()));
        }
        cells
    }
    fn note(&self, _: Frame) -> (&'static str, f64, f64) {
        ("calibration", self.lo, self.hi)
    }
}
