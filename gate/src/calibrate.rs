//! From a price to noise scales: how the job's ρ or ε is split, and the threshold for undeclared keys.

use serde::Serialize;
use tidegate_protocol::{
    Cost,
    receipt::{ColumnNote, Mechanism},
};

use crate::{Afforded, GateError, Keys, Noise, Plan, noise, reduce::Reduce as _};

/// Fraction of its price used by a draw; the rest covers the float rounding of the split.
const HAIR: f64 = 1.0 - 1e-12;

/// Threshold on the noisy number of units of a group with an undeclared key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// Minimum number of units: smaller groups never appear, and no noise is drawn for them, since a table may have millions of
    /// them.
    pub least: i64,
    /// A group appears when its noisy number of units is at least this.
    pub tau: i64,
    /// Scale of the noise on the number of units.
    pub scale: f64,
    /// Maximum number of groups to appear, chosen by their noisy numbers of units, largest first.
    pub most: u64,
}

/// Split of a price. Public.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Split {
    /// Kind of noise: for Gaussian noise the prices are ρ, for Laplace noise pure ε. `None` for an exact result, which has no
    /// price.
    pub noise: Option<Noise>,
    /// Price of each column.
    pub columns: Vec<f64>,
    /// Price of the threshold for undeclared keys, if any.
    pub threshold: Option<f64>,
}

/// Noise scales of a plan at a price. All public.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// The kind of noise.
    pub noise: Noise,
    /// Noise scale of each part, in grid steps: σ or b.
    pub scales: Vec<f64>,
    /// Noise scale of each part in the remainder row, the sum of all groups not shown.
    pub remainder: Vec<f64>,
    /// Threshold for undeclared keys.
    pub threshold: Option<Threshold>,
    /// Price for which this was calibrated.
    pub cost: Cost,
}

impl Plan {
    /// Splits `cost` over the columns by their weights; the threshold of undeclared keys counts as a column of weight 1.
    pub fn split(&self, cost: Cost) -> Split {
        let undeclared = matches!(self.shape.keys, Keys::Undeclared { .. });
        let weights: f64 = self.shape.columns.iter().map(|c| c.weight).sum::<f64>() + f64::from(u8::from(undeclared));
        let (noise, price) = Noise::bought(cost).map_or((None, 0.0), |(noise, price)| (Some(noise), price));
        let part = |weight: f64| price * weight / weights;
        let columns = self.shape.columns.iter().map(|c| part(c.weight)).collect();
        Split { noise, columns, threshold: undeclared.then(|| part(1.0)) }
    }

    /// Splits `cost` ([`Plan::split`]) and finds each part's noise.
    ///
    /// A unit touches κ groups, and in each of them `times` moves of a part. Their prices add up, in ρ as in pure ε, so a draw
    /// may cost price_column · share / (κ · times), and σ = Δ₂ / √(2ρ) (Bun and Steinke 2016, Proposition 1.6) or b = Δ₁ / ε
    /// (Dwork and Roth 2014, Theorem 3.6).
    ///
    /// The remainder row adds up groups: a unit may be in κ groups, none of which appeared, and moves the row by κ · Δ. It then
    /// appears in none of them, so with Gaussian noise of σ · √κ the κ'²Δ²/(2κσ²) of κ' such groups is no more than the
    /// κ'Δ²/(2σ²) that they would have cost. Laplace noise of the same b costs κ'Δ/b, which equals what they would have cost.
    ///
    /// # Errors
    /// Returns [`GateError::Cost`] if neither ρ nor ε is positive, or both are, or δ is zero with undeclared keys;
    /// [`GateError::Shape`] naming the column whose noise would be wider than [`SCALE_MAX`](crate::SCALE_MAX).
    pub fn calibrate(&self, cost: Cost) -> Result<Calibration, GateError> {
        self.calibrate_within(cost, Afforded::ALL)
    }

