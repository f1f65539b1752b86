//! Reducers: measures of a column. Each has its own file, including the derivation of its sensitivity.
//!
//! A derivation states how far one unit's coming or going (add-remove), or one block's change, can move the sums of *one* group;
//! the fact that a unit is in at most κ groups is priced in [`calibrate`](crate::Plan::calibrate). The mechanism is the discrete
//! Gaussian on each integer, the cost Δ²/(2σ²) of ρ (Bun and Steinke 2016, Proposition 1.6; Canonne, Kamath and Steinke 2020,
//! Theorem 4 for the discrete one); or, where the job pays in pure ε, the discrete Laplace at Δ₁/b ([`Noise`](crate::Noise)),
//! where Δ₁ equals Δ except for vectors. What follows the noise is post-processing and free.

mod confusion;
mod count;
mod covariance;
mod histogram;
mod mean;
mod quantiles;
mod reducer;
mod reliability;
mod scores;
mod sum;
mod variance;
mod vector;

use serde::{Deserialize, Serialize};
use tidegate_protocol::result::Cell;

pub(crate) use self::reducer::Reduce;
use self::reducer::{bin, centre};
pub use self::{
    confusion::Confusion,
    covariance::Covariance,
    histogram::Histogram,
    mean::Mean,
    quantiles::{BRANCHES, Quantiles},
    reliability::Reliability,
    scores::Scores,
    sum::Sum,
    variance::Variance,
    vector::Vector,
};
use crate::{
    noised::Noised,
    part::{Frame, Laid, Part},
};

/// Measure of a result column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Measure {
    /// Number of units.
    Units,
    /// Number of rows (with a non-NULL argument, if any).
    Count,
    /// Sum.
    Sum(Sum),
    /// Mean.
    Mean(Mean),
    /// Variance or standard deviation.
    Variance(Variance),
    /// Covariance or correlation of two values.
    Covariance(Covariance),
    /// Counts by bin.
    Histogram(Histogram),
    /// Quantiles.
    Quantiles(Quantiles),
    /// Confusion matrix of two classes, and the metrics derived from the matrix.
    Confusion(Confusion),
    /// Area under the ROC curve of a score against a label, and the metrics derived from a cut.
    Scores(Scores),
    /// Share of positives among rows with about the same score.
    Reliability(Reliability),
    /// Sum of vectors clipped by their Euclidean length.
    Vector(Vector),
}

impl Measure {
    fn reducer(&self) -> &dyn Reduce {
        match self {
            Self::Units => &count::Units,
            Self::Count => &count::Count,
            Self::Sum(r) => r,
            Self::Mean(r) => r,
            Self::Variance(r) => r,
            Self::Covariance(r) => r,
            Self::Histogram(r) => r,
            Self::Quantiles(r) => r,
            Self::Confusion(r) => r,
            Self::Scores(r) => r,
            Self::Reliability(r) => r,
            Self::Vector(r) => r,
        }
    }

    /// Returns how many values of a row, or numbers of a contribution vector, the measure takes.
    pub fn values(&self) -> usize {
        self.reducer().arity()
    }

    /// Returns whether the measure divides sums over rows by their number, which is the last of its lanes.
    ///
    /// For a unit with more rows than count, sums and number are then scaled down together ([`Plan::close`](crate::Plan::close)):
    /// clipped separately, they would no longer be of the same rows.
    pub fn is_per_row(&self) -> bool {
        matches!(self, Self::Mean(_) | Self::Variance(_) | Self::Covariance(_))
    }
}

impl Reduce for Measure {
    fn arity(&self) -> usize {
        self.reducer().arity()
    }
    fn parts(&self, frame: Frame) -> Result<Vec<Part>, String> {
        self.reducer().parts(frame)
    }
    fn lay(&self, rows: usize, values: &[&[f64]], parts: &[Part], fields: &mut [Laid<'_>]) {
        self.reducer().lay(rows, values, parts, fields);
    }
    fn expand(&self, lanes: &[i128]) -> Vec<i128> {
        self.reducer().expand(lanes)
    }
    fn names(&self, column: &str) -> Vec<String> {
        self.reducer().names(column)
    }
    fn cells(&self, noised: &[Noised], blocks: Option<u32>) -> Vec<Cell> {
        self.reducer().cells(noised, blocks)
    }
    fn note(&self, frame: Frame) -> (&'static str, f64, f64) {
        self.reducer().note(frame)
    }
}
