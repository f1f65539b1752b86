//! Sum of vectors, each clipped to Euclidean length `norm`: gradients, embeddings.
//!
//! A unit's vector lies in the ball of radius `norm` (in steps: exactly, by integer arithmetic after rounding), so its coming or
//! going moves the sums by at most that length, Δ₂ = `norm`; a block's change by 2 · `norm`. Noise of σ on every lane then costs
//! Δ₂²/(2σ²) for the whole vector, however long it is (the multivariate Gaussian; Bun and Steinke 2016, Lemma 2.5). Laplace noise
//! is priced by Δ₁ = √length · Δ₂: for long vectors it is the poorer choice.

use serde::{Deserialize, Serialize};
use tidegate_protocol::{limits, result::Cell};

use super::Reduce;
use crate::{
    noised::Noised,
    part::{Frame, Laid, Part, grid, quantise},
};

/// Sum of vectors clipped to a Euclidean length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Vector {
    /// Number of elements of the vector.
    pub len: u32,
    /// Maximum Euclidean length of a unit's vector.
    pub norm: f64,
}

impl Reduce for Vector {
    fn arity(&self) -> usize {
        self.len as usize
    }
    fn parts(&self, frame: Frame) -> Result<Vec<Part>, String> {
        grid(-self.norm, self.norm).map_err(|_| "the norm must be positive and at most 1e12, and no less than 1e-12")?;
        if self.len == 0 || self.len as usize > limits::OUTPUTS {
            return Err("the length is out of range".into());
        }
        if frame.rows != 1 {
            return Err("a vector takes one value for each privacy unit".into());
        }
        // At worst a lane goes from one end of the ball to the other, and so does a vector: what holds for one number holds for
        // the length.
        Ok(vec![Part { lanes: self.len as usize, ..Part::centred(self.norm, frame)? }])
    }
    fn lay(&self, rows: usize, values: &[&[f64]], parts: &[Part], fields: &mut [Laid<'_>]) {
        for row in 0..rows {
            let vector = clipped(&values.iter().map(|v| v[row]).collect::<Vec<_>>(), self.norm, parts[0].step, parts[0].clip_hi);
            fields.iter_mut().zip(vector).for_each(|(field, v)| field.numbers(std::iter::once(v)));
        }
    }
    fn names(&self, column: &str) -> Vec<String> {
        (0..self.len).map(|i| format!("{column}[{i}]")).collect()
    }
    fn cells(&self, noised: &[Noised], _: Option<u32>) -> Vec<Cell> {
        noised[0].cells()
    }
    fn note(&self, _: Frame) -> (&'static str, f64, f64) {
        ("vector-sum", -self.norm, self.norm)
    }
}

/// Lays `vector` on the grid, no longer than `most` steps. NaN reads as 0.
fn clipped(vector: &[f64], norm: f64, step: f64, most: i64) -> Vec<i32> {
    // Far beyond the norm only the direction counts, so no square overflows.
    let vector: Vec<f64> = vector.iter().map(|v| if v.is_nan() { 0.0 } else { v.clamp(-1e150, 1e150) }).collect();
    let largest = vector.iter().fold(0f64, |m, v| m.max(v.abs()));
    let length = if largest > 0.0 { largest * vector.iter().map(|v| (v / largest).powi(2)).sum::<f64>().sqrt() } else { 0.0 };
    let scale = if length > norm { norm / length } else { 1.0 };
    let mut laid: Vec<i64> = vector.iter().map(|v| quantise(v * scale, step)).collect();
    // Floats and rounding may have left it slightly longer: integers decide.
    let square: i128 = laid.iter().map(|v| i128::from(*v).pow(2)).sum();
    if square > i128::from(most).pow(2) {
        let root = square.isqrt() + 1;
        laid.iter_mut().for_each(|v| *v = (i128::from(*v) * i128::from(most) / root) as i64);
    }
    laid.into_iter().map(|v| v as i32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the vector, its integers are no longer than the ball's radius: the sensitivity stands on that.
    #[test]
    fn no_vector_is_longer_than_its_norm() {
        for (len, norm) in [(1, 1.0), (3, 0.7), (1000, 1.0), (4096, 1e-3), (4096, 1e9)] {
            let part = &Vector { len, norm }.parts(Frame { rows: 1, blocks: None }).unwrap()[0];
            for k in 0..60i32 {
                let value = |i: u32| match k % 6 {
                    0 => norm,
                    1 => f64::from(i) * norm,
                    2 => f64::INFINITY,
                    3 => norm / f64::from(len).sqrt() * (1.0 + f64::from(k) * 1e-9),
                    4 => norm * (f64::from((i * 7919 + k as u32) % 2003) - 1001.0) * 10f64.powi(k - 30),
                    _ => {
                        if i.is_multiple_of(3) {
                            f64::NAN
                        } else {
                            -f64::MAX
                        }
                    }
                };
                let laid = clipped(&(0..len).map(value).collect::<Vec<_>>(), norm, part.step, part.clip_hi);
                let square: i128 = laid.iter().map(|v| i128::from(*v).pow(2)).sum();
                assert!(square <= i128::from(part.sensitivity).pow(2), "{len} {norm} {k}: {square}");
                assert!(laid.iter().map(|v| i64::from(v.abs())).sum::<i64>() <= part.taxicab(), "{len} {norm} {k}");
                let far = k % 6 == 1 || k % 6 == 2;
                assert!(
                    !far || len == 1 || square as f64 > 0.99 * (part.sensitivity as f64).powi(2),
                    "{len} {norm} {k}: a long vector keeps its length"
                );
            }
        }
    }
}
