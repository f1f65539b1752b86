//! Price of the noise stated in a receipt, computed from the receipt's bounds without any code of the gate.
//!
//! Discrete Gaussian noise of scale σ on sums that one privacy unit moves by Δ costs ρ = Δ²/(2σ²) (Bun and Steinke 2016,
//! Proposition 1.6), discrete Laplace noise of scale b costs ε = Δ/b (Dwork and Roth 2014, Theorem 3.6); a unit is in κ groups at
//! most, and prices add up. The deviation of noise follows from its scale and the steps that it comes in.

use statrs::distribution::{ContinuousCDF as _, Normal};
use tidegate_protocol::{
    Cost,
    receipt::{ColumnNote, Mechanism},
};

use super::Broken;

/// Relative tolerance: prices are charged in millionths, and rounding in the last places of a float is nobody's fault.
const SLACK: f64 = 1e-9;

/// Deviations of fewer steps count as zero: floats near their smallest value are too coarse to compare.
const NOTHING: f64 = 1e-150;

/// Relative loss by the grid of 2^20 steps over the larger bound: half a step may be lost at each end.
const GRID: f64 = 2e-6;

/// Checks that the noise costs no more than the charge, that sums move no less than their bounds say, and that δ covers groups of
/// few units that appear.
///
/// # Errors
/// Returns the broken rule and the observation.
pub fn check(mechanism: &Mechanism, cost: Cost) -> Result<(), Broken> {
    let (laplace, paid) = match (mechanism.noise.as_str(), cost.rho_micro.rho(), cost.epsilon_micro.epsilon()) {
        ("discrete-gaussian", rho, 0.0) => (false, rho),
        ("discrete-laplace", 0.0, epsilon) => (true, epsilon),
        ("none", 0.0, 0.0) if cost.reviewed > 0 => return Ok(()),
        (noise, ..) => return Err(("price", format!("the cost {cost} cannot be charged for noise {noise}"))),
    };
    let of = |moves: f64, scale: f64| {
        let ratio = moves / scale;
        if laplace { ratio } else { ratio * ratio / 2.0 }
    };
    let positive = |all: &[f64]| all.iter().all(|one| one.is_finite() && *one > 0.0);
    if !positive(mechanism.threshold_noise.as_slice()) {
        return Err(("price", "the threshold's noise is not positive".into()));
    }
    let mut price = mechanism.threshold_noise.map_or(0.0, |scale| of(1.0, scale));
    for column in &mechanism.columns {
        let ColumnNote { name, noise_scale, moves, .. } = column;
        if noise_scale.is_empty() || noise_scale.len() != moves.len() || !positive(noise_scale) || !positive(moves) {
            let (lo, hi) = (column.lo, column.hi);
            let what = "its noise and moves are not positive, or not for the same sums";
            return Err(("price", format!("column {name:?} with bounds {lo:e} to {hi:e}: {what}")));
        }
        // JSON has no other numbers: an entry with one could not be read back.
        if !(column.lo.is_finite() && column.hi.is_finite()) {
            return Err(("sensitivity", format!("column {name:?}: its bounds are not finite numbers")));
        }
        for (i, least) in least(column, mechanism, laplace).into_iter().enumerate() {
            // A bound that is not a number lets nothing pass.
            if !moves.get(i).is_some_and(|moves| *moves >= least) {
                return Err(("sensitivity", format!("column {name:?}: by its bounds, sum {i} moves by at least {least}")));
            }
        }
        price += noise_scale.iter().zip(moves).map(|(scale, moves)| of(*moves, *scale)).sum::<f64>();
    }
    price *= f64::from(mechanism.max_groups);
    let enough = price <= paid * (1.0 + SLACK);
    if !enough {
        return Err(("price", format!("its noise costs {price}, and the charge is {paid}")));
    }
    for column in &mechanism.columns {
        let ColumnNote { name, noise_scale, deviation, steps, .. } = column;
        let as_stated = deviation.len() == noise_scale.len() && steps.len() == noise_scale.len() && positive(steps);
        let mut stated = noise_scale.iter().zip(steps).zip(deviation);
        let near = |((scale, step), stated): ((&f64, &f64), &f64)| {
            let own = strays(scale / step, laplace);
            (stated / step - own).abs() <= SLACK * own + NOTHING
        };
        if !(as_stated && stated.all(near)) {
            return Err(("price", format!("column {name:?}: its deviations do not match its noise scales and steps")));
        }
    }
    threshold(mechanism, cost.delta_femto.delta(), laplace)
}

