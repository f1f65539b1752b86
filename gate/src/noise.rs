//! Discrete Gaussian and Laplace noise: OpenDP's proven mechanisms over unbounded integers.
//!
//! A sum goes *into* the mechanism ([`Source::noise`]) and a [`Noisy`] comes out: nothing else makes one. OpenDP's `MakeNoise` of
//! `ZExpFamily` over vectors of `IBig` is the mechanism whose privacy map prices it, so no integer on the way has a limit at
//! which it saturates or wraps.
//!
//! A scale is a dyadic rational of [`SCALE_BITS`] significant bits between [`SCALE_MIN`] and [`SCALE_MAX`] steps, rounded up: the
//! map is asked about exactly the scale that noise is drawn from.

use dashu::{base::Approximation, integer::IBig, rational::RBig};
use opendp::{
    core::Measurement,
    domains::{AtomDomain, VectorDomain},
    measurements::{MakeNoise, ZExpFamily},
    measures::{MaxDivergence, ZeroConcentratedDivergence},
    metrics::{L1Distance, L2Distance},
};
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};
use tidegate_protocol::Cost;

use crate::{GateError, Part};

/// Smallest noise scale, in steps. At smaller scales noise is 0 except with a probability nobody would see.
pub const SCALE_MIN: f64 = 1.0 / (1u64 << 20) as f64;

/// Largest noise scale, in steps: 2^80.
pub const SCALE_MAX: f64 = (1u128 << 80) as f64;

/// Number of significant bits of a scale. Rounding up to them widens noise by 2^-23 at most, and keeps the exact sampler's
/// fractions short.
const SCALE_BITS: u32 = 24;

/// Maximum number of steps between the fewest units of a group to appear and the threshold.
const GAP_MAX: f64 = (1u64 << 50) as f64;

/// Probability of a 95 % interval missing the true value.
const MISSED: f64 = 0.05;

/// Number of standard deviations within which a normal variable lies with 95 %.
const NORMAL: f64 = 1.959_963_984_540_054;

/// Lists the positive integers, each with the mass of a discrete Gaussian of this scale, up to 8, there and at its negative
/// together, relative to the mass at 0.
fn masses(scale: f64) -> impl Iterator<Item = (f64, f64)> {
    (1..=100u32).map(f64::from).map(move |k| (k, 2.0 * (-0.5 * (k / scale).powi(2)).exp()))
}

