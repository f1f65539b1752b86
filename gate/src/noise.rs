//! Discrete Gaussian and Laplace noise from OpenDP, on integers.

use opendp::{
    core::Measurement,
    domains::AtomDomain,
    measurements::{make_gaussian, make_laplace},
    measures::{MaxDivergence, ZeroConcentratedDivergence},
    metrics::AbsoluteDistance,
};
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};
use tidegate_protocol::Cost;

use crate::{GateError, Part};

/// Which noise a price buys, and what it is paid in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Noise {
    /// Discrete Gaussian (Canonne, Kamath and Steinke 2020), paid in ρ: Δ₂²/(2σ²) for a Euclidean move of Δ₂.
    #[default]
    Gaussian,
    /// Discrete Laplace (Ghosh, Roughgarden and Sundararajan 2012), paid in pure ε: Δ₁/b for moves that add up to Δ₁.
    Laplace,
}

impl Noise {
    /// The noise that `cost` buys, and how much of its currency that is.
    ///
    /// # Errors
    /// [`GateError::Cost`] where it buys none, or both.
    pub fn bought(cost: Cost) -> Result<(Self, f64), GateError> {
        match (cost.rho_micro.0, cost.epsilon_micro.0) {
            (1.., 0) => Ok((Self::Gaussian, cost.rho_micro.rho())),
            (0, 1..) => Ok((Self::Laplace, cost.epsilon_micro.epsilon())),
            _ => Err(GateError::Cost("either ρ or pure ε must be positive".into())),
        }
    }

    /// Its name in receipts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gaussian => "discrete-gaussian",
            Self::Laplace => "discrete-laplace",
        }
    }

    /// How far the lanes of `part` move, in the sense that this noise is paid by.
    pub fn sensitivity(self, part: &Part) -> i64 {
        match self {
            Self::Gaussian => part.sensitivity,
            Self::Laplace => part.taxicab(),
        }
    }

    /// How far the lanes of `part` move in all its moves together, in the column's unit: what receipts say.
    pub(crate) fn moves(self, part: &Part) -> f64 {
        let times = f64::from(part.times);
        self.sensitivity(part) as f64 * part.step * if self == Self::Gaussian { times.sqrt() } else { times }
    }

    /// The smallest scale (in steps) at which OpenDP's own map charges no more than `price` for a move of `sensitivity` steps.
    pub(crate) fn scale_for(self, sensitivity: i64, price: f64) -> Result<f64, GateError> {
        let mut scale = match self {
            Self::Gaussian => sensitivity as f64 / (2.0 * price).sqrt(),
            Self::Laplace => sensitivity as f64 / price,
        };
        for _ in 0..8 {
            if self.source(scale)?.price(sensitivity)? <= price {
                return Ok(scale);
            }
            // Rounding in the last place: a hair more noise.
            scale *= 1.0 + 1e-12;
        }
        Err(GateError::Cost(format!("no noise scale fits a price of {price}")))
    }

    /// The standard deviation, in steps, of noise of this scale: σ, or b · √2.
    pub fn deviation(self, scale: f64) -> f64 {
        match self {
            Self::Gaussian => scale,
            Self::Laplace => scale * std::f64::consts::SQRT_2,
        }
    }

    /// The smallest m ≥ 1 with P[X ≥ m] ≤ `tail`.
    ///
    /// A discrete Gaussian's tail is no heavier than the continuous one's, one step on: P[X ≥ m] ≤ P[N(0, σ²) ≥ m − 1] (Canonne, Kamath and Steinke
    /// 2020, Proposition 25). The discrete Laplace's is αᵐ/(1 + α), α = e^(−1/b).
    pub(crate) fn tail(self, scale: f64, tail: f64) -> f64 {
        match self {
            Self::Gaussian => {
                let mut z = -Normal::standard().inverse_cdf(tail);
                while Normal::standard().sf(z) > tail {
                    z += 1e-6;
                }
                (1.0 + scale * z).ceil()
            }
            Self::Laplace => {
                let alpha = (-1.0 / scale).exp();
                let mut m = (-(tail * (1.0 + alpha)).ln() * scale).ceil().max(1.0);
                while (-m / scale).exp() / (1.0 + alpha) > tail {
                    m += 1.0;
                }
                m
            }
        }
    }

    /// So many standard deviations wide, to each side, are `n` intervals that hold together with 95 % (Bonferroni).
    pub(crate) fn quantile(self, scale: f64, n: usize) -> f64 {
        let miss = 0.05 / n.max(1) as f64;
        match self {
            // A discrete Gaussian's integers gather what lies half a step around them.
            Self::Gaussian => Normal::standard().inverse_cdf(1.0 - miss / 2.0) + 0.5 / scale,
            // P[|X| ≥ m] = 2αᵐ/(1 + α).
            Self::Laplace => (2.0 / (miss * (1.0 + (-1.0 / scale).exp()))).ln().max(0.0) / std::f64::consts::SQRT_2,
        }
    }

    /// OpenDP's sampler of this scale (in steps).
    pub(crate) fn source(self, scale: f64) -> Result<Source, GateError> {
        let (domain, metric) = (AtomDomain::<i64>::default(), AbsoluteDistance::<i64>::default());
        match self {
            Self::Gaussian => make_gaussian(domain, metric, scale, None).map(Sampler::Gaussian),
            Self::Laplace => make_laplace(domain, metric, scale, None).map(Sampler::Laplace),
        }
        .map(|sampler| Source { noise: self, scale, sampler })
        .map_err(failed)
    }
}

