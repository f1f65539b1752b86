//! What a job releases, in public numbers, and how each column becomes integer lanes.

use serde::{Deserialize, Serialize};

use crate::GateError;

/// Steps of the grid over the larger bound: 2^20, so a value's rounding is below a millionth of its bound.
const GRID_BITS: i32 = 20;

/// What is measured in one result column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Measure {
    /// Number of units.
    Units,
    /// Number of rows (with a non-NULL argument, where there is one).
    Count,
    /// Sum of a value clipped to [lo, hi].
    Sum {
        /// Lower clip bound.
        lo: f64,
        /// Upper clip bound.
        hi: f64,
    },
    /// Mean of a value clipped to [lo, hi].
    Mean {
        /// Lower clip bound.
        lo: f64,
        /// Upper clip bound.
        hi: f64,
    },
    /// Variance of a value clipped to [lo, hi], or its root.
    Variance {
        /// Lower clip bound.
        lo: f64,
        /// Upper clip bound.
        hi: f64,
        /// Over n − 1 (a sample's) instead of n (the population's).
        sample: bool,
        /// The standard deviation.
        root: bool,
    },
    /// How many units (or blocks) have a value in each of `bins` equal bins over [lo, hi].
    Histogram {
        /// Lower edge.
        lo: f64,
        /// Upper edge.
        hi: f64,
        /// Number of bins.
        bins: u32,
    },
}

/// One result column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Name in the result.
    pub name: String,
    /// What is measured.
    pub measure: Measure,
}

/// Which groups appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Keys {
    /// One group, always.
    None,
    /// So many declared groups, always all of them.
    Declared(u32),
    /// Those whose noisy number of units passes a threshold, no lower than this floor.
    Undeclared {
        /// Floor on the threshold.
        min_units: u32,
    },
}

/// A release in public numbers: everything its sensitivity depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// Names of the key columns.
    pub key_names: Vec<String>,
    /// Which groups appear.
    pub keys: Keys,
    /// Result columns.
    pub columns: Vec<Column>,
    /// κ: most groups one unit counts in.
    pub max_groups: u32,
    /// Most rows of one unit that count in one group.
    pub max_rows: u32,
    /// Number of blocks, for sample and aggregate; `None` for per-unit contributions.
    pub blocks: Option<u32>,
}

/// One integer that is summed over units: its grid, clip range and sensitivity.
#[derive(Debug, Clone, PartialEq)]
pub struct Lane {
    /// Width of a grid step in the column's unit.
    pub step: f64,
    /// Smallest contribution of one unit to one group, in steps.
    pub clip_lo: i64,
    /// Largest contribution of one unit to one group, in steps.
    pub clip_hi: i64,
    /// How far the lane's sum can move between neighbours within one group, in steps.
    pub sensitivity: i64,
    /// How many lanes of the same column move together at most (2 when a block leaves one bin for another).
    pub together: u32,
    /// Share of the column's ρ that this lane may use.
    pub share: f64,
}

/// A checked shape with its lanes.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) shape: Shape,
    pub(crate) lanes: Vec<Lane>,
    /// First lane of each column.
    pub(crate) first: Vec<usize>,
}

impl Plan {
    /// Checks `shape` and lays out its lanes.
    ///
    /// # Errors
    /// [`GateError::Shape`] for bounds, counts or κ out of range.
    pub fn new(shape: Shape) -> Result<Self, GateError> {
        let bad = |column: &str, problem: &str| GateError::Shape { column: column.into(), problem: problem.into() };
        if shape.columns.is_empty() {
            return Err(bad("", "nothing is measured"));
        }
        if shape.max_groups == 0 || shape.max_rows == 0 {
            return Err(bad("", "max_groups and max_rows must be positive"));
        }
        if shape.blocks.is_some() && (shape.keys != Keys::None || shape.max_rows != 1) {
            return Err(bad("", "blocks take neither keys nor several rows"));
        }
        if shape.blocks.is_some_and(|b| b < 2) {
            return Err(bad("", "at least two blocks are needed"));
        }
        let (mut lanes, mut first) = (Vec::new(), Vec::new());
        for column in &shape.columns {
            first.push(lanes.len());
            lay_out(column, &shape, &mut lanes)?;
        }
        Ok(Self { shape, lanes, first })
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The lanes, in column order.
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// The lanes of column `column`.
    pub fn lanes_of(&self, column: usize) -> std::ops::Range<usize> {
        self.first[column]..self.first.get(column + 1).copied().unwrap_or(self.lanes.len())
    }

    /// Whether a lane counts a unit once, however many rows it has.
    pub fn counts_once(&self, lane: usize) -> bool {
        let column = self.first.partition_point(|first| *first <= lane) - 1;
        self.shape.columns[column].measure == Measure::Units
    }

    /// So many rows of a unit cannot leave the clip range of any lane but those that [count once](Plan::counts_once): each row lies within the
    /// column's bounds, and the range is `max_rows` times as wide. They may be added without a tally.
    pub fn rows_within_clip(&self) -> usize {
        self.shape.max_rows as usize
    }

    /// κ in force: a unit cannot count in more groups than there are.
    pub fn kappa(&self) -> u32 {
        match self.shape.keys {
            Keys::None => 1,
            Keys::Declared(n) => self.shape.max_groups.min(n.max(1)),
            Keys::Undeclared { .. } => self.shape.max_groups,
        }
    }

    /// The neighbouring relation, as receipts name it.
    pub fn adjacency(&self) -> &'static str {
        if self.shape.blocks.is_some() { "change-one-block" } else { "add-remove-one-unit" }
    }
}

