//! Summed integers: their grid, clip range and sensitivity.
//!
//! Bounds are floats; clipping and summing are done on integers. A part states between which integers one row may add
//! ([`Part::row`]), and [`Laid`] clamps to them whatever a reducer's arithmetic made of a row. Clip range and sensitivity follow
//! from the same two integers, in [`Part::sum`] alone, so no rounding of a float lies between a bound and the noise that covers
//! it.

/// Binary logarithm of the grid's steps over the larger bound: 2^20 steps, so a value's rounding is below a millionth of its
/// bound.
const GRID_BITS: i32 = 20;

/// Largest absolute value of a bound.
const LARGEST: f64 = 1e12;

/// Smallest absolute value of the larger of two bounds.
const SMALLEST: f64 = 1e-12;

/// Minimum distance of two bounds as a share of the larger bound: 2^21 of its last places, so a value less the middle of its
/// bounds has all bits of its grid.
const APART: f64 = 1.0 / (1u64 << 31) as f64;

/// Rule by which the rows of a unit become a part's integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Each lane is a sum over the unit's rows, clipped by itself.
    Sum,
    /// A single lane, which is 1 for a unit with any number of rows.
    Once,
    /// Each row adds 1 to a single lane. The first `max_rows` rows of a unit count, so all lanes together gain no more.
    Bins,
}

/// Lanes of a column with the same grid, clip range and noise scale.
///
/// Adding or removing one unit (over blocks: changing one) moves the part's lanes so that Gaussian noise of standard deviation σ
/// on each of them costs `times` · `sensitivity`² / (2σ²) of ρ in each group that the unit is in, and Laplace noise of scale b
/// costs `times` · [`Part::taxicab`] / b of pure ε.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// First of the part's lanes in the plan.
    pub first: usize,
    /// Number of lanes.
    pub lanes: usize,
    /// Rule by which rows become the part's integers.
    pub kind: Kind,
    /// Width of a grid step in the column's unit.
    pub step: f64,
    /// Smallest and largest integer added to a lane by a row, in steps; a missing value adds 0. For [`Kind::Bins`], the range of
    /// lane numbers, with −1 for none.
    pub row: (i32, i32),
    /// Smallest contribution of a unit to a group, in steps.
    pub clip_lo: i64,
    /// Largest contribution of a unit to a group, in steps.
    pub clip_hi: i64,
    /// Distance by which the part can move between neighbours within a group, in steps: the Euclidean length over its lanes.
    pub sensitivity: i64,
    /// Number of such moves coming together: layers of a tree, or two bins when a block leaves its bin for another.
    pub times: u32,
    /// Share of the column's price available to this part.
    pub share: f64,
}

impl Part {
    /// Builds a lane counting to `most`, by 1 per row.
    pub(crate) fn counter(most: i64) -> Self {
        Self {
            first: 0,
            lanes: 1,
            kind: Kind::Sum,
            step: 1.0,
            row: (0, 1),
            clip_lo: 0,
            clip_hi: most,
            sensitivity: most,
            times: 1,
            share: 1.0,
        }
    }

    /// Builds a lane of values on a grid, to which a row adds between `lo` and `hi` steps.
    ///
    /// Add or remove a unit: its rows, at most `rows`, sum to between `rows` · min(lo, 0) and `rows` · max(hi, 0), so Δ is the
    /// larger absolute value of the two. Change a block: from one end to the other, Δ = hi − lo.
    ///
    /// # Errors
    /// Fails if nothing would move the sum: noise of no width would cover it.
    pub(crate) fn sum(step: f64, lo: i64, hi: i64, frame: Frame) -> Result<Self, String> {
        let (clip_lo, clip_hi, sensitivity) = if frame.blocks.is_some() {
            (lo, hi, hi - lo)
        } else {
            let (lo, hi) = (lo.min(0) * frame.rows, hi.max(0) * frame.rows);
            (lo, hi, hi.max(-lo))
        };
        match (i32::try_from(lo), i32::try_from(hi)) {
            (Ok(lo), Ok(hi)) if lo <= hi && sensitivity >= 1 => {
                Ok(Self { step, row: (lo.min(0), hi.max(0)), clip_lo, clip_hi, sensitivity, ..Self::counter(1) })
            }
            _ => Err("its bounds are too close together relative to their size: subtract their midpoint from the value, and clamp the difference".into()),
        }
    }

