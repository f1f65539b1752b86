//! 95 % intervals for numbers computed from noised sums, by test inversion.
//!
//! A value is in the interval if the observed sums would be no surprise were it the true value. Such an interval stays right
//! where an estimate is clipped to its range, and where a denominator can hardly be told from its noise: then it is the whole
//! range. An interval from the slope of a function at the estimate (the delta method) is flat in both cases.
//!
//! - A ratio of sums W/D = θ: W − θD is noise alone, whose deviation is known for each θ. The θ for which it lies within 95 % of
//!   it are between the roots of a quadratic (Fieller 1954). Exact for Gaussian noise.
//! - Nonlinear functions of sums (variances, correlations): the least and greatest value over all sums no further from the
//!   observed ones than one noised number is from its true value with 95 % (the profile likelihood's interval).
//!
//! Noise enters by its [reach](crate::Noise): with probability 95 % it is at most this far from zero, to each side; plus half a
//! step, since noise comes in whole steps and a combination of few draws is not a normal variable. Nothing is drawn: the same
//! noised sums give the same interval.

use tidegate_protocol::result::Cell;

use crate::noised::Noised;

/// Number of rounds of the search for an extreme. Each follows the previous slope, so few are enough where the slope turns
/// little.
const ROUNDS: usize = 8;

/// Builds a cell in `range` from the estimate `value` and the ends `low` and `high`, each of which may lie beyond the range.
///
/// If the estimate lies beyond, the interval of one at the range's end counts too, as wide as this one: noise that carried the
/// estimate beyond must not make the interval narrow.
pub(crate) fn cell(value: f64, (low, high): (f64, f64), range: (f64, f64)) -> Cell {
    let clip = |v: f64| v.max(range.0).min(range.1);
    let at = clip(value);
    let (low, high) = (low.min(value), high.max(value));
    Cell { value: at, low: clip(low.min(low + at - value)), high: clip(high.max(high + at - value)) }
}

/// Maps a cell and the ends of its interval by an increasing function.
pub(crate) fn mapped(cell: Cell, of: impl Fn(f64) -> f64) -> Cell {
    Cell { value: of(cell.value), low: of(cell.low), high: of(cell.high) }
}

/// Returns the ends of the θ for which |w − θ·d| is at most the root of c₀ + c₁θ + c₂θ²: the roots of a quadratic.
///
/// Returns `None` if the roots say nothing, as `d` can hardly be told from its noise.
pub(crate) fn inverted(w: f64, d: f64, [c0, c1, c2]: [f64; 3]) -> Option<(f64, f64)> {
    let a = d * d - c2;
    if a <= 0.0 || d <= 0.0 {
        return None;
    }
    // The discriminant, without the two squares that cancel.
    let at = w / d;
    let root = (d * d * (c0 + at * (c1 + at * c2)) + c1 * c1 / 4.0 - c0 * c2).max(0.0).sqrt();
    let middle = w * d + c1 / 2.0;
    Some(((middle - root) / a, (middle + root) / a))
}

/// Sum of lanes times a factor, with the square of its reach.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    sum: f64,
    square: f64,
}

impl Counted {
    /// Sums some of the values of `noised` and multiplies the sum by `times`.
    pub(crate) fn of(noised: &Noised, places: impl Iterator<Item = usize>, times: f64) -> Self {
        let (sum, n) = places.filter_map(|i| noised.values.get(i)).fold((0.0, 0u32), |(sum, n), v| (sum + v, n + 1));
        Self { sum: times * sum, square: f64::from(n) * (times * noised.reach).powi(2) }
    }
}

/// Computes the share of `part` in the sum of itself and `rest`, which have no lane in common. 0 if neither shows anything.
pub(crate) fn share(part: Counted, rest: Counted) -> Cell {
    let whole = part.sum + rest.sum;
    let value = if whole > 0.0 { part.sum / whole } else { 0.0 };
    // (1 − θ)·part − θ·rest.
    let noise = [part.square, -2.0 * part.square, part.square + rest.square];
    cell(value, inverted(part.sum, whole, noise).unwrap_or((0.0, 1.0)), (0.0, 1.0))
}