/// Kind of noise bought by a price, and so the price's currency.
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
    /// Returns the noise bought by `cost`, and the amount of its currency.
    ///
    /// # Errors
    /// Returns [`GateError::Cost`] if it buys neither noise, or both.
    pub fn bought(cost: Cost) -> Result<(Self, f64), GateError> {
        match (cost.rho_micro.0, cost.epsilon_micro.0) {
            (1.., 0) => Ok((Self::Gaussian, cost.rho_micro.rho())),
            (0, 1..) => Ok((Self::Laplace, cost.epsilon_micro.epsilon())),
            _ => Err(GateError::Cost("exactly one of ρ and pure ε must be positive".into())),
        }
    }

    /// Returns the name used in receipts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gaussian => "discrete-gaussian",
            Self::Laplace => "discrete-laplace",
        }
    }

    /// Returns the noise with this name in receipts.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Gaussian, Self::Laplace].into_iter().find(|noise| noise.name() == name)
    }

    /// Returns how far the lanes of `part` move, in the norm by which this noise is priced.
    pub fn sensitivity(self, part: &Part) -> i64 {
        match self {
            Self::Gaussian => part.sensitivity,
            Self::Laplace => part.taxicab(),
        }
    }

    /// Returns how far the lanes of `part` move in all its moves together, in the column's unit, as stated in receipts.
    pub(crate) fn moves(self, part: &Part) -> f64 {
        let times = f64::from(part.times);
        self.sensitivity(part) as f64 * part.step * if self == Self::Gaussian { times.sqrt() } else { times }
    }

    /// Finds the smallest scale (in steps) at which OpenDP's own map charges no more than `price` for a move of `sensitivity`
    /// steps.
    ///
    /// # Errors
    /// Returns a description of the problem if no scale between [`SCALE_MIN`] and [`SCALE_MAX`] fits.
    pub(crate) fn scale_for(self, sensitivity: i64, price: f64) -> Result<f64, String> {
        let wanted = match self {
            Self::Gaussian => sensitivity as f64 / (2.0 * price).sqrt(),
            Self::Laplace => sensitivity as f64 / price,
        };
        let mut scale = within(wanted)?;
        // The first scale fits, or the second if a last place was lost in rounding.
        for _ in 0..2 {
            let charged = self.source(scale).and_then(|source| source.price(sensitivity)).map_err(|e| e.to_string())?;
            if charged <= price {
                return Ok(scale);
            }
            scale = within(scale.next_up())?;
        }
        Err(format!("no noise scale fits a cost of {price}"))
    }

    /// Returns the standard deviation, in steps, of noise of this scale.
    ///
    /// For the discrete Laplace it is √(2α)/(1 − α) with α = e^(−1/b), which is 1/(√2 · sinh(1/2b)); for the discrete Gaussian it
    /// is computed from its masses, and is σ itself from 2 on, where they differ by less than a float's last place (Canonne,
    /// Kamath and Steinke 2020, Fact 21 and Corollary 9). Noise of a small scale is 0 nearly always, and varies far less than its
    /// scale says.
    pub fn deviation(self, scale: f64) -> f64 {
        match self {
            Self::Gaussian if scale >= 2.0 => scale,
            Self::Gaussian => {
                let (all, squares) =
                    masses(scale).fold((1.0, 0.0), |(all, squares), (k, mass)| (all + mass, squares + k * k * mass));
                (squares / all).sqrt()
            }
            Self::Laplace => (std::f64::consts::SQRT_2 * (0.5 / scale).sinh()).recip(),
        }
    }

    /// Returns the bound, in steps, within which the continuous noise of this scale lies with 95 %: z·σ, or b · ln 20.
    ///
    /// A sum of several Laplace draws is closer to a normal variable, so fewer of its deviations are enough: 1.96 to 2.12.
    pub(crate) fn wide(self, scale: f64) -> f64 {
        match self {
            Self::Gaussian => scale * NORMAL,
            Self::Laplace => -scale * MISSED.ln(),
        }
    }

    /// Returns the fewest steps within which noise of this scale lies with 95 %, to each side; for a wide Gaussian, one more at
    /// most.
    pub fn half(self, scale: f64) -> f64 {
        match self {
            // Each integer gathers the mass within half a step around it.
            Self::Gaussian if scale >= 8.0 => (scale * NORMAL + 0.5).floor(),
            Self::Gaussian => {
                let all: f64 = 1.0 + masses(scale).map(|(_, mass)| mass).sum::<f64>();
                let mut inside = 1.0;
                let more = masses(scale).take_while(|(_, mass)| {
                    let enough = inside >= (1.0 - MISSED) * all;
                    inside += mass;
                    !enough
                });
                more.count() as f64
            }
            // P[|X| > m] = 2αᵐ⁺¹/(1 + α).
            Self::Laplace => ((2.0 / (MISSED * (1.0 + (-1.0 / scale).exp()))).ln() * scale - 1.0).ceil().max(0.0),
        }
    }

    /// Returns an m ≥ 1 with P[X ≥ m] ≤ `tail`: the smallest, or one a hair above it.
    ///
    /// A discrete Gaussian's tail is no heavier than the continuous one's, one step on: P[X ≥ m] ≤ P[N(0, σ²) ≥ m − 1] (Canonne,
    /// Kamath and Steinke 2020, Proposition 25). The discrete Laplace's is αᵐ/(1 + α), α = e^(−1/b), so m = −b · ln(tail · (1 +
    /// α)).
    ///
    /// # Errors
    /// Returns [`GateError::Cost`] if m would exceed [`GAP_MAX`].
    pub(crate) fn tail(self, scale: f64, tail: f64) -> Result<i64, GateError> {
        let m = match self {
            Self::Gaussian => {
                // P[N ≥ 40] is below the smallest positive float. Halved 60 times, the interval is narrower than the last place
                // of its ends.
                let (mut low, mut high) = (-40.0, 40.0);
                for _ in 0..60 {
                    let middle = f64::midpoint(low, high);
                    if Normal::standard().sf(middle) > tail { low = middle } else { high = middle }
                }
                1.0 + scale * high
            }
            Self::Laplace => -(tail * (1.0 + (-1.0 / scale).exp())).ln() * scale,
        };
        // Rounding in some last places is far below this margin.
        let m = (m * (1.0 + 1e-12)).ceil().max(1.0);
        if m <= GAP_MAX {
            return Ok(m as i64);
        }
        Err(GateError::Cost(format!(
            "δ or the cost of keys is too small: a group would need {m:e} privacy units to appear. Raise one of the two"
        )))
    }

    /// Builds OpenDP's mechanism of this scale (in steps).
    pub(crate) fn source(self, scale: f64) -> Result<Source, GateError> {
        let exact = RBig::try_from(scale).map_err(|_| GateError::Noise("a scale is not finite".into()))?;
        let domain = VectorDomain::new(AtomDomain::<IBig>::default());
        match self {
            Self::Gaussian => {
                ZExpFamily::<2> { scale: exact }.make_noise((domain, L2Distance::default())).map(Mechanism::Gaussian)
            }
            Self::Laplace => ZExpFamily::<1> { scale: exact }.make_noise((domain, L1Distance::default())).map(Mechanism::Laplace),
        }
        .map(|mechanism| Source { noise: self, scale, mechanism })
        .map_err(failed)
    }
}

/// Returns the least dyadic rational of [`SCALE_BITS`] significant bits, at least `scale` and at least [`SCALE_MIN`].
pub(crate) fn within(scale: f64) -> Result<f64, String> {
    if scale.is_nan() || scale > SCALE_MAX {
        return Err(format!(
            "its noise would have a scale of {scale:e} steps, beyond the maximum {SCALE_MAX:e}: raise its weight or the cost"
        ));
    }
    let scale = scale.max(SCALE_MIN);
    let below = (1u64 << (f64::MANTISSA_DIGITS - SCALE_BITS)) - 1;
    // Floats of one sign are ordered like their bits; a carry goes to the next power of two, as it should.
    Ok(f64::from_bits((scale.to_bits() + below) & !below))
}

