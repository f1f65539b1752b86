//! Covariance of two values clipped to their bounds, or their correlation.
//!
//! With a = x − middle of x in [−h, h] and b likewise in [−k, k], the sums of a, of b, of ab in [−hk, hk], and of rows; for a
//! correlation also of a² − h²/2 and b² − k²/2. One unit moves each by `max_rows` times its bound, one block from end to end (the
//! count is public). Each may use an equal share of the column's ρ. Rows in which either value is missing count in none of them.
//! For a unit with more rows than count, all sums are scaled down together, as for a [mean](super::Mean).
//!
//! Cov = E[ab] − E[a]E[b], correlation = Cov / √(Var a · Var b): post-processing, as are the clips to [−hk, hk] and to [−1, 1].

use serde::{Deserialize, Serialize};
use tidegate_protocol::result::Cell;

use super::{Reduce, centre};
use crate::{
    interval::{cell, extremes, is_told, of_sample},
    noised::Noised,
    part::{Frame, Laid, Part, clip, grid},
};

/// Covariance of two values clipped to their bounds, or their correlation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Covariance {
    /// Clip bounds of the first value.
    pub x: (f64, f64),
    /// Clip bounds of the second value.
    pub y: (f64, f64),
    /// Whether to divide by n − 1 (for a sample) instead of n (for the population).
    pub sample: bool,
    /// Whether to compute Pearson's correlation instead.
    pub correlation: bool,
}

impl Covariance {
    fn sums(&self, blocks: Option<u32>) -> usize {
        3 + if self.correlation { 2 } else { 0 } + usize::from(blocks.is_none())
    }
}

impl Reduce for Covariance {
    fn arity(&self) -> usize {
        2
    }
    fn parts(&self, frame: Frame) -> Result<Vec<Part>, String> {
        for (lo, hi) in [self.x, self.y] {
            grid(lo, hi)?;
        }
        let (h, k) = (centre(self.x.0, self.x.1).1, centre(self.y.0, self.y.1).1);
        let share = 1.0 / self.sums(frame.blocks) as f64;
        let mut bounds = vec![h, k, h * k];
        if self.correlation {
            bounds.extend([h * h / 2.0, k * k / 2.0]);
        }
        let centred = |bound| Ok(Part::centred(bound, frame)?.share(share));
        let mut parts = bounds.into_iter().map(centred).collect::<Result<Vec<_>, String>>()?;
        if frame.blocks.is_none() {
            parts.push(Part::counter(frame.rows).share(share));
        }
        Ok(parts)
    }
    fn lay(&self, rows: usize, values: &[&[f64]], _: &[Part], fields: &mut [Laid<'_>]) {
        let Self { x, y, .. } = *self;
        let ((mx, h), (my, k)) = (centre(x.0, x.1), centre(y.0, y.1));
        // If either is NaN, both are.
        let pairs = values[0].iter().zip(values[1]).map(|(a, b)| {
            let (a, b) = (clip(*a, x.0, x.1) - mx, clip(*b, y.0, y.1) - my);
            if a.is_nan() || b.is_nan() { (f64::NAN, f64::NAN) } else { (a, b) }
        });
        fields[0].values(pairs.clone().map(|(a, _)| a));
        fields[1].values(pairs.clone().map(|(_, b)| b));
        fields[2].values(pairs.clone().map(|(a, b)| a * b));
        if self.correlation {
            fields[3].values(pairs.clone().map(|(a, _)| a * a - h * h / 2.0));
            fields[4].values(pairs.map(|(_, b)| b * b - k * k / 2.0));
        }
        fields[if self.correlation { 5.. } else { 3.. }].iter_mut().for_each(|count| count.present(rows, values));
    }
    fn cells(&self, noised: &[Noised], blocks: Option<u32>) -> Vec<Cell> {
        let (h, k) = (centre(self.x.0, self.x.1).1, centre(self.y.0, self.y.1).1);
        let public = blocks.map(|blocks| Noised::exact(f64::from(blocks)));
        let last = self.sums(blocks) - 1;
        let (a, b, ab) = (&noised[0], &noised[1], &noised[2]);
        let n = public.as_ref().unwrap_or_else(|| &noised[last]);
        let most = if self.correlation { 1.0 } else { h * k };
        let unknown = |value: f64| Cell { value: value.clamp(-most, most), low: -most, high: most };
        let of = |[a, b, ab, n]: [f64; 4]| ab / n - a / n * (b / n);
        let covariance = of([a.one(), b.one(), ab.one(), n.one().max(1.0)]);
        if !self.correlation {
            let round = ab.step + h * b.step + k * a.step;
            let (low, high) = if is_told(n) { extremes([a, b, ab, n], of) } else { (-most, most) };
            let found = cell(covariance, (low - round, high + round), (-most, most));
            return vec![if self.sample { of_sample(found, n) } else { found }];
        }
        let variance = |[sum, square, n]: [f64; 3], half: f64| half * half / 2.0 + square / n - (sum / n).powi(2);
        let (aa, bb) = (&noised[3], &noised[4]);
        let spreads = [(a, aa, h), (b, bb, k)];
        let below: f64 = spreads
            .iter()
            .map(|(sum, square, half)| variance([sum.one(), square.one(), n.one().max(1.0)], *half).max(0.0))
            .product();
        // Spreads drowned by noise say nothing: no correlation is seen.
        let value = if below > 0.0 { covariance / below.sqrt() } else { 0.0 };
        let told = |(sum, square, half): &(&Noised, &Noised, f64)| extremes([sum, square, n], |v| variance(v, *half)).0 > 0.0;
        if !(is_told(n) && spreads.iter().all(told)) {
            return vec![unknown(value)];
        }
        let of = |[a, b, ab, aa, bb, n]: [f64; 6]| of([a, b, ab, n]) / (variance([a, aa, n], h) * variance([b, bb, n], k)).sqrt();
        vec![cell(value, extremes([a, b, ab, aa, bb, n], of), (-1.0, 1.0))]
    }
    fn note(&self, _: Frame) -> (&'static str, f64, f64) {
        // The bounds of the products: the bounds of each value follow from the policy.
        let most = centre(self.x.0, self.x.1).1 * centre(self.y.0, self.y.1).1;
        (if self.correlation { "correlation" } else { "covariance" }, -most, most)
    }
}
