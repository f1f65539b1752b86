//! From a price to noise scales: how the job's ρ is split, and the threshold that undeclared keys must pass.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, Normal};
use tidegate_protocol::{
    Cost,
    receipt::{ColumnNote, Mechanism},
};

use crate::{GateError, Keys, Plan, noise, reduce::Reduce as _};

/// Threshold on the noisy number of units of a group with an undeclared key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// Groups of fewer units never appear, and no noise is drawn for them: a table may have millions of them.
    pub least: i64,
    /// A group appears when its noisy number of units is at least this.
    pub tau: i64,
    /// Standard deviation of the noise on the number of units.
    pub scale: f64,
}

/// How a price is split. Public.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Split {
    /// ρ of each column.
    pub columns: Vec<f64>,
    /// ρ of the threshold that undeclared keys must pass, where there is one.
    pub threshold: Option<f64>,
}

/// Noise scales of a plan at a price. All public.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// Standard deviation for each part, in grid steps.
    pub scales: Vec<f64>,
    /// The same for the remainder row, which adds up groups that did not appear.
    pub remainder: Vec<f64>,
    /// For undeclared keys.
    pub threshold: Option<Threshold>,
    /// The price it was made for.
    pub cost: Cost,
}

impl Plan {
    /// Splits `cost` over the columns by their weights; the threshold of undeclared keys counts as one more, of weight 1.
    pub fn split(&self, cost: Cost) -> Split {
        let undeclared = matches!(self.shape.keys, Keys::Undeclared { .. });
        let weights: f64 = self.shape.columns.iter().map(|c| c.weight).sum::<f64>() + f64::from(u8::from(undeclared));
        let rho = |weight: f64| cost.rho_micro.rho() * weight / weights;
        Split { columns: self.shape.columns.iter().map(|c| rho(c.weight)).collect(), threshold: undeclared.then(|| rho(1.0)) }
    }

    /// Splits `cost` ([`Plan::split`]) and finds each part's noise.
    ///
    /// A unit touches κ groups, and in each `times` moves of a part: their ρ add up, so a draw may cost
    /// ρ_column · share / (κ · times), and σ = Δ / √(2ρ) (Bun and Steinke 2016, Proposition 1.6).
    ///
    /// The remainder row adds up groups: a unit may be in κ of them, which all did not appear, and moves it by κ · Δ. It appears in none of those then,
    /// so with noise of σ · √κ the κ'²Δ²/(2κσ²) of κ' such groups is no more than the κ'Δ²/(2σ²) that they would have cost.
    ///
    /// # Errors
    /// [`GateError::Cost`] when ρ is zero, or δ is zero where keys are undeclared.
    pub fn calibrate(&self, cost: Cost) -> Result<Calibration, GateError> {
        if cost.rho_micro.0 == 0 {
            return Err(GateError::Cost("ρ must be positive".into()));
        }
        let split = self.split(cost);
        if split.threshold.is_some() && cost.delta_femto.0 == 0 {
            return Err(GateError::Cost("undeclared group keys need a δ, or declare them with keys = […]".into()));
        }
        let kappa = f64::from(self.kappa());
        let mut scales = Vec::with_capacity(self.parts.len());
        for (i, rho) in split.columns.iter().enumerate() {
            for part in &self.parts[self.parts_of(i)] {
                scales.push(scale_for(part.sensitivity, rho / kappa * part.share / f64::from(part.times))?);
            }
        }
        let threshold = match (self.shape.keys, split.threshold) {
            (Keys::Undeclared { min_units, .. }, Some(rho)) => {
                let scale = scale_for(1, rho / kappa)?;
                Some(threshold(scale, cost.delta_femto.delta(), self.kappa(), i64::from(min_units))?)
            }
            _ => None,
        };
        // A hair more than √κ, for rounding.
        let remainder = scales.iter().map(|scale| scale * kappa.sqrt() * (1.0 + 1e-12)).collect();
        Ok(Calibration { scales, remainder, threshold, cost })
    }

