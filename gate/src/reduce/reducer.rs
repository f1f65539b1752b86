//! What every reducer has to say of itself, and what several of them compute alike.

use tidegate_protocol::result::Cell;

use crate::{
    noised::Noised,
    part::{Frame, Laid, Part},
};

/// What each reducer says of itself.
pub(crate) trait Reduce {
    /// Values it takes a row.
    fn arity(&self) -> usize {
        1
    }

    /// The integers it sums, with their sensitivity.
    fn parts(&self, frame: Frame) -> Result<Vec<Part>, String>;

    /// Lays rows on the grid: into each of the parts' fields one integer a row. `values` has [`Reduce::arity`] slices of `rows` values. NaN adds nothing:
    /// 0 in a sum, −1 as a bin.
    fn lay(&self, rows: usize, values: &[&[f64]], parts: &[Part], fields: &mut [Laid<'_>]);

    /// The exact integers that are noised: the lanes, or sums of them.
    fn expand(&self, lanes: &[i128]) -> Vec<i128> {
        lanes.to_vec()
    }

    /// Names of its result columns.
    fn names(&self, column: &str) -> Vec<String> {
        vec![column.to_owned()]
    }

    /// Its result cells from noised sums, a part each; `blocks` is the public denominator over blocks.
    fn cells(&self, noised: &[Noised], blocks: Option<u32>) -> Vec<Cell>;

    /// Name and bounds for the receipt.
    fn note(&self, frame: Frame) -> (&'static str, f64, f64);
}

/// Where `v` lies among `bins` equal bins over [lo, hi]; values beyond lie in the outer ones.
pub(super) fn bin(v: f64, lo: f64, hi: f64, bins: u32) -> i32 {
    let position = (v.clamp(lo, hi) - lo) / (hi - lo) * f64::from(bins);
    (position as i32).min(bins as i32 - 1)
}

/// The middle of [lo, hi], and half its width.
pub(super) fn centre(lo: f64, hi: f64) -> (f64, f64) {
    ((lo + hi) / 2.0, (hi - lo) / 2.0)
}