fn lay_out(column: &Column, shape: &Shape, lanes: &mut Vec<Lane>) -> Result<(), GateError> {
    let bad = |problem: &str| GateError::Shape { column: column.name.clone(), problem: problem.into() };
    let rows = i64::from(shape.max_rows);
    let blocks = shape.blocks.is_some();
    let counter =
        |hi: i64, together: u32, share: f64| Lane { step: 1.0, clip_lo: 0, clip_hi: hi, sensitivity: hi, together, share };
    match column.measure {
        Measure::Units | Measure::Count if blocks => return Err(bad("the number of blocks is public")),
        // One unit adds at most 1 to the number of units of a group.
        Measure::Units => lanes.push(counter(1, 1, 1.0)),
        // One unit adds at most max_rows to the number of rows of a group.
        Measure::Count => lanes.push(counter(rows, 1, 1.0)),
        Measure::Sum { lo, hi } => {
            let step = grid(lo, hi).ok_or_else(|| bad("bounds must be finite, lo below hi, within 1e12"))?;
            let (q_lo, q_hi) = (quantise(lo, step), quantise(hi, step));
            // add/remove: the unit's sum of at most max_rows clipped values enters or leaves: max_rows · max(|lo|, |hi|).
            // change one block: from lo to hi at worst.
            let (clip_lo, clip_hi) = if blocks { (q_lo, q_hi) } else { (q_lo.min(0) * rows, q_hi.max(0) * rows) };
            let sensitivity = if blocks { q_hi - q_lo } else { clip_hi.max(-clip_lo) };
            lanes.push(Lane { step, clip_lo, clip_hi, sensitivity, together: 1, share: 1.0 });
        }
        Measure::Mean { lo, hi } => {
            let half = (hi - lo) / 2.0;
            let step = grid(-half, half).ok_or_else(|| bad("bounds must be finite, lo below hi, within 1e12"))?;
            let q = quantise(half, step);
            if blocks {
                // The denominator ℓ is public; one block's centred value moves from -half to half at worst.
                lanes.push(Lane { step, clip_lo: -q, clip_hi: q, sensitivity: 2 * q, together: 1, share: 1.0 });
            } else {
                // Centred at the middle of the bounds, a unit moves the sum by max_rows · (hi − lo)/2: half of an uncentred sum.
                lanes.push(Lane { step, clip_lo: -q * rows, clip_hi: q * rows, sensitivity: q * rows, together: 1, share: 0.5 });
                lanes.push(counter(rows, 1, 0.5));
            }
        }
        Measure::Variance { lo, hi, .. } => {
            // Value and square are centred: c in [−h, h], c² − h²/2 in [−h²/2, h²/2]. A unit moves their sums by max_rows times the bound and the
            // count by max_rows; one block moves them from end to end, and the count is public.
            let half = (hi - lo) / 2.0;
            let bad = || bad("bounds must be finite, lo below hi, within 1e6 of their middle");
            let parts = if blocks { 2.0 } else { 3.0 };
            for bound in [half, half * half / 2.0] {
                let step = grid(-bound, bound).filter(|_| grid(lo, hi).is_some()).ok_or_else(bad)?;
                let q = quantise(bound, step);
                let (clip, sensitivity) = if blocks { (q, 2 * q) } else { (q * rows, q * rows) };
                lanes.push(Lane { step, clip_lo: -clip, clip_hi: clip, sensitivity, together: 1, share: 1.0 / parts });
            }
            if !blocks {
                lanes.push(counter(rows, 1, 1.0 / parts));
            }
        }
        Measure::Histogram { lo, hi, bins } => {
            grid(lo, hi).ok_or_else(|| bad("edges must be finite, lo below hi, within 1e12"))?;
            if bins == 0 || bins as usize > tidegate_protocol::limits::BINS {
                return Err(bad("the number of bins is out of range"));
            }
            if !blocks && shape.max_rows != 1 {
                return Err(bad("a histogram takes one value a unit"));
            }
            // add/remove: one bin moves by 1. change one block: one bin loses 1, another gains 1.
            for _ in 0..bins {
                lanes.push(counter(1, if blocks { 2 } else { 1 }, 1.0));
            }
        }
    }
    Ok(())
}

/// A power of two, so that values lie on the grid without rounding where they are short binary fractions.
fn grid(lo: f64, hi: f64) -> Option<f64> {
    let largest = lo.abs().max(hi.abs());
    (lo.is_finite() && hi.is_finite() && lo < hi && largest <= 1e12)
        .then(|| 2f64.powi(largest.max(1e-12).log2().ceil() as i32 - GRID_BITS))
}

/// Rounds to the nearest step, halves to even. `step` is a power of two, so its inverse and the product are exact.
fn quantise(value: f64, step: f64) -> i64 {
    i64::from(steps(value, step))
}

/// [`quantise`] in the few instructions that a loop over rows affords: in the sum with 1.5 · 2^52 the last bit is worth one, so the sum is
/// rounded to it, and its low bits are the number. Good while |value / step| < 2^31; values within their bounds are below 2^21.
#[inline]
pub(crate) fn steps(value: f64, step: f64) -> i32 {
    const ONES: f64 = 6_755_399_441_055_744.0;
    (value * (1.0 / step) + ONES).to_bits() as i32
}

#[cfg(test)]
mod tests {
    use super::quantise;

    #[test]
    fn values_round_to_the_nearest_step_and_halves_to_even() {
        for step in [1.0, 2f64.powi(-20), 2f64.powi(20)] {
            for k in -40..=40i64 {
                let half = k as f64 * 0.5;
                for steps in [half, half.next_up(), half.next_down(), half * 52_428.7, 2_097_151.5 + half, -2_097_151.5 - half] {
                    assert_eq!(quantise(steps * step, step), steps.round_ties_even() as i64, "{steps} × {step}");
                }
            }
        }
    }
}
