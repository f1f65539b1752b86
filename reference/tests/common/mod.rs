//! Cases at random: plans as the gate and as the reference have them, and rows for them.

use dashu::rational::RBig;
use tidegate_gate::{
    BRANCHES, Column, Confusion, Covariance, Histogram, Keys, Mean, Measure, Plan, Quantiles, Reliability, SCALE_MAX, Scores,
    Shape, Sum, Variance, Vector,
};
use tidegate_protocol::{
    Cost, MicroRho,
    cost::{FemtoDelta, MicroEpsilon},
    job::{Blocks, Key},
};
use tidegate_reference::{self as reference, Frame, Price, exact};

/// Numbers that are the same in every run (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// In [0, 1).
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Any float that is not NaN or infinite: of all sizes, subnormal and negative zero among them.
    fn float(&mut self) -> f64 {
        let value = match self.below(6) {
            0 => f64::from_bits(self.next()),
            1 => self.pick(&[0.0, -0.0, 1.0, -1.0, f64::MIN_POSITIVE, 5e-324, f64::MAX, -f64::MAX, 1e12, 1e-12, 1e-300]),
            2 => 10f64.powi(self.below(60) as i32 - 30) * (self.unit() - 0.5),
            _ => (self.unit() - 0.3) * self.pick(&[1.0, 100.0, 1e5]),
        };
        if value.is_finite() { value } else { 0.5 }
    }

    /// Two bounds: mostly in order, now and then equal, a few places apart or the wrong way round.
    fn bounds(&mut self) -> (f64, f64) {
        let lo = self.float();
        match self.below(9) {
            0 => (lo, lo.next_up()),
            // About as close as bounds may be.
            8 => (lo, lo + lo.abs() / 2f64.powi(31) * (0.9 + 3.0 * self.unit())),
            1 => (lo, lo + lo.abs() * 10f64.powi(-(self.below(17) as i32))),
            2 => (lo, self.float()),
            3 => (0.0, lo.abs()),
            4 => (-lo.abs(), lo.abs()),
            _ => {
                let hi = self.float();
                (lo.min(hi), lo.max(hi))
            }
        }
    }
}

/// A column, as both have it.
#[derive(Debug, Clone)]
pub(crate) struct Both {
    pub(crate) gate: Measure,
    pub(crate) reference: reference::Measure,
    pub(crate) weight: f64,
}

impl Both {
    fn at_random(random: &mut Random, frame: Frame) -> Self {
        use reference::Measure as R;
        let classes = 2 + random.below(4) as u32;
        let bins = 1 + random.below(30) as u32;
        let end = f64::from(bins);
        let ((lo, hi), y) = (random.bounds(), random.bounds());
        let flag = random.below(2) == 0;
        let (gate, reference) = match random.below(13) {
            0 => (Measure::Units, R::Units),
            1 => (Measure::Count, R::Count),
            2 | 3 => (Measure::Sum(Sum { lo, hi }), R::Sum(lo, hi)),
            4 | 5 => (Measure::Mean(Mean { lo, hi }), R::Mean(lo, hi)),
            6 => (Measure::Variance(Variance { lo, hi, sample: flag, root: !flag }), R::Variance(lo, hi)),
            7 => {
                let both = Covariance { x: (lo, hi), y, sample: flag, correlation: flag };
                (Measure::Covariance(both), R::Covariance((lo, hi), y, flag))
            }
            8 => (Measure::Histogram(Histogram { lo: 0.0, hi: end, bins }), R::Bins(bins as usize)),
            9 => {
                let leaves = random.pick(&[BRANCHES, BRANCHES * BRANCHES]);
                let tree = Quantiles { lo: 0.0, hi: f64::from(leaves), bins: leaves, at: vec![0.1, 0.5] };
                (Measure::Quantiles(tree), R::Tree(leaves as usize, BRANCHES as usize))
            }
            10 => (Measure::Confusion(Confusion { classes }), R::Bins((classes * classes) as usize)),
            11 if flag => (Measure::Scores(Scores { lo: 0.0, hi: end, bins, cut: 0.0 }), R::Bins(2 * bins as usize)),
            11 => (Measure::Reliability(Reliability { lo: 0.0, hi: end, bins }), R::Bins(2 * bins as usize)),
            _ if matches!(frame, Frame::Unit(1) | Frame::Blocks(_)) => {
                (Measure::Vector(Vector { len: bins, norm: hi }), R::Vector(bins as usize, hi))
            }
            _ => (Measure::Count, R::Count),
        };
        let weight = match random.below(10) {
            0 => random.float(),
            1 => 10f64.powf(6.0 * random.unit() - 3.0),
            _ => 1.0,
        };
        Self { gate, reference, weight }
    }

