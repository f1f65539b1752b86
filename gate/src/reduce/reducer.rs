//! Interface of every reducer, and shared computations.

use tidegate_protocol::result::Cell;

use crate::{
    noised::Noised,
    part::{Frame, Laid, Part},
};

/// Interface of a reducer.
pub(crate) trait Reduce {
    /// Returns the number of values taken per row.
    fn arity(&self) -> usize {
        1
    }

    /// Returns the summed integers, with their sensitivity.
    fn parts(&self, frame: Frame) -> Result<Vec<Part>, String>;

    /// Lays rows on the grid: writes an integer per row into each of the parts' fields.
    ///
    /// `values` has [`Reduce::arity`] slices of `rows` values. NaN adds nothing: 0 in a sum, −1 as a bin.
    fn lay(&self, rows: usize, values: &[&[f64]], parts: &[Part], fields: &mut [Laid<'_>]);

    /// Returns the exact integers to be noised: the lanes, or sums of them.
    fn expand(&self, lanes: &[i128]) -> Vec<i128> {
        lanes.to_vec()
    }

    /// Returns the names of the result columns.
    fn names(&self, column: &str) -> Vec<String> {
        vec![column.to_owned()]
    }

    /// Computes the result cells from the noised sums of each part; `blocks` is the public denominator over blocks.
    fn cells(&self, noised: &[Noised], blocks: Option<u32>) -> Vec<Cell>;

    /// Returns the name and bounds for the receipt.
    fn note(&self, frame: Frame) -> (&'static str, f64, f64);
}

/// Returns the index of `v` among `bins` equal bins over [lo, hi]; values beyond lie in the outer bins.
pub(super) fn bin(v: f64, lo: f64, hi: f64, bins: u32) -> i32 {
    let position = (v.clamp(lo, hi) - lo) / (hi - lo) * f64::from(bins);
    (position as i32).min(bins as i32 - 1)
}

/// Returns the middle of [lo, hi] and half its width.
pub(super) fn centre(lo: f64, hi: f64) -> (f64, f64) {
    ((lo + hi) / 2.0, (hi - lo) / 2.0)
}
