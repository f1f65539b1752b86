//! Outputs of a job: how a contribution vector is released.

use serde::{Deserialize, Serialize};

use crate::{
    limits,
    refusal::{Code, Refusal},
};

/// Aggregation of numbers of the contribution vector by the gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Reducer {
    /// Sum over units or blocks.
    Sum,
    /// Mean over units or blocks.
    Mean,
    /// Counts of units or blocks per bin: `bins` equal bins over [lo, hi].
    Histogram {
        /// Number of bins.
        bins: u32,
    },
    /// Quantiles over units or blocks, each in [0, 1].
    Quantiles {
        /// Quantile positions.
        at: Vec<f64>,
    },
    /// Takes two numbers, the true and the predicted class, each from 0 to `classes` − 1: counts of the pairs, accuracy,
    /// precision, recall.
    Confusion {
        /// Number of classes.
        classes: u32,
    },
    /// Takes two numbers, a score in [lo, hi] and a label (0 or 1): area under the ROC curve, accuracy, precision and recall at a
    /// cut.
    Scores {
        /// Number of bins of the score.
        bins: u32,
        /// Cut: scores of at least this are called positive.
        cut: f64,
    },
    /// Takes two numbers, a score in [lo, hi] and a label (0 or 1): share of positives by bin of the score.
    Calibration {
        /// Number of bins of the score.
        bins: u32,
    },
    /// Takes `len` numbers: the sum of vectors, each clipped to Euclidean length `hi`.
    Vector {
        /// Length of the vector.
        len: u32,
    },
}

/// An output of the contribution vector: its public bounds and its reducer. Most outputs take a single number of the vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Column name in the result.
    pub name: String,
    /// Lower clip bound.
    pub lo: f64,
    /// Upper clip bound.
    pub hi: f64,
    /// Reducer applied by the gate.
    pub reducer: Reducer,
    /// Fallback value for a failed call of the program, public and within the bounds.
    pub default: f64,
}

impl Output {
    /// Returns how many numbers of the contribution vector the output takes.
    pub fn numbers(&self) -> usize {
        match self.reducer {
            Reducer::Sum | Reducer::Mean | Reducer::Histogram { .. } | Reducer::Quantiles { .. } => 1,
            Reducer::Confusion { .. } | Reducer::Scores { .. } | Reducer::Calibration { .. } => 2,
            Reducer::Vector { len } => len as usize,
        }
    }

    /// Returns the vector of fallback values of `outputs`, number by number.
    pub fn defaults(outputs: &[Self]) -> Vec<f64> {
        outputs.iter().flat_map(|o| std::iter::repeat_n(o.default, o.numbers())).collect()
    }
}

pub(super) fn check_outputs(outputs: &[Output]) -> Result<(), Refusal> {
    let bad = |field: String, message: String| Refusal::new(Code::BadRequest, message).at(field);
    let numbers = outputs.iter().fold(0usize, |sum, o| sum.saturating_add(o.numbers()));
    if outputs.is_empty() || numbers == 0 || numbers > limits::OUTPUTS {
        return Err(bad("program.outputs".into(), format!("must take 1 to {} numbers", limits::OUTPUTS)));
    }
    for (i, o) in outputs.iter().enumerate() {
        let field = |name: &str| format!("program.outputs[{i}].{name}");
        if o.name.is_empty() || o.name.len() > limits::NAME_BYTES {
            return Err(bad(field("name"), format!("must have 1 to {} bytes", limits::NAME_BYTES)));
        }
        if !(o.lo.is_finite() && o.hi.is_finite() && o.lo < o.hi && o.lo.abs().max(o.hi.abs()) <= 1e12) {
            return Err(bad(field("lo"), format!("bounds [{}, {}] are inverted, not finite or beyond 1e12", o.lo, o.hi)));
        }
        if !(o.lo..=o.hi).contains(&o.default) {
            return Err(bad(field("default"), format!("{} lies outside [{}, {}]", o.default, o.lo, o.hi)));
        }
        let wrong = |what: String| Err(bad(field("reducer"), what));
        match &o.reducer {
            Reducer::Histogram { bins } if !(1..=limits::BINS as u32).contains(bins) => {
                return wrong(format!("bins must be 1 to {}", limits::BINS));
            }
            Reducer::Scores { bins, .. } | Reducer::Calibration { bins } if !(1..=limits::BINS as u32 / 2).contains(bins) => {
                return wrong(format!("bins must be 1 to {}", limits::BINS / 2));
            }
            Reducer::Scores { cut, .. } if !(o.lo..=o.hi).contains(cut) => {
                return wrong(format!("cut {cut} lies outside the bounds"));
            }
            Reducer::Quantiles { at } if at.is_empty() || at.len() > 100 || at.iter().any(|p| !(0.0..=1.0).contains(p)) => {
                return wrong("at must list 1 to 100 numbers between 0 and 1".into());
            }
            Reducer::Confusion { classes } if !(2..=64).contains(classes) || (o.lo, o.hi) != (0.0, f64::from(classes - 1)) => {
                return wrong("classes must be 2 to 64, lo = 0 and hi = classes − 1".into());
            }
            Reducer::Vector { .. } if o.lo != -o.hi => return wrong("hi is the Euclidean length, and lo must be −hi".into()),
            _ => {}
        }
    }
    Ok(())
}
