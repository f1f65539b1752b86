//! Conversion between ρ and (ε, δ), by OpenDP's own conversion.

use opendp::{
    combinators::make_zCDP_to_approxDP, domains::AtomDomain, measurements::make_gaussian, measures::ZeroConcentratedDivergence,
    metrics::AbsoluteDistance,
};

use crate::GateError;

/// Returns ε at `delta` of a ρ-zCDP release: OpenDP's conversion (Canonne, Kamath and Steinke 2020, section 2.3).
///
/// # Errors
/// Returns [`GateError::Cost`] if ρ is not positive or δ is not in (0, 1).
pub fn epsilon_of(rho: f64, delta: f64) -> Result<f64, GateError> {
    if !(rho > 0.0 && rho.is_finite() && delta > 0.0 && delta < 1.0) {
        return Err(GateError::Cost(format!("ρ = {rho} must be positive and δ = {delta} in (0, 1)")));
    }
    // The Gaussian over one integer with sensitivity 2^20 and σ = 2^20/√(2ρ) has exactly this ρ.
    let sensitivity = 1i64 << 20;
    let scale = sensitivity as f64 / (2.0 * rho).sqrt();
    let failed = |e: opendp::error::Error| GateError::Cost(e.to_string());
    let gaussian = make_gaussian::<_, _, ZeroConcentratedDivergence>(
        AtomDomain::<i64>::default(),
        AbsoluteDistance::<i64>::default(),
        scale,
        None,
    )
    .map_err(failed)?;
    let profile = make_zCDP_to_approxDP(gaussian).and_then(|m| m.map(&sensitivity)).map_err(failed)?;
    profile.epsilon(delta).map_err(failed)
}

/// Returns the largest ρ (to one part in a million) with ε at `delta` of at most `epsilon`.
///
/// # Errors
/// Returns [`GateError::Cost`] if ε is not positive or δ is not in (0, 1).
pub fn rho_of(epsilon: f64, delta: f64) -> Result<f64, GateError> {
    if !(epsilon > 0.0 && epsilon <= 1e3) {
        return Err(GateError::Cost(format!("ε = {epsilon} must be positive and at most 1000")));
    }
    // ρ-zCDP gives at least ε > ρ for any δ of interest, so ρ lies in (0, ε].
    let (mut low, mut high) = (0.0f64, epsilon);
    for _ in 0..40 {
        let middle = (low + high) / 2.0;
        if epsilon_of(middle, delta)? <= epsilon {
            low = middle
        } else {
            high = middle
        }
        if high - low <= high * 1e-6 {
            break;
        }
    }
    if low > 0.0 { Ok(low) } else { Err(GateError::Cost(format!("ε = {epsilon} is too small at δ = {delta}"))) }
}