    /// Calibrates like [`Plan::calibrate`], within the limits `afforded` on groups.
    ///
    /// # Errors
    /// As for [`Plan::calibrate`].
    pub fn calibrate_within(&self, cost: Cost, afforded: Afforded) -> Result<Calibration, GateError> {
        let (noise, _) = Noise::bought(cost)?;
        let split = self.split(cost);
        if split.threshold.is_some() && cost.delta_femto.0 == 0 {
            return Err(GateError::Cost("undeclared group keys need a δ: raise δ, or declare the keys with keys = […]".into()));
        }
        let kappa = f64::from(self.kappa());
        let mut scales = Vec::with_capacity(self.parts.len());
        for (i, price) in split.columns.iter().enumerate() {
            for part in &self.parts[self.parts_of(i)] {
                let price = price / kappa * part.share / f64::from(part.times);
                let scale = noise.scale_for(noise.sensitivity(part), price * HAIR);
                scales.push(scale.map_err(|problem| GateError::Shape { column: self.shape.columns[i].name.clone(), problem })?);
            }
        }
        let threshold = match (self.shape.keys, split.threshold) {
            (Keys::Undeclared { min_units, .. }, Some(price)) => {
                let keys = |problem| GateError::Cost(format!("of keys: {problem}"));
                let scale = noise.scale_for(1, price / kappa * HAIR).map_err(keys)?;
                Some(threshold(noise, scale, cost.delta_femto.delta(), self.kappa(), i64::from(min_units), afforded)?)
            }
            _ => None,
        };
        self.check_spent(noise, &scales, threshold.map(|t| t.scale), cost)?;
        // Slightly more than √κ, to cover rounding.
        let wider = if noise == Noise::Gaussian { kappa.sqrt() * (2.0 - HAIR) } else { 1.0 };
        let wide = |(i, scale): (usize, &f64)| {
            let column = || self.shape.columns[self.first.partition_point(|first| *first <= i) - 1].name.clone();
            noise::within(scale * wider).map_err(|problem| GateError::Shape { column: column(), problem })
        };
        let remainder = scales.iter().enumerate().map(wide).collect::<Result<_, _>>()?;
        Ok(Calibration { noise, scales, remainder, threshold, cost })
    }

    /// Checks that all draws together cost no more than `cost`: by OpenDP's map, which rounds up, and with every product and sum
    /// rounded up too.
    ///
    /// The price was split in floats; this is the check that the split did not exceed it.
    fn check_spent(&self, noise: Noise, scales: &[f64], threshold: Option<f64>, cost: Cost) -> Result<(), GateError> {
        let mut spent = threshold.map_or(Ok(0.0), |scale| noise.source(scale)?.price(1))?;
        for (part, scale) in self.parts.iter().zip(scales) {
            let one = noise.source(*scale)?.price(noise.sensitivity(part))?;
            spent = (spent + (one * f64::from(part.times)).next_up()).next_up();
        }
        let micro = ((spent * f64::from(self.kappa())).next_up() * 1e6).next_up();
        // Below 2^53: each integer is an exact float.
        if micro <= cost.rho_micro.0.max(cost.epsilon_micro.0) as f64 {
            return Ok(());
        }
        Err(GateError::Cost(format!("its noise would cost {} millionths, more than the job's cost", micro.ceil())))
    }

