//! From a price to noise scales: how the job's ρ is split, and the threshold that undeclared keys must pass.

use statrs::distribution::{ContinuousCDF, Normal};
use tidegate_protocol::{
    Cost,
    receipt::{ColumnNote, Mechanism},
};

use crate::{GateError, Keys, Plan, noise, reduce::Reduce as _};

/// Threshold on the noisy number of units of a group with an undeclared key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// A group appears when its noisy number of units is at least this.
    pub tau: i64,
    /// Standard deviation of the noise on the number of units.
    pub scale: f64,
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
    /// Splits `cost` over the columns by their weights (the threshold of undeclared keys counts as one more, of weight 1) and finds each part's noise.
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
        let undeclared = matches!(self.shape.keys, Keys::Undeclared { .. });
        if undeclared && cost.delta_femto.0 == 0 {
            return Err(GateError::Cost("undeclared group keys need a δ, or declare them with keys = […]".into()));
        }
        let kappa = f64::from(self.kappa());
        let weights: f64 = self.shape.columns.iter().map(|c| c.weight).sum::<f64>() + f64::from(u8::from(undeclared));
        let rho = |weight: f64| cost.rho_micro.rho() * weight / weights / kappa;
        let mut scales = Vec::with_capacity(self.parts.len());
        for (i, column) in self.shape.columns.iter().enumerate() {
            for part in &self.parts[self.parts_of(i)] {
                scales.push(scale_for(part.sensitivity, rho(column.weight) * part.share / f64::from(part.times))?);
            }
        }
        let threshold = match self.shape.keys {
            Keys::Undeclared { min_units, .. } => {
                let scale = scale_for(1, rho(1.0))?;
                let tau = tau(scale, cost.delta_femto.delta(), self.kappa())?.max(i64::from(min_units));
                Some(Threshold { tau, scale })
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

/// The threshold at which a group that one unit alone is in appears with probability at most `delta`, over all its κ groups.
///
/// Such a group's count is 1. A discrete Gaussian's tail is no heavier than the continuous one's, one step on:
/// P[X ≥ m] ≤ P[N(0, σ²) ≥ m − 1] (Canonne, Kamath and Steinke 2020, Proposition 25). With the union bound over κ groups,
/// τ = 2 + σ·z where P[N(0, 1) ≥ z] ≤ δ/κ.
fn tau(scale: f64, delta: f64, kappa: u32) -> Result<i64, GateError> {
    let tail = delta / f64::from(kappa);
    let mut z = -Normal::standard().inverse_cdf(tail);
    while Normal::standard().sf(z) > tail {
        z += 1e-6;
    }
    let tau = (2.0 + scale * z).ceil();
    if tau.is_finite() && tau < 1e15 { Ok(tau as i64) } else { Err(GateError::Cost("δ is too small".into())) }
}
