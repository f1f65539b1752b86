//! Limit on how many units may fail on their own before everybody gets the fallback value: a noised comparison.
//!
//! # Claim
//! A worker that dies is run again in pieces until each unit at fault is alone (`node/src/worker/pieces.rs`); such a unit
//! contributes its fallback value. Which units these are is decided for each by its own rows, so a result is a sum of functions
//! of one unit each, as the mechanism's proof requires, and nothing tells one failing unit from none. But each of them costs
//! time, and the time budget is public: the search has an end, and whether there were too many shows. That comparison is the
//! sparse vector technique (Dwork and Roth 2014, algorithm 1; for counts that all move one way, Lyu, Su and Li 2017, section 4):
//! job after job, the count cⱼ of units that failed plus νⱼ is compared with a threshold plus λ, where λ is drawn once and kept
//! until a comparison ends in "too many", and νⱼ is fresh. Both are discrete Laplace of scale b. One unit moves every cⱼ by at
//! most `moves` in the same direction, so all comparisons up to and including the first "too many" are together (2·moves/b,
//! δ)-differentially private.
//!
//! # What is bounded by what
//! Noise is cut off at ± `slack`, so that a job with no more failures than one unit makes never ends in "too many", and one with
//! [`Tolerance::most`] always does. δ is the chance that noise would have been beyond: [`DELTA`] for each draw. How large `slack`
//! may be follows from `most` alone, and `most` from the length of the time budget: in a short one few units can be looked for,
//! the noise is small and [`Tolerance::epsilon`] is large. It is not charged to the privacy budget: it is spent once per grant
//! holder and dataset lineage, and again each time the owner lets a holder go on who was stopped for failures
//! (`node/src/owner/jobs/failure_meter.rs`).
//!
//! # Assumption
//! A unit that fails alone fails among others too. Pieces are run with twice the memory, so that the memory that suffices for a
//! unit's rows in two batches of all rows also suffices where they lie in one.

use crate::{GateError, Noise};

/// Probability of a draw beyond the slack.
pub const DELTA: f64 = 1e-6;

/// Noised comparison, in public numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    moves: i64,
    slack: i64,
    scale: f64,
}

impl Tolerance {
    /// Sets up a search ending after `most` units (or blocks), where a unit counts as `moves`: 1, or the number of blocks that
    /// each unit is in.
    pub fn of(most: u32, moves: u32) -> Self {
        let moves = i64::from(moves.max(1));
        let slack = ((i64::from(most) - moves - 1) / 4).max(0);
        // P[|X| > slack] = 2α^(slack + 1)/(1 + α) ≤ 2α^(slack + 1), α = e^(−1/b).
        let scale = (slack + 1) as f64 / (2.0 / DELTA).ln();
        Self { moves, slack, scale }
    }

    /// Returns the number of failures at which everybody gets the fallback value, whatever the noise: no more are looked for.
    pub fn most(&self) -> u32 {
        u32::try_from(self.moves + 1 + 4 * self.slack).unwrap_or(u32::MAX)
    }

    /// Returns ε of all comparisons up to and including the first "too many".
    pub fn epsilon(&self) -> f64 {
        2.0 * self.moves as f64 / self.scale
    }

    /// Draws the noise, within the slack: λ, or ν.
    ///
    /// # Errors
    /// Returns [`GateError::Noise`] without entropy.
    pub fn draw(&self) -> Result<i64, GateError> {
        Ok(Noise::Laplace.source(self.scale)?.noise_one(0)?.within(self.slack))
    }

