//! Reference implementation of the gate: slow, obvious and exact, and written without its code.
//!
//! From the definitions it computes the contribution of one unit to each integer that is noised ([`Measure::contribution`]), how
//! far a unit or block can move them at worst ([`Measure::moves`], by trying every extreme), the privacy cost of noise of some
//! scale ([`Price`]), and the shape of a result ([`Measure::cells`]). It uses only integers and exact fractions.
//! `tests/compare.rs` compares the gate with it on random plans, bounds, weights, prices and values.

use dashu::{
    base::{Abs, UnsignedAbs},
    integer::{IBig, UBig},
    rational::RBig,
};

mod exact;
mod moves;
mod price;

pub use exact::exact;
pub use moves::Moves;
pub use price::Price;

/// Aggregate released in a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Measure {
    /// Number of units.
    Units,
    /// Number of rows.
    Count,
    /// Sum of a value between two bounds.
    Sum(f64, f64),
    /// Mean of such a value.
    Mean(f64, f64),
    /// Variance of such a value.
    Variance(f64, f64),
    /// Covariance of two values between bounds; if the flag is set, with the additional sums of a correlation.
    Covariance((f64, f64), (f64, f64), bool),
    /// Counts of rows in this number of bins. A row names its bin.
    Bins(usize),
    /// Tree of counts: number of leaves, and number of children per node. A row names its leaf.
    Tree(usize, usize),
    /// Sum of vectors of this length, none with a larger norm than given.
    Vector(usize, f64),
}

/// Neighbouring relation, and how much of a unit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// A unit may be added or removed. At most this number of its rows count per group.
    Unit(u32),
    /// A unit is in this number of blocks, each of which may change to any other.
    Blocks(u32),
}

/// Integers with a common noise: the contributions of a row, of a unit or of all units.
pub type Part = Vec<IBig>;

/// Returns the smallest power of two that is no less than `bound`, divided by 2^20.
pub fn step(bound: &RBig) -> RBig {
    let (two, mut power) = (RBig::from(2), RBig::ONE);
    while &power < bound {
        power *= &two;
    }
    while &power / &two >= *bound {
        power /= &two;
    }
    power / RBig::from(1 << 20)
}

/// Rounds to the nearest integer, halves to even.
pub fn round(value: &RBig) -> IBig {
    let below = value.floor();
    let rest = value - RBig::from(below.clone());
    let half = RBig::from_parts(IBig::ONE, UBig::from(2u8));
    let odd = below.clone() % IBig::from(2) != IBig::ZERO;
    if rest > half || rest == half && odd { below + IBig::ONE } else { below }
}

/// Grid for a number between bounds.
struct Lane {
    step: RBig,
    lo: IBig,
    hi: IBig,
}

impl Lane {
    fn between(lo: &RBig, hi: &RBig) -> Self {
        let step = step(&lo.clone().abs().max(hi.clone().abs()));
        Self { lo: round(&(lo / &step)), hi: round(&(hi / &step)), step }
    }

    fn around(bound: &RBig) -> Self {
        Self::between(&-bound.clone(), bound)
    }

    fn of(&self, value: &RBig) -> IBig {
        round(&(value / &self.step)).clamp(self.lo.clone(), self.hi.clone())
    }
}

/// Returns the middle of two bounds and half their distance, each rounded to the nearest float. A job subtracts the first and
/// clips to the second.
fn middle_and_half(lo: f64, hi: f64) -> (RBig, RBig) {
    let (lo, hi, two) = (exact(lo), exact(hi), RBig::from(2));
    (nearest(&((&lo + &hi) / &two)), nearest(&((hi - lo) / two)))
}

/// Rounds to the nearest float.
fn nearest(value: &RBig) -> RBig {
    exact(value.to_f64().value())
}

/// Clamps a float to bounds, as a fraction.
fn clamped(value: f64, lo: f64, hi: f64) -> RBig {
    exact(if value < lo {
        lo
    } else if value > hi {
        hi
    } else {
        value
    })
}

