//! Sum of a value clipped to [lo, hi].
//!
//! Add or remove a unit: its rows, at most `max_rows`, sum to between `max_rows` · min(lo, 0) and `max_rows` · max(hi, 0), so Δ =
//! `max_rows` · max(|lo|, |hi|). Change a block: from lo to hi at worst, Δ = hi − lo.

use serde::{Deserialize, Serialize};
use tidegate_protocol::result::Cell;

use super::Reduce;
use crate::{
    noised::Noised,
    part::{Frame, Laid, Part, clip, grid, quantise},
};

/// Sum of a value clipped to [lo, hi].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sum {
    /// Lower clip bound.
    pub lo: f64,
    /// Upper clip bound.
    pub hi: f64,
}

impl Reduce for Sum {
    fn parts(&self, frame: Frame) -> Result<Vec<Part>, String> {
        let step = grid(self.lo, self.hi)?;
        Ok(vec![Part::sum(step, quantise(self.lo, step), quantise(self.hi, step), frame)?])
    }
    fn lay(&self, _: usize, values: &[&[f64]], _: &[Part], fields: &mut [Laid<'_>]) {
        let Self { lo, hi } = *self;
        fields[0].values(values[0].iter().map(|v| clip(*v, lo, hi)));
    }
    fn cells(&self, noised: &[Noised], _: Option<u32>) -> Vec<Cell> {
        noised[0].cells()
    }
    fn note(&self, _: Frame) -> (&'static str, f64, f64) {
        ("sum", self.lo, self.hi)
    }
}