    /// The mechanism's public numbers, for the receipt.
    pub fn mechanism(&self, calibration: &Calibration) -> Mechanism {
        let columns = self
            .shape
            .columns
            .iter()
            .enumerate()
            .map(|(i, column)| {
                let (reducer, lo, hi) = column.measure.note(self.shape.frame());
                let noise_scale = self.parts_of(i).map(|part| calibration.scales[part] * self.parts[part].step).collect();
                ColumnNote { name: column.name.clone(), reducer: reducer.into(), lo, hi, noise_scale }
            })
            .collect();
        Mechanism {
            noise: "discrete-gaussian".into(),
            adjacency: self.adjacency().into(),
            max_groups: self.kappa(),
            max_rows: self.shape.max_rows,
            blocks: self.shape.blocks,
            least_units: calibration.threshold.map(|t| t.least),
            threshold: calibration.threshold.map(|t| t.tau),
            columns,
        }
    }
}

/// The smallest σ (in steps) at which OpenDP's own map charges no more than `rho` for a move of `sensitivity` steps.
fn scale_for(sensitivity: i64, rho: f64) -> Result<f64, GateError> {
    let mut scale = sensitivity as f64 / (2.0 * rho).sqrt();
    for _ in 0..8 {
        if noise::gaussian(scale)?.rho(sensitivity)? <= rho {
            return Ok(scale);
        }
        // Rounding in the last place: a hair more noise.
        scale *= 1.0 + 1e-12;
    }
    Err(GateError::Cost(format!("no noise scale fits ρ = {rho}")))
}

/// The threshold at which a unit makes a group appear that could not without it with probability at most `delta`, over all its κ groups.
///
/// Groups of fewer than k units never appear. A unit that comes may lift up to κ groups from k − 1 to k: they are all that can appear on one side
/// alone, and each does with the probability that k and noise reach τ. A discrete Gaussian's tail is no heavier than the continuous one's, one step on:
/// P[X ≥ m] ≤ P[N(0, σ²) ≥ m − 1] (Canonne, Kamath and Steinke 2020, Proposition 25). With the union bound over κ groups,
/// τ = k + 1 + σ·z where P[N(0, 1) ≥ z] ≤ δ/κ.
///
/// k is as large as it can be where the owner's floor is the higher one, else a tenth of τ and at least 2: groups that hardly anybody is in are many, and
/// noise takes time.
fn threshold(scale: f64, delta: f64, kappa: u32, floor: i64) -> Result<Threshold, GateError> {
    let tail = delta / f64::from(kappa);
    let mut z = -Normal::standard().inverse_cdf(tail);
    while Normal::standard().sf(z) > tail {
        z += 1e-6;
    }
    let gap = (1.0 + scale * z).ceil();
    if !(gap.is_finite() && gap < 1e15) {
        return Err(GateError::Cost("δ is too small".into()));
    }
    let gap = gap as i64;
    let least = (floor - gap).max(gap / 10).max(2);
    Ok(Threshold { least, tau: (least + gap).max(floor), scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the union bound needs: from the fewest units that can appear to τ there is always the same way.
    #[test]
    fn the_way_to_the_threshold_is_no_shorter_for_groups_that_may_appear() {
        let (delta, kappa) = (1e-9, 4);
        let z = -Normal::standard().inverse_cdf(delta / 4.0);
        for scale in [0.5, 3.0, 20.0, 500.0] {
            for floor in [1, 10, 100, 5000] {
                let t = threshold(scale, delta, kappa, floor).unwrap();
                assert!(t.tau >= floor && t.least >= 2, "{t:?}");
                assert!((t.tau - t.least) as f64 >= 1.0 + scale * z, "{t:?} for {scale}, {floor}");
                assert!(t.tau as f64 <= (1.1 * (4.0 + scale * z)).max(floor as f64), "{t:?} for {scale}, {floor}");
            }
        }
        assert!(threshold(20.0, delta, kappa, 5000).unwrap().least > 4800);
    }
}