    /// Builds a lane of values within ±`bound`, which must be a normal float, as is any that follows from bounds that [`grid`]
    /// accepted.
    ///
    /// # Errors
    /// As for [`Part::sum`].
    pub(crate) fn centred(bound: f64, frame: Frame) -> Result<Self, String> {
        let step = step(bound);
        let q = quantise(bound, step);
        Self::sum(step, -q, q, frame)
    }

    /// Builds lanes for counting each row in a single lane.
    ///
    /// Add or remove a unit: at worst all its rows are in one bin, which moves by `max_rows`; spread over several bins the
    /// Euclidean length is less. Change a block: one bin loses 1, another gains 1.
    pub(crate) fn bins(lanes: usize, frame: Frame) -> Self {
        let (most, times) = if frame.blocks.is_some() { (1, 2) } else { (frame.rows, 1) };
        Self { lanes, kind: Kind::Bins, row: (-1, lanes as i32 - 1), times, ..Self::counter(most) }
    }

    pub(crate) fn share(self, share: f64) -> Self {
        Self { share, ..self }
    }

    /// Returns how far the part can move in the taxicab norm, in steps: the sum of its lanes' moves.
    ///
    /// In bins the worst move is the same, all of a unit's rows in one of them; otherwise no vector of Euclidean length Δ moves n
    /// lanes by more than Δ√n in all (Cauchy and Schwarz).
    pub fn taxicab(&self) -> i64 {
        if self.kind == Kind::Bins || self.lanes == 1 {
            return self.sensitivity;
        }
        let square = i128::from(self.sensitivity).pow(2) * self.lanes as i128;
        let root = square.isqrt();
        i64::try_from(root + i128::from(root * root < square)).unwrap_or(i64::MAX)
    }

    /// Returns the part's lanes in the plan.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.lanes
    }

    /// Returns the number of fields (vectors of an integer per row) of the part: a field per lane, or a single field naming the
    /// lane.
    pub fn fields(&self) -> usize {
        if self.kind == Kind::Bins { 1 } else { self.lanes }
    }
}

/// Inputs of a reducer's sensitivity other than its own bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    /// Maximum number of a unit's rows counted in a group.
    pub(crate) rows: i64,
    /// Number of blocks, for sample and aggregate.
    pub(crate) blocks: Option<u32>,
}

/// Returns the step of the grid for values in [lo, hi].
///
/// # Errors
/// Fails if the bounds are not finite, in order, of a size between [`SMALLEST`] and [`LARGEST`], and [`APART`].
pub(crate) fn grid(lo: f64, hi: f64) -> Result<f64, String> {
    let largest = lo.abs().max(hi.abs());
    if !(lo.is_finite() && hi.is_finite() && lo < hi) {
        return Err(format!("its bounds {lo:?} and {hi:?} must be finite, with the lower bound first"));
    }
    if !(SMALLEST..=LARGEST).contains(&largest) {
        return Err(format!(
            "the larger of its bounds {lo:?} and {hi:?} must have a magnitude between {SMALLEST:e} and {LARGEST:e}: rescale the value"
        ));
    }
    if hi - lo < largest * APART {
        return Err(format!(
            "its bounds {lo:?} and {hi:?} are too close together: subtract their midpoint from the value, and clamp the difference"
        ));
    }
    Ok(step(largest))
}