/// A calibrated source of noise.
pub(crate) struct Source {
    pub(crate) noise: Noise,
    /// In steps.
    pub(crate) scale: f64,
    sampler: Sampler,
}

type On<M> = Measurement<AtomDomain<i64>, AbsoluteDistance<i64>, M, i64>;

enum Sampler {
    Gaussian(On<ZeroConcentratedDivergence>),
    Laplace(On<MaxDivergence>),
}

fn failed(e: opendp::error::Error) -> GateError {
    GateError::Noise(e.to_string())
}

impl Source {
    /// What one release costs whose input moves by at most `sensitivity` steps, rounded up by OpenDP: ρ, or ε.
    pub(crate) fn price(&self, sensitivity: i64) -> Result<f64, GateError> {
        match &self.sampler {
            Sampler::Gaussian(m) => m.map(&sensitivity),
            Sampler::Laplace(m) => m.map(&sensitivity),
        }
        .map_err(failed)
    }

    /// One draw.
    pub(crate) fn draw(&self) -> Result<i64, GateError> {
        match &self.sampler {
            Sampler::Gaussian(m) => m.invoke(&0),
            Sampler::Laplace(m) => m.invoke(&0),
        }
        .map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws lie beyond the tail's edge, and outside the interval, no more often than is said: 20 000 of them, within 5 standard errors.
    #[test]
    fn tails_and_intervals_are_as_wide_as_is_said() {
        for noise in [Noise::Gaussian, Noise::Laplace] {
            for scale in [0.4, 1.0, 3.0, 40.0] {
                let source = noise.source(scale).unwrap();
                let draws: Vec<i64> = (0..20_000).map(|_| source.draw().unwrap()).collect();
                let share = |of: &dyn Fn(f64) -> bool| draws.iter().filter(|x| of(**x as f64)).count() as f64 / 20_000.0;
                let error = |p: f64| 5.0 * (p * (1.0 - p) / 20_000.0).sqrt();
                let m = noise.tail(scale, 0.01);
                assert!(share(&|x| x >= m) <= 0.01 + error(0.01), "{noise:?} {scale}: {m}");
                // No more than two steps wider than it must be.
                assert!(share(&|x| x >= m - 2.0) + error(0.01) >= 0.01, "{noise:?} {scale}: {m}");
                let half = noise.quantile(scale, 1) * noise.deviation(scale);
                let missed = share(&|x| x.abs() > half);
                assert!(missed <= 0.05 + error(0.05), "{noise:?} {scale}: {missed}");
                let squares: f64 = draws.iter().map(|x| (*x as f64).powi(2)).sum::<f64>() / 20_000.0;
                assert!(squares.sqrt() <= 1.05 * noise.deviation(scale), "{noise:?} {scale}: {squares}");
            }
        }
    }
}
