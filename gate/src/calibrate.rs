//! From a price to noise scales: how the job's ρ is split, and the threshold that undeclared keys must pass.

use statrs::distribution::{ContinuousCDF, Normal};
use tidegate_protocol::{
    Cost,
    receipt::{ColumnNote, Mechanism},
};

use crate::{GateError, Keys, Measure, Plan, noise};

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
    /// Standard deviation for each lane, in grid steps.
    pub scales: Vec<f64>,
    /// For undeclared keys.
    pub threshold: Option<Threshold>,
    /// The price it was made for.
    pub cost: Cost,
}

impl Plan {
    /// Splits `cost` over the columns in equal parts (one more part for the threshold of undeclared keys) and finds each lane's noise.
    ///
    /// A unit touches κ groups, and in each `together` lanes of a column: their ρ add up, so a lane's draw may cost
    /// ρ_column · share / (κ · together), and σ = Δ / √(2ρ_lane) (Bun and Steinke 2016, Proposition 1.6).
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
        let parts = self.shape.columns.len() + usize::from(undeclared);
        let part = cost.rho_micro.rho() / parts as f64;
        let kappa = f64::from(self.kappa());
        let scales = self
            .lanes
            .iter()
            .map(|lane| scale_for(lane.sensitivity, part * lane.share / (kappa * f64::from(lane.together))))
            .collect::<Result<Vec<_>, _>>()?;
        let threshold = match self.shape.keys {
            Keys::Undeclared { min_units } => {
                let scale = scale_for(1, part / kappa)?;
                let tau = tau(scale, cost.delta_femto.delta(), self.kappa())?.max(i64::from(min_units));
                Some(Threshold { tau, scale })
            }
            _ => None,
        };
        Ok(Calibration { scales, threshold, cost })
    }

    /// The mechanism's public numbers, for the receipt.
    pub fn mechanism(&self, calibration: &Calibration) -> Mechanism {
        let columns = self
            .shape
            .columns
            .iter()
            .enumerate()
            .map(|(i, column)| {
                let (reducer, lo, hi) = match column.measure {
                    Measure::Units => ("units", 0.0, 1.0),
                    Measure::Count => ("count", 0.0, f64::from(self.shape.max_rows)),
                    Measure::Sum { lo, hi } => ("sum", lo, hi),
                    Measure::Mean { lo, hi } => ("mean", lo, hi),
                    Measure::Variance { lo, hi, root: false, .. } => ("variance", lo, hi),
                    Measure::Variance { lo, hi, root: true, .. } => ("standard-deviation", lo, hi),
                    Measure::Histogram { lo, hi, .. } => ("histogram", lo, hi),
                };
                let range = self.lanes_of(i);
                // Bins share one scale: say it once.
                let range = if reducer == "histogram" { range.start..range.start + 1 } else { range };
                let noise_scale = range.map(|lane| calibration.scales[lane] * self.lanes[lane].step).collect();
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