/// Returns the step of the grid for values of at most this size, a normal float.
///
/// The step is a power of two, so that values that are short binary fractions lie on the grid without rounding; the bound is
/// between 2^19 and 2^20 steps.
fn step(largest: f64) -> f64 {
    const MANTISSA: u64 = (1 << (f64::MANTISSA_DIGITS - 1)) - 1;
    let bits = largest.to_bits();
    let exponent = (bits >> (f64::MANTISSA_DIGITS - 1)) as i32 - 1023;
    2f64.powi(exponent + i32::from(bits & MANTISSA != 0) - GRID_BITS)
}

/// Rounds to the nearest step, halves to even. `step` is a power of two, so its inverse and the product are exact. Valid while
/// |value / step| < 2^31.
pub(crate) fn quantise(value: f64, step: f64) -> i64 {
    i64::from((value * (1.0 / step) + ONES).to_bits() as i32)
}

/// 1.5 · 2^52: in a sum with this the last bit is worth 1, so the sum is rounded to an integer, halves to even, and its low bits
/// are the number.
const ONES: f64 = 6_755_399_441_055_744.0;

/// Integers of a field of a part, per row. They are written only through its methods, which clamp to [`Part::row`].
///
/// The methods' loops run over slices of known length and local numbers, so that they vectorise.
pub(crate) struct Laid<'a> {
    row: (i32, i32),
    step: f64,
    /// Value of a row adding nothing.
    missing: i32,
    into: &'a mut Vec<i32>,
}

impl<'a> Laid<'a> {
    /// Wraps a field of `part`, emptied.
    pub(crate) fn new(part: &Part, into: &'a mut Vec<i32>) -> Self {
        into.clear();
        Self { row: part.row, step: part.step, missing: if part.kind == Kind::Bins { -1 } else { 0 }, into }
    }

    /// Adds rows by their values, in the column's unit: each becomes a number of grid steps, or the missing value for NaN.
    #[inline]
    pub(crate) fn values(&mut self, values: impl ExactSizeIterator<Item = f64>) {
        let inverse = 1.0 / self.step;
        // Integers of 32 bits, and their sums with ONES, are exact: clamping before or after taking the bits gives the same
        // number. Beyond 32 bits, where the bits are no longer the number, the value is clamped all the same.
        let (lo, hi) = (ONES + f64::from(self.row.0), ONES + f64::from(self.row.1));
        let missing = self.missing;
        for (laid, v) in self.more(values.len()).iter_mut().zip(values) {
            let steps = clip(v * inverse + ONES, lo, hi).to_bits() as i32;
            *laid = if v.is_nan() { missing } else { steps };
        }
    }

    /// Adds rows by their integers.
    pub(crate) fn numbers(&mut self, numbers: impl ExactSizeIterator<Item = i32>) {
        let (lo, hi) = self.row;
        self.more(numbers.len()).iter_mut().zip(numbers).for_each(|(laid, number)| *laid = number.max(lo).min(hi));
    }

    /// Adds 1 for each row in which no value is NaN.
    pub(crate) fn present(&mut self, rows: usize, values: &[&[f64]]) {
        match values {
            [] => self.numbers(std::iter::repeat_n(1, rows)),
            [values] => self.numbers(values.iter().map(|v| i32::from(!v.is_nan()))),
            values => self.numbers((0..rows).map(|row| i32::from(values.iter().all(|v| !v[row].is_nan())))),
        }
    }

    /// Makes invalid rows add nothing.
    pub(crate) fn leave_out(&mut self, valid: &[bool]) {
        let missing = self.missing;
        self.into.iter_mut().zip(valid).for_each(|(laid, valid)| *laid = if *valid { *laid } else { missing });
    }

    fn more(&mut self, rows: usize) -> &mut [i32] {
        let from = self.into.len();
        self.into.resize(from + rows, self.missing);
        &mut self.into[from..]
    }
}

/// Clamps like `f64::clamp`, vectorising and passing NaN.
#[inline]
pub(crate) fn clip(v: f64, lo: f64, hi: f64) -> f64 {
    let clipped = if v < lo { lo } else { v };
    if clipped > hi { hi } else { clipped }
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
