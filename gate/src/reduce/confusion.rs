//! Confusion matrix of two classes per row (actual and predicted), and the metrics derived from the matrix.
//!
//! A row is counted in one of `classes`² cells: a histogram, with the sensitivity of [`Part::bins`]. Accuracy, precision, recall
//! and F1 are ratios of its noised cells: post-processing.

use serde::{Deserialize, Serialize};
use tidegate_protocol::{limits, result::Cell};

use super::Reduce;
use crate::{
    interval::{Counted, share},
    noised::Noised,
    part::{Frame, Laid, Part},
};

/// Counts of (actual, predicted) pairs, each a class from 0; other values are taken for the nearest class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Confusion {
    /// Number of classes, 2 to 64.
    pub classes: u32,
}

impl Reduce for Confusion {
    fn arity(&self) -> usize {
        2
    }
    fn parts(&self, frame: Frame) -> Result<Vec<Part>, String> {
        let cells = self.classes as usize * self.classes as usize;
        if self.classes < 2 || cells > limits::BINS {
            return Err("the number of classes is out of range".into());
        }
        Ok(vec![Part::bins(cells, frame)])
    }
    fn lay(&self, _: usize, values: &[&[f64]], _: &[Part], fields: &mut [Laid<'_>]) {
        let class = |v: f64| v.round().clamp(0.0, f64::from(self.classes - 1)) as i32;
        let of = |(actual, predicted): (&f64, &f64)| {
            if actual.is_nan() || predicted.is_nan() {
                return -1;
            }
            class(*actual) * self.classes as i32 + class(*predicted)
        };
        fields[0].numbers(values[0].iter().zip(values[1]).map(of));
    }
    fn names(&self, column: &str) -> Vec<String> {
        let classes = || 0..self.classes;
        let cells = classes().flat_map(|a| classes().map(move |p| format!("{column} {a} as {p}")));
        let rates = classes().flat_map(|c| ["precision", "recall", "f1"].map(|name| format!("{column} {name} {c}")));
        cells.chain([format!("{column} accuracy")]).chain(rates).collect()
    }
    fn cells(&self, noised: &[Noised], _: Option<u32>) -> Vec<Cell> {
        let k = self.classes as usize;
        let counts = &noised[0];
        let mut cells = counts.cells();
        let right = |cell: &usize| cell / k == cell % k;
        let of = |some: &dyn Fn(usize) -> bool, times| Counted::of(counts, (0..k * k).filter(|cell| some(*cell)), times);
        cells.push(share(of(&|cell| right(&cell), 1.0), of(&|cell| !right(&cell), 1.0)));
        for c in 0..k {
            let hits = |times| of(&|cell| cell / k == c && cell % k == c, times);
            let (called, missed) = (|cell: usize| cell % k == c && cell / k != c, |cell: usize| cell / k == c && cell % k != c);
            cells.push(share(hits(1.0), of(&called, 1.0)));
            cells.push(share(hits(1.0), of(&missed, 1.0)));
            // 2PR/(P + R) is the share of twice the hits in twice the hits plus everything that was wrong.
            cells.push(share(hits(2.0), of(&|cell| called(cell) || missed(cell), 1.0)));
        }
        cells
    }
    fn note(&self, _: Frame) -> (&'static str, f64, f64) {
        ("confusion", 0.0, f64::from(self.classes - 1))
    }
}