    /// A row as the reference has it.
    fn row_at_random(&self, random: &mut Random) -> Vec<f64> {
        use reference::Measure as R;
        let between = |random: &mut Random, (lo, hi): (f64, f64)| match random.below(6) {
            0 => random.float(),
            1 => lo,
            2 => hi,
            3 => random.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0]),
            _ => lo + (hi - lo) * random.unit(),
        };
        match &self.reference {
            R::Units | R::Count => vec![],
            R::Sum(lo, hi) | R::Mean(lo, hi) | R::Variance(lo, hi) => vec![between(random, (*lo, *hi))],
            R::Covariance(x, y, _) => vec![between(random, *x), between(random, *y)],
            R::Bins(bins) | R::Tree(bins, _) => {
                vec![if random.below(9) == 0 { f64::NAN } else { random.below(*bins as u64) as f64 }]
            }
            R::Vector(len, norm) => (0..*len)
                .map(|_| match random.below(9) {
                    0 => f64::NAN,
                    _ => norm * (random.unit() - 0.5) * 10f64.powi(random.below(5) as i32 - 2),
                })
                .collect(),
        }
    }

    /// A row of the reference's as the gate takes it.
    fn for_gate(&self, row: &[f64]) -> Vec<f64> {
        let bin = row.first().copied().unwrap_or(0.0);
        match &self.gate {
            Measure::Histogram(_) | Measure::Quantiles(_) => vec![bin + 0.5],
            Measure::Confusion(confusion) => {
                let classes = f64::from(confusion.classes);
                vec![(bin / classes).floor(), bin % classes]
            }
            Measure::Scores(Scores { bins, .. }) | Measure::Reliability(Reliability { bins, .. }) => {
                let bins = f64::from(*bins);
                if bin < bins { vec![bin + 0.5, 1.0] } else { vec![bin - bins + 0.5, 0.0] }
            }
            _ => row.to_vec(),
        }
    }

    /// Rows of the reference's as columns of values, as the gate takes them.
    pub(crate) fn values(&self, rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let rows: Vec<Vec<f64>> = rows.iter().map(|row| self.for_gate(row)).collect();
        (0..self.gate.values()).map(|v| rows.iter().map(|row| row[v]).collect()).collect()
    }

    /// Steps by which a row's integer may differ from the exact one: a value less its middle loses a last place of the larger bound, which is up to a step.
    pub(crate) fn slack(&self) -> u32 {
        use reference::Measure as R;
        match self.reference {
            R::Mean(..) => 2,
            R::Variance(..) | R::Covariance(..) => 16,
            _ => 0,
        }
    }

    pub(crate) fn norm(&self) -> Option<f64> {
        if let reference::Measure::Vector(_, norm) = self.reference { Some(norm) } else { None }
    }

    /// Whether its cells are its noised sums.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.gate, Measure::Units | Measure::Count | Measure::Sum(_) | Measure::Histogram(_) | Measure::Vector(_))
    }

    pub(crate) fn cells(&self) -> usize {
        match &self.gate {
            Measure::Quantiles(quantiles) => quantiles.at.len(),
            // A cell each; accuracy; precision, recall and F1 of each class.
            Measure::Confusion(Confusion { classes }) => (classes * classes + 1 + 3 * classes) as usize,
            Measure::Scores(_) => 6,
            _ => self.reference.cells(1),
        }
    }
}

/// A job.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) columns: Vec<Both>,
    pub(crate) keys: Keys,
    pub(crate) frame: Frame,
    pub(crate) cost: Cost,
    max_groups: u32,
}