impl Measure {
    /// Returns the number of values in a row.
    pub fn values(&self) -> usize {
        match self {
            Self::Units | Self::Count => 0,
            Self::Covariance(..) => 2,
            Self::Vector(len, _) => *len,
            Self::Sum(..) | Self::Mean(..) | Self::Variance(..) | Self::Bins(_) | Self::Tree(..) => 1,
        }
    }

    /// Returns whether its bounds are accepted.
    pub fn accepts(&self, frame: Frame) -> bool {
        let taken = |lo: f64, hi: f64| {
            let largest = lo.abs().max(hi.abs());
            let sized = (exact(1e-12)..=exact(1e12)).contains(&exact(largest));
            sized && lo < hi && exact(hi) - exact(lo) >= exact(largest) / RBig::from(1i64 << 31)
        };
        let finite = |lo: f64, hi: f64| lo.is_finite() && hi.is_finite() && taken(lo, hi);
        match self {
            Self::Units | Self::Count => matches!(frame, Frame::Unit(_)),
            // Between blocks a sum moves from one bound to the other, and the two must be different integers.
            Self::Sum(lo, hi) => {
                finite(*lo, *hi) && (matches!(frame, Frame::Unit(_)) || self.lanes().iter().all(|lane| lane.lo < lane.hi))
            }
            Self::Mean(lo, hi) | Self::Variance(lo, hi) => finite(*lo, *hi),
            Self::Covariance(x, y, _) => finite(x.0, x.1) && finite(y.0, y.1),
            Self::Bins(bins) | Self::Tree(bins, _) => *bins > 0,
            Self::Vector(len, norm) => *len > 0 && finite(-*norm, *norm) && matches!(frame, Frame::Unit(1) | Frame::Blocks(_)),
        }
    }

    /// Returns the lanes of summed numbers before the count of rows, if the measure has any.
    fn lanes(&self) -> Vec<Lane> {
        let two = RBig::from(2);
        match self {
            Self::Sum(lo, hi) => vec![Lane::between(&exact(*lo), &exact(*hi))],
            Self::Mean(lo, hi) => vec![Lane::around(&middle_and_half(*lo, *hi).1)],
            Self::Variance(lo, hi) => {
                let half = middle_and_half(*lo, *hi).1;
                vec![Lane::around(&half), Lane::around(&nearest(&(&half * &half / two)))]
            }
            Self::Covariance(x, y, correlation) => {
                let (h, k) = (middle_and_half(x.0, x.1).1, middle_and_half(y.0, y.1).1);
                let mut bounds = vec![h.clone(), k.clone(), &h * &k];
                if *correlation {
                    bounds.extend([&h * &h / &two, &k * &k / &two]);
                }
                bounds.iter().map(|bound| Lane::around(&nearest(bound))).collect()
            }
            _ => vec![],
        }
    }

    /// Returns the step width of each part, in the column's unit.
    pub fn steps(&self, frame: Frame) -> Vec<RBig> {
        let mut steps: Vec<RBig> = self.lanes().into_iter().map(|lane| lane.step).collect();
        match self {
            Self::Vector(_, norm) => steps.push(step(&exact(*norm))),
            Self::Sum(..) => {}
            _ if self.values() == 0 || matches!(self, Self::Bins(_) | Self::Tree(..)) => steps.push(RBig::ONE),
            _ if matches!(frame, Frame::Unit(_)) => steps.push(RBig::ONE),
            _ => {}
        }
        steps
    }