    /// Returns the number of failures from which on everybody gets the fallback value, given λ, which is `kept`, and a `fresh` ν.
    pub fn limit(&self, kept: i64, fresh: i64) -> u32 {
        let (kept, fresh) = (kept.clamp(-self.slack, self.slack), fresh.clamp(-self.slack, self.slack));
        u32::try_from(self.moves + 1 + 2 * self.slack + kept - fresh).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one unit does never shows, and the search has an end.
    #[test]
    fn no_draw_lets_one_units_failures_show_nor_the_search_go_on() {
        for most in 0..200 {
            for moves in [1, 2, 7, 64] {
                let tolerance = Tolerance::of(most, moves);
                let slack = tolerance.slack;
                assert!(tolerance.most() <= most.max(moves + 1), "{tolerance:?}");
                for (kept, fresh) in [(-slack, slack), (slack, -slack), (i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (0, 0)] {
                    let limit = tolerance.limit(kept, fresh);
                    assert!(limit > moves && limit <= tolerance.most(), "{tolerance:?}: {limit}");
                }
            }
        }
    }

    /// Draws are beyond the slack no more often than [`DELTA`] says, by the distribution's own tail; and they are within it.
    #[test]
    fn draws_are_cut_off_as_rarely_as_is_said() {
        for most in [6, 16, 40, 62] {
            let tolerance = Tolerance::of(most, 1);
            // P[X ≥ m] ≤ δ/2 from there on, on each side.
            assert!(Noise::Laplace.tail(tolerance.scale, DELTA / 2.0).unwrap() <= tolerance.slack + 1, "{tolerance:?}");
            assert!((0..2000).all(|_| tolerance.draw().unwrap().abs() <= tolerance.slack));
        }
        // Noise there is, and more in a longer slot.
        let spread = |most| (0..500).map(|_| Tolerance::of(most, 1).draw().unwrap().abs()).sum::<i64>();
        assert!(spread(62) > 100 && spread(6) < spread(62));
        assert!(Tolerance::of(62, 1).epsilon() < 2.0 && Tolerance::of(62, 1).epsilon() < Tolerance::of(30, 1).epsilon());
    }

    /// The first "too many" of a row of counts comes about as likely on neighbours: by exact enumeration over all draws, of the whole row.
    #[test]
    fn neighbours_are_told_apart_by_no_more_than_is_said() {
        let tolerance = Tolerance::of(26, 1);
        let (slack, scale) = (tolerance.slack, tolerance.scale);
        let alpha = (-1.0 / scale).exp();
        let mass = |x: i64| {
            let at = |x: i64| (1.0 - alpha) / (1.0 + alpha) * alpha.powi(x.abs() as i32);
            // What is beyond the slack is at its ends.
            if x.abs() == slack { at(x) / (1.0 - alpha) } else { at(x) }
        };
        let draws = || -slack..=slack;
        // P[the first "too many" is at k], for each k, and for none.
        let law = |counts: &[i64]| {
            let mut law = vec![0.0; counts.len() + 1];
            for kept in draws() {
                let many =
                    |count: i64| draws().filter(|fresh| count >= i64::from(tolerance.limit(kept, *fresh))).map(mass).sum::<f64>();
                let mut left = mass(kept);
                for (k, count) in counts.iter().enumerate() {
                    law[k] += left * many(*count);
                    left *= 1.0 - many(*count);
                }
                law[counts.len()] += left;
            }
            law
        };
        let rows: [&[i64]; 5] =
            [&[0; 40], &[1; 40], &[12, 13, 14, 15, 14, 13, 12], &[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], &[25, 1, 25]];
        for row in rows {
            // One unit more, which fails in every other job, or in all.
            for step in [1, 2] {
                let more: Vec<i64> = row.iter().enumerate().map(|(k, c)| c + i64::from(k % step == 0)).collect();
                let (here, there) = (law(row), law(&more));
                let most = tolerance.epsilon().exp();
                let delta = DELTA * (row.len() + 1) as f64;
                let beyond = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - most * b).max(0.0)).sum::<f64>();
                assert!((here.iter().sum::<f64>() - 1.0).abs() < 1e-9);
                assert!(beyond(&here, &there) <= delta && beyond(&there, &here) <= delta, "{row:?}");
            }
        }
    }
}
