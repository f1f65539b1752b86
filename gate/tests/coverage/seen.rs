//! What was seen of a number over many releases.

use std::collections::BTreeSet;

use tidegate_protocol::result::Cell;

/// Every kind of number there is.
pub(crate) const KINDS: [&str; 29] = [
    "calibration count",
    "calibration positive share",
    "confusion accuracy",
    "confusion cell",
    "confusion f1",
    "confusion precision",
    "confusion recall",
    "correlation",
    "count",
    "covariance",
    "histogram",
    "mean",
    "mean beside quantiles",
    "quantiles",
    "quantiles beside mean",
    "remainder count",
    "remainder mean",
    "remainder units",
    "scores accuracy",
    "scores auc",
    "scores others",
    "scores positives",
    "scores precision",
    "scores recall",
    "standard-deviation",
    "sum",
    "units",
    "variance",
    "vector-sum",
];

/// The kind of a number: its name without bins, classes and places.
pub(crate) fn kind(number: &str) -> String {
    let words: Vec<&str> = number.split_whitespace().collect();
    if words.contains(&"as") {
        return "confusion cell".into();
    }
    let plain = |word: &&&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') || **word == "f1" || **word == "auc";
    words.iter().filter(plain).copied().collect::<Vec<_>>().join(" ")
}

/// All kinds of them.
pub(crate) fn kinds<'a>(numbers: impl Iterator<Item = &'a String>) -> Vec<String> {
    numbers.map(|number| kind(number)).collect::<BTreeSet<_>>().into_iter().collect()
}

/// One number.
#[derive(Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) runs: usize,
    pub(crate) held: usize,
    /// Mean error, and mean width.
    pub(crate) error: f64,
    pub(crate) width: f64,
}

impl Seen {
    /// Adds what was released where this is the truth.
    pub(crate) fn add(&mut self, cell: &Cell, truth: f64) {
        // Truths are computed in floats.
        let near = 1e-9 * truth.abs();
        self.runs += 1;
        self.held += usize::from(cell.low - near <= truth && truth <= cell.high + near);
        let weight = 1.0 / self.runs as f64;
        self.error += (cell.value - truth - self.error) * weight;
        self.width += (cell.high - cell.low - self.width) * weight;
    }

    /// The share of intervals that held the truth.
    pub(crate) fn share(&self) -> f64 {
        self.held as f64 / self.runs as f64
    }

    /// The mean error, in halves of the mean width.
    pub(crate) fn off(&self) -> f64 {
        if self.width > 0.0 { 2.0 * self.error / self.width } else { 0.0 }
    }
}
