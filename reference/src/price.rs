//! Privacy cost of noise, its standard deviation and its tail probabilities.

use dashu::rational::RBig;

use crate::{Moves, exact};

/// Privacy-loss measure in which a draw is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Price {
    /// ρ of zero-concentrated differential privacy: Δ²/(2σ²) (Bun and Steinke 2016, Proposition 1.6).
    Rho,
    /// Pure ε: Δ₁/b (Dwork and Roth 2014, Theorem 3.6).
    Epsilon,
}

impl Price {
    /// Returns the privacy cost of noise of this scale, in steps, on a part with these moves.
    pub fn of(self, moves: &Moves, scale: f64) -> RBig {
        let scale = exact(scale);
        match self {
            Self::Rho => RBig::from(moves.square.clone()) / (&scale * &scale * RBig::from(2)),
            Self::Epsilon => RBig::from(moves.taxicab.clone()) / scale,
        }
    }

    /// Returns the probability that noise of this scale is at least `m`, by summation, with a relative error of about 1e-12.
    pub fn tail(self, scale: f64, m: i64) -> f64 {
        match self {
            // Σ_{k ≥ m} e^(−k/b) · (1 − e^(−1/b))/(1 + e^(−1/b)) is a geometric series.
            Self::Epsilon => (-(m as f64) / scale).exp() / (1.0 + (-1.0 / scale).exp()),
            Self::Rho => {
                let mass = |k: i64| (-0.5 * (k as f64 / scale).powi(2)).exp();
                let far = (40.0 * scale).ceil() as i64 + 1;
                let all: f64 = 1.0 + 2.0 * (1..=far).rev().map(mass).sum::<f64>();
                (m..=far.max(m)).rev().map(mass).sum::<f64>() / all
            }
        }
    }

    /// Returns the standard deviation of noise of this scale, in steps, by summation, with a relative error of about 1e-12.
    pub fn deviation(self, scale: f64) -> f64 {
        let mass = |k: i64| match self {
            Self::Epsilon => (-(k as f64) / scale).exp(),
            Self::Rho => (-0.5 * (k as f64 / scale).powi(2)).exp(),
        };
        let far = (60.0 * scale).ceil() as i64 + 60;
        let all: f64 = 1.0 + 2.0 * (1..=far).rev().map(mass).sum::<f64>();
        let squares: f64 = 2.0 * (1..=far).rev().map(|k| (k * k) as f64 * mass(k)).sum::<f64>();
        (squares / all).sqrt()
    }
}
