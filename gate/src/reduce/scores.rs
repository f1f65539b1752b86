//! A score in [lo, hi] against a label: area under the ROC curve, and accuracy, precision and recall at a cut.
//!
//! Two histograms of the score, for positives (label at least ½) and others: a row is counted in one bin of one of them, so together they are one
//! histogram with the sensitivity of [`Part::bins`].
//!
//! AUC = P[positive's score > other's] + ½ P[same bin], from the noised bins: post-processing, as is all that follows.

use serde::{Deserialize, Serialize};
use tidegate_protocol::result::Cell;

use super::{Reduce, bin, confusion::ratio, histogram};
use crate::{
    noised::{Noised, spread},
    part::{Frame, Part},
};

/// A score in [lo, hi] against a label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Lowest score.
    pub lo: f64,
    /// Highest score.
    pub hi: f64,
    /// Bins of the score; the cut lies at the edge nearest to it.
    pub bins: u32,
    /// Scores of at least this are called positive.
    pub cut: f64,
}

/// Area under the ROC curve from bins of positives, then of others. Negative counts are noise and read as 0.
fn auc(bins: &[f64]) -> f64 {
    let (positives, others) = bins.split_at(bins.len() / 2);
    let (mut below, mut above, mut p) = (0.0, 0.0, 0.0);
    for (positive, other) in positives.iter().zip(others).map(|(p, o)| (p.max(0.0), o.max(0.0))) {
        above += positive * (below + other / 2.0);
        below += other;
        p += positive;
    }
    if p * below > 0.0 { above / (p * below) } else { 0.5 }
}

/// A row's bin among those of positives, or those of others.
pub(super) fn lay(lo: f64, hi: f64, bins: u32, values: &[&[f64]], fields: &mut [Vec<i32>]) {
    let of = |(score, label): (&f64, &f64)| {
        if score.is_nan() || label.is_nan() {
            return -1;
        }
        bin(*score, lo, hi, bins) + if *label >= 0.5 { 0 } else { bins as i32 }
    };
    fields[0].extend(values[0].iter().zip(values[1]).map(of));
}

impl Reduce for Scores {
    fn arity(&self) -> usize {
        2
    }
    fn parts(&self, frame: Frame) -> Result<Vec<Part>, String> {
        histogram::check(self.lo, self.hi, 2 * self.bins)?;
        if !(self.lo..=self.hi).contains(&self.cut) {
            return Err("the cut lies outside the bounds".into());
        }
        Ok(vec![Part::bins(2 * self.bins as usize, frame)])
    }
    fn lay(&self, _: usize, values: &[&[f64]], _: &[Part], fields: &mut [Vec<i32>]) {
        lay(self.lo, self.hi, self.bins, values, fields);
    }
    fn names(&self, column: &str) -> Vec<String> {
        ["auc", "accuracy", "precision", "recall", "positives", "others"].map(|name| format!("{column} {name}")).into()
    }
    fn cells(&self, noised: &[Noised], _: Option<u32>) -> Vec<Cell> {
        let counts = &noised[0];
        let bins = self.bins as usize;
        let rate = |of: &dyn Fn(&[f64]) -> f64| spread(noised, (0.0, 1.0), of);
        let cut = ((self.cut - self.lo) / (self.hi - self.lo) * f64::from(self.bins)).round() as usize;
        let hits = |v: &[f64]| v[cut..bins].iter().sum::<f64>();
        let called = |v: &[f64]| hits(v) + v[bins + cut..].iter().sum::<f64>();
        let right = |v: &[f64]| hits(v) + v[bins..bins + cut].iter().sum::<f64>();
        let mut cells = vec![
            rate(&auc),
            rate(&|v| ratio(right(v), v.iter().sum())),
            rate(&|v| ratio(hits(v), called(v))),
            rate(&|v| ratio(hits(v), v[..bins].iter().sum())),
        ];
        cells.extend(counts.sum(0..bins).cells());
        cells.extend(counts.sum(bins..2 * bins).cells());
        cells
    }
    fn note(&self, _: Frame) -> (&'static str, f64, f64) {
        ("scores", self.lo, self.hi)
    }
}
