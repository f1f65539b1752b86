//! Discrete Gaussian noise from OpenDP, on integers.

use opendp::{
    core::Measurement, domains::AtomDomain, measurements::make_gaussian, measures::ZeroConcentratedDivergence,
    metrics::AbsoluteDistance,
};

use crate::GateError;

type Gaussian = Measurement<AtomDomain<i64>, AbsoluteDistance<i64>, ZeroConcentratedDivergence, i64>;

/// A calibrated source of noise: standard deviation in grid steps.
pub(crate) struct Noise(Gaussian);

fn failed(e: opendp::error::Error) -> GateError {
    GateError::Noise(e.to_string())
}

/// OpenDP's discrete Gaussian (Canonne, Kamath and Steinke 2020) with standard deviation `scale`.
pub(crate) fn gaussian(scale: f64) -> Result<Noise, GateError> {
    make_gaussian(AtomDomain::<i64>::default(), AbsoluteDistance::<i64>::default(), scale, None).map(Noise).map_err(failed)
}

impl Noise {
    /// ρ of one release whose input moves by at most `sensitivity` steps: Δ²/(2σ²), rounded up by OpenDP.
    pub(crate) fn rho(&self, sensitivity: i64) -> Result<f64, GateError> {
        self.0.map(&sensitivity).map_err(failed)
    }

    /// One draw.
    pub(crate) fn draw(&self) -> Result<i64, GateError> {
        self.0.invoke(&0).map_err(failed)
    }
}