    /// Returns the contribution of one row to each part, before a unit's rows are clipped together. A row with NaN adds nothing.
    fn row(&self, row: &[f64], frame: Frame) -> Vec<Part> {
        let counted = |mut parts: Vec<Part>| {
            if matches!(frame, Frame::Unit(_)) {
                parts.push(vec![IBig::ONE]);
            }
            parts
        };
        let lanes = self.lanes();
        let missing = row.iter().any(|value| value.is_nan());
        match self {
            Self::Units | Self::Count => vec![vec![IBig::ONE]],
            Self::Sum(..) if missing => vec![vec![IBig::ZERO]],
            Self::Mean(..) | Self::Variance(..) | Self::Covariance(..) if missing => {
                vec![vec![IBig::ZERO]; lanes.len() + usize::from(matches!(frame, Frame::Unit(_)))]
            }
            Self::Sum(lo, hi) => vec![vec![lanes[0].of(&clamped(row[0], *lo, *hi))]],
            Self::Mean(lo, hi) => {
                let c = clamped(row[0], *lo, *hi) - middle_and_half(*lo, *hi).0;
                counted(vec![vec![lanes[0].of(&c)]])
            }
            Self::Variance(lo, hi) => {
                let (middle, half) = middle_and_half(*lo, *hi);
                let c = clamped(row[0], *lo, *hi) - middle;
                let square = &c * &c - &half * &half / RBig::from(2);
                counted(vec![vec![lanes[0].of(&c)], vec![lanes[1].of(&square)]])
            }
            Self::Covariance(x, y, correlation) => {
                let ((mx, h), (my, k)) = (middle_and_half(x.0, x.1), middle_and_half(y.0, y.1));
                let (a, b, two) = (clamped(row[0], x.0, x.1) - mx, clamped(row[1], y.0, y.1) - my, RBig::from(2));
                let mut numbers = vec![a.clone(), b.clone(), &a * &b];
                if *correlation {
                    numbers.extend([&a * &a - &h * &h / &two, &b * &b - &k * &k / &two]);
                }
                counted(lanes.iter().zip(&numbers).map(|(lane, number)| vec![lane.of(number)]).collect())
            }
            Self::Bins(bins) => vec![one_of(row[0], *bins)],
            Self::Tree(leaves, branches) => {
                let mut layer = one_of(row[0], *leaves);
                let mut nodes = layer.clone();
                while layer.len() > 1 {
                    layer = layer.chunks(*branches).map(|below| below.iter().sum()).collect();
                    nodes.splice(0..0, layer.clone());
                }
                vec![nodes]
            }
            Self::Vector(_, norm) => {
                let step = step(&exact(*norm));
                vec![row.iter().map(|v| round(&(exact(if v.is_nan() { 0.0 } else { *v }) / &step))).collect()]
            }
        }
    }

    /// Returns the clip range of a part, if summed.
    fn clip(&self, part: usize, frame: Frame) -> Option<(IBig, IBig)> {
        let (lo, hi) = match (self, self.lanes().get(part)) {
            (Self::Bins(_) | Self::Tree(..) | Self::Vector(..), _) => return None,
            (_, Some(lane)) => (lane.lo.clone(), lane.hi.clone()),
            (_, None) => (IBig::ZERO, IBig::ONE),
        };
        Some(match frame {
            Frame::Unit(rows) if *self != Self::Units => {
                (lo.min(IBig::ZERO) * IBig::from(rows), hi.max(IBig::ZERO) * IBig::from(rows))
            }
            _ => (lo, hi),
        })
    }

    /// Returns the contribution of a unit or block with these rows to each part.
    pub fn contribution(&self, rows: &[Vec<f64>], frame: Frame) -> Vec<Part> {
        let most = if let Frame::Unit(most) = frame { most as usize } else { 1 };
        // In bins only the first rows count; sums are clipped as a whole.
        let binned = matches!(self, Self::Bins(_) | Self::Tree(..));
        let counted = |row: &&Vec<f64>| !binned || !row[0].is_nan();
        let rows = rows.iter().filter(counted).take(if binned { most } else { usize::MAX });
        let mut parts: Vec<Part> = self.row(&vec![f64::NAN; self.values()], frame);
        parts.iter_mut().flatten().for_each(|number| *number = IBig::ZERO);
        for row in rows {
            for (all, one) in parts.iter_mut().zip(self.row(row, frame)) {
                all.iter_mut().zip(one).for_each(|(all, one)| *all += one);
            }
        }
        // If a unit has more rows than count, its mean is over all its rows, with the weight of the rows that count.
        let per_row = matches!(self, Self::Mean(..) | Self::Variance(..) | Self::Covariance(..));
        if let (true, Frame::Unit(most), Some((rows, sums))) = (per_row, frame, parts.split_last_mut())
            && rows[0] > IBig::from(most)
        {
            // Rounded toward zero.
            sums.iter_mut().flatten().for_each(|sum| *sum = sum.clone() * IBig::from(most) / &rows[0]);
        }
        for (i, part) in parts.iter_mut().enumerate() {
            if let Some((lo, hi)) = self.clip(i, frame) {
                part.iter_mut().for_each(|number| *number = number.clone().clamp(lo.clone(), hi.clone()));
            }
        }
        parts
    }