    /// Returns the mechanism's public numbers, for the receipt.
    pub fn mechanism(&self, calibration: &Calibration) -> Mechanism {
        let columns = self
            .shape
            .columns
            .iter()
            .enumerate()
            .map(|(i, column)| {
                let (reducer, lo, hi) = column.measure.note(self.shape.frame());
                let mine = || self.parts[self.parts_of(i)].iter().zip(&calibration.scales[self.parts_of(i)]);
                ColumnNote {
                    name: column.name.clone(),
                    reducer: reducer.into(),
                    lo,
                    hi,
                    noise_scale: mine().map(|(part, scale)| scale * part.step).collect(),
                    deviation: mine().map(|(part, scale)| calibration.noise.deviation(*scale) * part.step).collect(),
                    steps: mine().map(|(part, _)| part.step).collect(),
                    moves: mine().map(|(part, _)| calibration.noise.moves(part)).collect(),
                }
            })
            .collect();
        Mechanism {
            noise: calibration.noise.name().into(),
            adjacency: self.adjacency().into(),
            max_groups: self.kappa(),
            max_rows: self.shape.max_rows,
            blocks: self.shape.blocks.map(|blocks| blocks.number),
            resample: self.shape.blocks.map(|blocks| blocks.resample).filter(|resample| *resample > 1),
            rows_read: None,
            least_units: calibration.threshold.map(|t| t.least),
            threshold: calibration.threshold.map(|t| t.tau),
            threshold_noise: calibration.threshold.map(|t| t.scale),
            columns,
        }
    }
}

/// Computes the threshold at which a unit makes a group appear that could not appear without it with probability at most `delta`,
/// over all its κ groups.
///
/// Groups of fewer than k units never appear. A unit that is added may lift up to κ groups from k − 1 to k: only these can appear
/// on one side alone, and each does with the probability that k plus noise reaches τ. By the union bound over κ groups, τ = k + m
/// where P[noise ≥ m] ≤ δ/κ.
///
/// k is as large as possible where the owner's floor is the higher bound, else about a tenth of τ; it is at least 2, and large
/// enough that noise for all groups of k units or more can be afforded: groups with hardly any units are many, and noise takes
/// time.
fn threshold(noise: Noise, scale: f64, delta: f64, kappa: u32, floor: i64, afforded: Afforded) -> Result<Threshold, GateError> {
    let gap = noise.tail(scale, delta / f64::from(kappa))?;
    let least = (floor - gap).max(gap / 10).max(afforded.least).max(2);
    Ok(Threshold { least, tau: least.saturating_add(gap).max(floor), scale, most: afforded.most })
}

#[cfg(test)]
mod tests {
    use statrs::distribution::{ContinuousCDF, Normal};

    use super::*;

    /// What the union bound needs: from the fewest units that can appear to τ there is always the same way.
    #[test]
    fn the_way_to_the_threshold_is_no_shorter_for_groups_that_may_appear() {
        let (delta, kappa) = (1e-9f64, 4);
        for scale in [0.5f64, 3.0, 20.0, 500.0] {
            let gaussian = 1.0 - scale * Normal::standard().inverse_cdf(delta / 4.0);
            // αᵐ/(1 + α) = δ/κ
            let laplace = -scale * (delta / 4.0 * (1.0 + (-1.0 / scale).exp())).ln();
            for (noise, gap) in [(Noise::Gaussian, gaussian), (Noise::Laplace, laplace)] {
                for floor in [1, 10, 100, 5000] {
                    let t = threshold(noise, scale, delta, kappa, floor, Afforded::ALL).unwrap();
                    assert!(t.tau >= floor && t.least >= 2, "{t:?}");
                    assert!((t.tau - t.least) as f64 >= gap - 1e-6, "{t:?} for {noise:?} {scale}, {floor}");
                    assert!(t.tau as f64 <= (1.1 * (4.0 + gap)).max(floor as f64), "{t:?} for {noise:?} {scale}, {floor}");
                }
            }
        }
        assert!(threshold(Noise::Gaussian, 20.0, delta, kappa, 5000, Afforded::ALL).unwrap().least > 4800);
        // What cannot be afforded does not appear, and the way stays as long.
        let all = threshold(Noise::Gaussian, 3.0, delta, kappa, 10, Afforded::ALL).unwrap();
        let few = threshold(Noise::Gaussian, 3.0, delta, kappa, 10, Afforded { least: 700, most: 9 }).unwrap();
        assert_eq!((few.least, few.tau - few.least, few.most), (700, all.tau - all.least, 9));
    }
}
