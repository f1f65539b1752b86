//! Telling two datasets apart by what is released of them: with Clopper-Pearson bounds, so that what cannot be told apart better than was promised is found
//! guilty with probability 1e-9.

use statrs::distribution::{Beta, ContinuousCDF};

/// Probability with which one bound may fail.
const MISS: f64 = 1e-9;

/// Releases a side.
pub(crate) fn runs() -> usize {
    std::env::var("TIDEGATE_AUDIT_RUNS").map_or(5_000, |n| n.parse().unwrap())
}

/// Clopper-Pearson bounds of a probability seen `k` times in `n`.
fn bounds(k: usize, n: usize) -> (f64, f64) {
    let (k, n) = (k as f64, n as f64);
    let low = if k == 0.0 { 0.0 } else { Beta::new(k, n - k + 1.0).unwrap().inverse_cdf(MISS / 2.0) };
    let high = if k == n { 1.0 } else { Beta::new(k + 1.0, n - k).unwrap().inverse_cdf(1.0 - MISS / 2.0) };
    (low, high)
}

/// The largest certain excess of P[S] over e^ε · Q[S] + δ among the `promised` (ε, δ) and events S, an observer's number at least or below something, which are
/// chosen on half of the releases and measured on the others. `look(side)` draws what an observer makes of a release of one of two neighbouring datasets.
pub(crate) fn excess(promised: &[(f64, f64)], mut look: impl FnMut(usize) -> f64) -> f64 {
    let n = runs();
    let mut draw = |side: usize| {
        let mut seen: Vec<f64> = (0..n).map(|_| look(side)).collect();
        seen.sort_by(f64::total_cmp);
        seen
    };
    // Of sorted releases, how many lie at or above t, or below it.
    let share = |seen: &[f64], above: bool, t: f64| {
        let below = seen.partition_point(|v| *v < t);
        if above { seen.len() - below } else { below }
    };
    let mut worst = f64::NEG_INFINITY;
    let samples = [0, 1].map(|side| (draw(side), draw(side)));
    for (p, q) in [(0, 1), (1, 0)] {
        for (epsilon, delta) in promised {
            let factor = epsilon.exp();
            let mut candidates: Vec<f64> = samples[p].0.iter().copied().step_by(n / 200).collect();
            candidates.extend(samples[q].0.iter().copied().step_by(n / 200));
            let events = candidates.into_iter().flat_map(|t| [(true, t), (false, t)]);
            let score = |(above, t): &(bool, f64)| {
                share(&samples[p].0, *above, *t) as f64 - factor * share(&samples[q].0, *above, *t) as f64
            };
            let (above, t) = events.max_by(|a, b| score(a).total_cmp(&score(b))).unwrap();
            let low = bounds(share(&samples[p].1, above, t), n).0;
            let high = bounds(share(&samples[q].1, above, t), n).1;
            worst = worst.max(low - factor * high - delta);
        }
    }
    worst
}