    /// Returns rows at the bounds and in the middle. A function that is convex in each value is largest at one of them.
    fn extremes(&self) -> Vec<Vec<f64>> {
        let points = |lo: f64, hi: f64| [lo, f64::midpoint(lo, hi), hi];
        match self {
            Self::Units | Self::Count => vec![vec![]],
            Self::Sum(lo, hi) | Self::Mean(lo, hi) | Self::Variance(lo, hi) => points(*lo, *hi).map(|v| vec![v]).into(),
            Self::Covariance(x, y, _) => {
                points(x.0, x.1).into_iter().flat_map(|a| points(y.0, y.1).map(|b| vec![a, b])).collect()
            }
            Self::Bins(bins) | Self::Tree(bins, _) => [0, *bins / 2, bins - 1].map(|bin| vec![bin as f64]).into(),
            Self::Vector(len, norm) => [*norm, -norm].map(|v| (0..*len).map(|i| if i == 0 { v } else { 0.0 }).collect()).into(),
        }
    }

    /// Returns how far each part moves at worst: when a unit with any rows is added or removed, or each of its blocks changes to
    /// any other.
    pub fn moves(&self, frame: Frame) -> Vec<Moves> {
        let unit = |row: &Vec<f64>| {
            let rows = if let Frame::Unit(most) = frame { most } else { 1 };
            // Multiplies one row instead of adding equal rows one by one.
            let one = self.contribution(std::slice::from_ref(row), Frame::Unit(1));
            let one = if matches!(frame, Frame::Unit(_)) { one } else { self.contribution(std::slice::from_ref(row), frame) };
            let times = IBig::from(if *self == Self::Units { 1 } else { rows });
            one.into_iter().map(|part| part.into_iter().map(|number| number * &times).collect()).collect::<Vec<Part>>()
        };
        let units: Vec<Vec<Part>> = self.extremes().iter().map(unit).collect();
        let parts = units.first().map_or(0, Vec::len);
        let mut worst = vec![Moves { square: UBig::ZERO, taxicab: UBig::ZERO }; parts];
        let mut see = |i: usize, move_: Vec<IBig>| {
            let square: IBig = move_.iter().map(|m| m * m).sum();
            let taxicab: IBig = move_.iter().map(|m| m.clone().abs()).sum();
            // No vector of that length has a larger taxicab length (Cauchy and Schwarz).
            let spread = if let Self::Vector(len, _) = self { ceil_root(&square * IBig::from(*len)) } else { taxicab };
            worst[i].square = worst[i].square.clone().max(square.unsigned_abs());
            worst[i].taxicab = worst[i].taxicab.clone().max(spread.unsigned_abs());
        };
        for from in &units {
            for i in 0..parts {
                match frame {
                    Frame::Unit(_) => see(i, from[i].clone()),
                    Frame::Blocks(of_a_unit) => units.iter().for_each(|to| {
                        see(i, from[i].iter().zip(&to[i]).map(|(a, b)| (a - b) * IBig::from(of_a_unit)).collect());
                    }),
                }
            }
        }
        worst
    }

    /// Returns the number of cells in a result row. `asked` is the requested number of quantiles, classes or bins of a score.
    pub fn cells(&self, asked: usize) -> usize {
        match self {
            Self::Bins(bins) => *bins,
            Self::Tree(..) => asked,
            Self::Vector(len, _) => *len,
            _ => 1,
        }
    }
}

/// Returns the smallest integer whose square is no less than `square`.
fn ceil_root(square: IBig) -> IBig {
    let square = square.unsigned_abs();
    let root = dashu::base::SquareRoot::sqrt(&square);
    let exact = &root * &root == square;
    IBig::from(root) + if exact { IBig::ZERO } else { IBig::ONE }
}

fn one_of(bin: f64, bins: usize) -> Part {
    (0..bins).map(|i| if !bin.is_nan() && i as f64 == bin { IBig::ONE } else { IBig::ZERO }).collect()
}