/// Calibrated source of noise.
pub(crate) struct Source {
    pub(crate) noise: Noise,
    /// Noise scale, in steps.
    pub(crate) scale: f64,
    mechanism: Mechanism,
}

type Over<MI, MO> = Measurement<VectorDomain<AtomDomain<IBig>>, MI, MO, Vec<IBig>>;

enum Mechanism {
    Gaussian(Over<L2Distance<RBig>, ZeroConcentratedDivergence>),
    Laplace(Over<L1Distance<RBig>, MaxDivergence>),
}

fn failed(e: opendp::error::Error) -> GateError {
    GateError::Noise(e.to_string())
}

impl Source {
    /// Returns the price (ρ or ε) of a release with an input moving by at most `sensitivity` steps, rounded up by OpenDP.
    pub(crate) fn price(&self, sensitivity: i64) -> Result<f64, GateError> {
        let sensitivity = RBig::from(sensitivity);
        match &self.mechanism {
            Mechanism::Gaussian(m) => m.map(&sensitivity),
            Mechanism::Laplace(m) => m.map(&sensitivity),
        }
        .map_err(failed)
    }

    /// Noises exact sums. No other way leads from a sum to a number leaving the gate.
    pub(crate) fn noise(&self, sums: &[i128]) -> Result<Vec<Noisy>, GateError> {
        let sums: Vec<IBig> = sums.iter().map(|sum| IBig::from(*sum)).collect();
        let noised = match &self.mechanism {
            Mechanism::Gaussian(m) => m.invoke(&sums),
            Mechanism::Laplace(m) => m.invoke(&sums),
        };
        Ok(noised.map_err(failed)?.into_iter().map(Noisy).collect())
    }

    /// Noises an exact sum.
    pub(crate) fn noise_one(&self, sum: i128) -> Result<Noisy, GateError> {
        self.noise(&[sum])?.pop().ok_or_else(|| GateError::Noise("the sampler gave no number".into()))
    }
}

/// Noised integer. Computing from noised integers is free.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Noisy(IBig);

impl Noisy {
    /// Makes a number independent of any sum, for tests.
    #[cfg(test)]
    pub(crate) fn of(number: i64) -> Self {
        Self(IBig::from(number))
    }

    /// Returns whether the number is at least a public number.
    pub(crate) fn reaches(&self, least: i64) -> bool {
        self.0 >= IBig::from(least)
    }

    /// Clamps the number to the range from −`most` to `most`.
    pub(crate) fn within(&self, most: i64) -> i64 {
        let most = most.max(0);
        i64::try_from(&self.0).map_or_else(|_| if self.0 > IBig::ZERO { most } else { -most }, |number| number.clamp(-most, most))
    }

    /// Returns the nearest float.
    pub(crate) fn to_f64(&self) -> f64 {
        match self.0.to_f64() {
            Approximation::Exact(value) | Approximation::Inexact(value, _) => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws lie beyond the tail's edge, and outside the interval, no more often than is said: 20 000 of them, within 5 standard errors.
    #[test]
    fn tails_and_intervals_are_as_wide_as_is_said() {
        for noise in [Noise::Gaussian, Noise::Laplace] {
            for scale in [0.25, 0.4, 1.0, 1.9, 3.0, 7.9, 40.0] {
                let source = noise.source(scale).unwrap();
                let draws: Vec<f64> = source.noise(&[0; 20_000]).unwrap().iter().map(Noisy::to_f64).collect();
                let share = |of: &dyn Fn(f64) -> bool| draws.iter().filter(|x| of(**x)).count() as f64 / 20_000.0;
                let error = |p: f64| 5.0 * (p * (1.0 - p) / 20_000.0).sqrt();
                let m = noise.tail(scale, 0.01).unwrap() as f64;
                assert!(share(&|x| x >= m) <= 0.01 + error(0.01), "{noise:?} {scale}: {m}");
                // No more than two steps wider than it must be.
                assert!(share(&|x| x >= m - 2.0) + error(0.01) >= 0.01, "{noise:?} {scale}: {m}");
                let half = noise.half(scale);
                let missed = share(&|x| x.abs() > half);
                assert!(missed <= 0.05 + error(0.05), "{noise:?} {scale}: {missed}");
                // A step less would miss more.
                assert!(half == 0.0 || share(&|x| x.abs() > half - 2.0) + error(0.05) >= 0.05, "{noise:?} {scale}: {half}");
                // Of a fourth moment of 6, or more where nearly all draws are 0.
                let squares: f64 = draws.iter().map(|x| x.powi(2)).sum::<f64>() / 20_000.0;
                let fourth: f64 = draws.iter().map(|x| x.powi(4)).sum::<f64>() / 20_000.0;
                let near = 5.0 * (fourth / 20_000.0).sqrt();
                assert!((squares - noise.deviation(scale).powi(2)).abs() <= near, "{noise:?} {scale}: {squares}");
            }
        }
    }
}
