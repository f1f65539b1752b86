//! Number of rows (for a program: of units or blocks) with a value in each of `bins` equal bins over [lo, hi].
//!
//! A unit's first `max_rows` rows count, each in one bin: [`Part::bins`] states the sensitivity.

use serde::{Deserialize, Serialize};
use tidegate_protocol::{limits, result::Cell};

use super::{Reduce, bin};
use crate::{
    noised::Noised,
    part::{Frame, Laid, Part, grid},
};

/// Counts in equal bins over [lo, hi].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Lower edge.
    pub lo: f64,
    /// Upper edge.
    pub hi: f64,
    /// Number of bins.
    pub bins: u32,
}

/// Checks edges and number of bins.
pub(super) fn check(lo: f64, hi: f64, bins: u32) -> Result<(), String> {
    grid(lo, hi)?;
    if bins == 0 || bins as usize > limits::BINS { Err("the number of bins is out of range".into()) } else { Ok(()) }
}

impl Reduce for Histogram {
    fn parts(&self, frame: Frame) -> Result<Vec<Part>, String> {
        check(self.lo, self.hi, self.bins)?;
        Ok(vec![Part::bins(self.bins as usize, frame)])
    }
    fn lay(&self, _: usize, values: &[&[f64]], _: &[Part], fields: &mut [Laid<'_>]) {
        let of = |v: &f64| if v.is_nan() { -1 } else { bin(*v, self.lo, self.hi, self.bins) };
        fields[0].numbers(values[0].iter().map(of));
    }
    fn names(&self, column: &str) -> Vec<String> {
        let width = (self.hi - self.lo) / f64::from(self.bins);
        let name = |bin| {
            let from = self.lo + width * f64::from(bin);
            let end = if bin + 1 == self.bins { ']' } else { ')' };
            format!("{column} [{from:.4}, {:.4}{end}", from + width)
        };
        (0..self.bins).map(name).collect()
    }
    fn cells(&self, noised: &[Noised], _: Option<u32>) -> Vec<Cell> {
        noised[0].cells()
    }
    fn note(&self, _: Frame) -> (&'static str, f64, f64) {
        ("histogram", self.lo, self.hi)
    }
}
