//! A score in [lo, hi] against a label: area under the ROC curve, and accuracy, precision and recall at a cut.
//!
//! Two histograms of the score, for positives (label at least ½) and others: a row is counted in one bin of one of them, so
//! together they are one histogram with the sensitivity of [`Part::bins`].
//!
//! AUC = P[positive's score > other's] + ½ P[same bin], from the noised bins: post-processing, as is everything that follows.

use serde::{Deserialize, Serialize};
use tidegate_protocol::result::Cell;

use super::{Reduce, bin, histogram};
use crate::{
    interval::{Counted, cell, inverted, share},
    noised::Noised,
    part::{Frame, Laid, Part},
};

/// A score in [lo, hi] against a label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Lowest score.
    pub lo: f64,
    /// Highest score.
    pub hi: f64,
    /// Number of bins of the score; the cut lies at the nearest edge.
    pub bins: u32,
    /// Score from which a row is called positive.
    pub cut: f64,
}

/// Computes the area under the ROC curve from bins of positives, then of others: with pᵢ positives in bin i and oⱼ others in bin
/// j, Σ kᵢⱼ pᵢ oⱼ / (P·O), where kᵢⱼ is 1 below the positive, ½ beside it and 0 above.
///
/// Noise on different bins is independent, so with the bins as they are, even negative ones, the sum above and both totals are
/// right in the mean; clipped at 0, empty bins would all count, and draw the area to ½.
///
/// The interval contains the θ for which Σ (kᵢⱼ − θ) pᵢ oⱼ is no surprise. Its variance is σ²·(Σ aᵢ² + Σ bⱼ²) + σ⁴·Σ (kᵢⱼ − θ)²,
/// where aᵢ = Σⱼ (kᵢⱼ − θ) oⱼ is what one more positive in bin i adds, and bⱼ likewise. Noised bins make each of the two sums too
/// large by the last term: once more than is needed. It is not subtracted. The sums are estimates themselves, and where few of
/// many bins hold all people they err by as much as that term, to both sides.
fn auc(counts: &Noised) -> Cell {
    let m = counts.values.len() / 2;
    let (positives, others) = counts.values.split_at(m);
    let (p, o): (f64, f64) = (positives.iter().sum(), others.iter().sum());
    let (mut below, mut seen, mut area) = (0.0, 0.0, 0.0);
    // Σ aᵢ and Σ aᵢ² at θ = 0, and likewise for b.
    let (mut a, mut b) = ([0.0; 2], [0.0; 2]);
    for (positive, other) in positives.iter().zip(others) {
        let (mine, theirs) = (below + other / 2.0, p - seen - positive / 2.0);
        area += positive * mine;
        (a, b) = ([a[0] + mine, a[1] + mine * mine], [b[0] + theirs, b[1] + theirs * theirs]);
        below += other;
        seen += positive;
    }
    let n = m as f64;
    let square = counts.reach.powi(2);
    let noise = [square * (a[1] + b[1]), -2.0 * square * (o * a[0] + p * b[0]), square * n * (o * o + p * p)];
    // Where either total can hardly be told from its noise, nothing can be said.
    let told = p.min(o) > counts.reach * n.sqrt();
    let value = if p > 0.0 && o > 0.0 { area / (p * o) } else { 0.5 };
    let ends = if told { inverted(area, p * o, noise) } else { None };
    cell(if ends.is_some() { value } else { value.clamp(0.0, 1.0) }, ends.unwrap_or((0.0, 1.0)), (0.0, 1.0))
}

/// Lays each row in its bin, among the bins of positives or of others.
pub(super) fn lay(lo: f64, hi: f64, bins: u32, values: &[&[f64]], fields: &mut [Laid<'_>]) {
    let of = |(score, label): (&f64, &f64)| {
        if score.is_nan() || label.is_nan() {
            return -1;
        }
        bin(*score, lo, hi, bins) + if *label >= 0.5 { 0 } else { bins as i32 }
    };
    fields[0].numbers(values[0].iter().zip(values[1]).map(of));
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
    fn lay(&self, _: usize, values: &[&[f64]], _: &[Part], fields: &mut [Laid<'_>]) {
        lay(self.lo, self.hi, self.bins, values, fields);
    }
    fn names(&self, column: &str) -> Vec<String> {
        ["auc", "accuracy", "precision", "recall", "positives", "others"].map(|name| format!("{column} {name}")).into()
    }
    fn cells(&self, noised: &[Noised], _: Option<u32>) -> Vec<Cell> {
        let counts = &noised[0];
        let bins = self.bins as usize;
        let cut = ((self.cut - self.lo) / (self.hi - self.lo) * f64::from(self.bins)).round() as usize;
        let of = |places: std::ops::Range<usize>| Counted::of(counts, places, 1.0);
        let both = |a: std::ops::Range<usize>, b: std::ops::Range<usize>| Counted::of(counts, a.chain(b), 1.0);
        let hits = of(cut..bins);
        let mut cells = vec![
            auc(counts),
            share(both(cut..bins, bins..bins + cut), both(0..cut, bins + cut..2 * bins)),
            share(hits, of(bins + cut..2 * bins)),
            share(hits, of(0..cut)),
        ];
        cells.push(counts.sum(0..bins));
        cells.push(counts.sum(bins..2 * bins));
        cells
    }
    fn note(&self, _: Frame) -> (&'static str, f64, f64) {
        ("scores", self.lo, self.hi)
    }
}