impl Case {
    pub(crate) fn at_random(random: &mut Random) -> Self {
        let frame = match random.below(4) {
            0 => Frame::Blocks(random.pick(&[1, 1, 3])),
            1 => Frame::Unit(1),
            _ => Frame::Unit(random.pick(&[2, 5, 100, 1 << 20, u32::MAX])),
        };
        let keys = match random.below(3) {
            _ if matches!(frame, Frame::Blocks(_)) => Keys::None,
            0 => Keys::None,
            1 => Keys::Declared(1 + random.below(4) as u32),
            _ => Keys::Undeclared { min_units: random.pick(&[1, 20, 100_000]), remainder: random.below(2) == 0 },
        };
        let columns = (0..1 + random.below(3)).map(|_| Both::at_random(random, frame)).collect();
        let micro = 10f64.powf(random.unit() * 12.0) as u64 + random.below(3);
        let delta = FemtoDelta::ceil(10f64.powi(-(random.below(13) as i32) - 2)).unwrap();
        let cost = if random.below(2) == 0 {
            Cost::dp(MicroRho(micro.max(1)), delta)
        } else {
            Cost::pure(MicroEpsilon(micro.max(1)), delta)
        };
        Self { columns, keys, frame, cost, max_groups: random.pick(&[1, 2, 7, 1000]) }
    }

    pub(crate) fn shape(&self) -> Shape {
        let (max_rows, blocks) = match self.frame {
            Frame::Unit(rows) => (rows, None),
            Frame::Blocks(resample) => (1, Some(Blocks { number: 50, resample })),
        };
        let column =
            |(i, both): (usize, &Both)| Column { weight: both.weight, ..Column::new(format!("c{i}"), both.gate.clone()) };
        Shape {
            key_names: if self.keys == Keys::None { vec![] } else { vec!["k".into()] },
            keys: self.keys,
            columns: self.columns.iter().enumerate().map(column).collect(),
            max_groups: self.max_groups,
            max_rows,
            blocks,
        }
    }

    pub(crate) fn declared(&self) -> Vec<Vec<Key>> {
        match self.keys {
            Keys::Declared(n) => (0..i64::from(n)).map(|i| vec![Key::Int(i)]).collect(),
            _ => vec![],
        }
    }

    /// What is paid in, and how much of it.
    pub(crate) fn price(&self) -> (Price, RBig) {
        let (price, micro) = match self.cost.rho_micro.0 {
            0 => (Price::Epsilon, self.cost.epsilon_micro.0),
            micro => (Price::Rho, micro),
        };
        (price, RBig::from(micro) / RBig::from(1_000_000))
    }

    /// Whether the price may be too small for one of its columns, or for its keys.
    pub(crate) fn may_be_too_wide(&self, plan: &Plan) -> bool {
        let (price, paid) = self.price();
        let undeclared = matches!(self.keys, Keys::Undeclared { .. });
        let start = RBig::from(u8::from(undeclared));
        let weights = self.columns.iter().fold(start, |sum, c| sum + exact(c.weight));
        // Its parts share a column's price: no more than 64 times as wide.
        let wide = |column: &Both| {
            let share = &paid * exact(column.weight) / &weights / RBig::from(plan.kappa());
            let moves = column.reference.moves(self.frame);
            moves.iter().any(|moves| price.of(moves, SCALE_MAX / 64.0) > share)
        };
        undeclared || self.columns.iter().any(wide)
    }

    /// Rows of a unit, or a block's: of each, the values of each column.
    pub(crate) fn rows_at_random(&self, random: &mut Random) -> Vec<Vec<Vec<f64>>> {
        let counted = self.columns.iter().all(|column| column.reference.values() == 0);
        let most = if counted || matches!(self.frame, Frame::Blocks(_) | Frame::Unit(1)) { 1 } else { 1 + random.below(7) };
        (0..most).map(|_| self.columns.iter().map(|column| column.row_at_random(random)).collect()).collect()
    }

    /// What a unit or block with these rows adds in the gate.
    pub(crate) fn lanes(&self, plan: &Plan, rows: &[Vec<Vec<f64>>]) -> Vec<i128> {
        let mut group = plan.group(vec![]);
        let mine = |i: usize| rows.iter().map(|row| row[i].clone()).collect::<Vec<_>>();
        let values: Vec<Vec<f64>> = self.columns.iter().enumerate().flat_map(|(i, column)| column.values(&mine(i))).collect();
        plan.close_rows(&mut group, &values.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
        group.lanes
    }
}