/// Computes `sum` over `count`, within ±`most`. Rows were rounded to the sum's grid, which moves their mean by half a step at
/// most.
pub(crate) fn quotient(sum: &Noised, count: &Noised, most: f64) -> Cell {
    let noise = [sum.reach.powi(2), 0.0, count.reach.powi(2)];
    let ends = inverted(sum.one(), count.one(), noise).map(|(low, high)| (low - sum.step / 2.0, high + sum.step / 2.0));
    cell(sum.one() / count.one().max(1.0), ends.unwrap_or((-most, most)), (-most, most))
}

/// Returns whether every plausible value of `count` is positive; otherwise nothing can be said of a quotient by `count`.
pub(crate) fn is_told(count: &Noised) -> bool {
    count.one() > count.reach
}

/// Rescales a cell divided by `count` to a cell divided by `count` − 1, as for a sample.
///
/// The count is seen with noise, so the interval's ends are multiplied by the range of values that the factor may have: over
/// twice the noise's reach. An end that is the range's own misses only where the factor does, so that must be seldom.
pub(crate) fn of_sample(cell: Cell, count: &Noised) -> Cell {
    let factor = |n: f64| n.max(2.0) / (n.max(2.0) - 1.0);
    let (least, most) = (factor(count.one() + 2.0 * count.reach), factor(count.one() - 2.0 * count.reach));
    let (low, high) =
        (cell.low.min(0.0) * most + cell.low.max(0.0) * least, cell.high.max(0.0) * most + cell.high.min(0.0) * least);
    Cell { value: (cell.value * factor(count.one())).max(low).min(high), low, high }
}

/// Finds the least and greatest value of `of` over all numbers no further from the first values of `sums` than noise reaches,
/// each in units of its own reach.
///
/// On a ball, the extremes of a sufficiently straight function lie where its slope points. The search goes there from the middle
/// and from the best ends of the axes, and continues from each new place with the slope found there.
pub(crate) fn extremes<const N: usize>(sums: [&Noised; N], of: impl Fn([f64; N]) -> f64) -> (f64, f64) {
    let at = |u: &[f64; N]| of(std::array::from_fn(|i| sums[i].one() + sums[i].reach * u[i]));
    let highest = |sign: f64| {
        let height = |u: &[f64; N]| sign * at(u);
        let mut ends: Vec<([f64; N], f64)> = (0..2 * N)
            .map(|end| {
                std::array::from_fn(|i| {
                    if i != end / 2 {
                        0.0
                    } else if end % 2 == 0 {
                        1.0
                    } else {
                        -1.0
                    }
                })
            })
            .chain([[0.0; N]])
            .map(|u| (u, height(&u)))
            .collect();
        let middle = [0.0; N];
        let mut best = ends.iter().map(|(_, height)| *height).fold(f64::NEG_INFINITY, f64::max);
        ends.sort_by(|a, b| b.1.total_cmp(&a.1));
        for (start, _) in ends.into_iter().filter(|(u, _)| *u != middle).take(2).chain([(middle, 0.0)]) {
            let mut u = start;
            for _ in 0..ROUNDS {
                let slope = slope(height, &u);
                let length = slope.iter().map(|s| s * s).sum::<f64>().sqrt();
                if !(length > 0.0 && length.is_finite()) {
                    break;
                }
                let next = slope.map(|s| s / length);
                // Halfway between the last place and where the slope points, so that the search does not swing around the
                // extreme.
                let half = std::array::from_fn(|i| u[i] + next[i]);
                let norm = half.iter().map(|s: &f64| s * s).sum::<f64>().sqrt();
                best = best.max(height(&next));
                if norm > 1e-9 {
                    u = half.map(|s| s / norm);
                    best = best.max(height(&u));
                } else {
                    u = next;
                }
            }
        }
        sign * best
    };
    (highest(-1.0), highest(1.0))
}

/// Computes the slope of `height` at `u` from differences over a thousandth of the noise's reach.
fn slope<const N: usize>(height: impl Fn(&[f64; N]) -> f64, u: &[f64; N]) -> [f64; N] {
    const STEP: f64 = 1e-3;
    std::array::from_fn(|i| {
        let moved = |by: f64| {
            let mut u = *u;
            u[i] += by;
            height(&u)
        };
        (moved(STEP) - moved(-STEP)) / (2.0 * STEP)
    })
}