/// Computes the standard deviation of noise in whole numbers: for a discrete Gaussian with a scale of 2 or more, the scale itself
/// to the last place of a float.
fn strays(scale: f64, laplace: bool) -> f64 {
    if laplace {
        // The variance is 2α/(1 − α)², α = e^(−1/b).
        return (2.0 * (-1.0 / scale).exp()).sqrt() / -(-1.0 / scale).exp_m1();
    }
    if scale >= 2.0 {
        return scale;
    }
    let mass = |k: i32| (-f64::from(k * k) / (2.0 * scale * scale)).exp();
    let (squares, all) = (-60..=60).fold((0.0, 0.0), |(squares, all), k| (squares + f64::from(k * k) * mass(k), all + mass(k)));
    (squares / all).sqrt()
}

/// Returns the least distance by which a unit can move each sum of a column, by the column's bounds; 0 for a sum not covered by
/// the bounds.
fn least(column: &ColumnNote, mechanism: &Mechanism, laplace: bool) -> Vec<f64> {
    let (lo, hi) = (column.lo, column.hi);
    let (half, largest) = ((hi - lo) / 2.0, lo.abs().max(hi.abs()));
    // A block that changes moves a sum from one end to the other; a unit that comes or goes moves it from nothing.
    let blocks = mechanism.blocks.is_some();
    let times = if blocks { f64::from(mechanism.resample.unwrap_or(1)) } else { f64::from(mechanism.max_rows) };
    let around = |half: f64| if blocks { 2.0 * half } else { half };
    // One bin loses a block, another gains it.
    let bins = if blocks { if laplace { 2.0 } else { std::f64::consts::SQRT_2 } } else { 1.0 };
    let mut least = match column.reducer.as_str() {
        "units" => return vec![1.0],
        "count" => vec![1.0],
        "sum" => vec![if blocks { hi - lo } else { largest } - GRID * largest],
        "mean" => vec![around(half) - GRID * half],
        "variance" | "standard-deviation" => [half, half * half / 2.0].map(|half| around(half) - GRID * half).into(),
        // Its bounds are those of products; the preceding sums are of values.
        "covariance" | "correlation" => vec![0.0, 0.0, around(half) - GRID * half],
        "vector-sum" => vec![around(half) - GRID * half],
        "histogram" | "quantiles" | "confusion" | "scores" | "calibration" => vec![bins],
        _ => vec![],
    };
    least.iter_mut().for_each(|moves| *moves *= times);
    // The number of rows is noised too.
    if !blocks && matches!(column.reducer.as_str(), "mean" | "variance" | "standard-deviation") {
        least.push(times);
    }
    least
}

/// Checks whether a unit makes a group appear with probability δ/κ at most: the noise must carry the fewest units allowed to
/// appear up to the threshold.
fn threshold(mechanism: &Mechanism, delta: f64, laplace: bool) -> Result<(), Broken> {
    let (Some(tau), Some(least), Some(scale)) = (mechanism.threshold, mechanism.least_units, mechanism.threshold_noise) else {
        return match (mechanism.threshold, mechanism.least_units, mechanism.threshold_noise) {
            (None, None, None) => Ok(()),
            _ => Err(("threshold", "has a threshold without threshold noise, or threshold noise without a threshold".into())),
        };
    };
    let way = tau.saturating_sub(least) as f64;
    let chance = if laplace {
        (-way / scale).exp() / (1.0 + (-1.0 / scale).exp())
    } else {
        Normal::new(0.0, scale).map_or(1.0, |normal| normal.sf(way - 1.0))
    };
    if chance * f64::from(mechanism.max_groups) > delta * (1.0 + 1e-6) || least < 2 {
        return Err(("threshold", format!("groups of {least} units pass {tau} more often than δ = {delta} allows")));
    }
    Ok(())
}
