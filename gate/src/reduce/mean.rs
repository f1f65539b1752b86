//! Mean of a value clipped to [lo, hi].
//!
//! Two sums: of the value less the middle of its bounds, and of rows. With h = (hi − lo)/2, a unit's centred values sum to within
//! ±`max_rows` · h: Δ = `max_rows` · h, half of an uncentred sum's; and Δ = `max_rows` for the count. Each may use half of the
//! column's ρ. Change a block: a centred value goes from −h to h at worst, Δ = 2h, and the denominator ℓ is public.
//!
//! If a unit has more rows than that, its sum is scaled down to that number ([`Plan::close`](crate::Plan::close)): it counts with
//! the mean of all its rows, and the weight of `max_rows` of them. Clipped separately, sum and count would be of different rows.
//!
//! Mean = middle + centred sum / count: post-processing, as is the clip to [lo, hi].

use serde::{Deserialize, Serialize};
use tidegate_protocol::result::Cell;

use super::{Reduce, centre};
use crate::{
    interval::{mapped, quotient},
    noised::Noised,
    part::{Frame, Laid, Part, clip, grid},
};

/// Mean of a value clipped to [lo, hi].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// Lower clip bound.
    pub lo: f64,
    /// Upper clip bound.
    pub hi: f64,
}

impl Reduce for Mean {
    fn parts(&self, frame: Frame) -> Result<Vec<Part>, String> {
        grid(self.lo, self.hi)?;
        let sum = Part::centred(centre(self.lo, self.hi).1, frame)?;
        if frame.blocks.is_some() {
            return Ok(vec![sum]);
        }
        Ok(vec![sum.share(0.5), Part::counter(frame.rows).share(0.5)])
    }
    fn lay(&self, rows: usize, values: &[&[f64]], _: &[Part], fields: &mut [Laid<'_>]) {
        let (lo, hi, middle) = (self.lo, self.hi, centre(self.lo, self.hi).0);
        fields[0].values(values[0].iter().map(|v| clip(*v, lo, hi) - middle));
        fields[1..].iter_mut().for_each(|count| count.present(rows, values));
    }
    fn cells(&self, noised: &[Noised], blocks: Option<u32>) -> Vec<Cell> {
        let (middle, half) = centre(self.lo, self.hi);
        let public = blocks.map(|b| Noised::exact(f64::from(b)));
        let count = public.as_ref().unwrap_or_else(|| &noised[1]);
        vec![mapped(quotient(&noised[0], count, half), |v| (middle + v).clamp(self.lo, self.hi))]
    }
    fn note(&self, _: Frame) -> (&'static str, f64, f64) {
        ("mean", self.lo, self.hi)
    }
}
