//! What noise costs: the gate's derivation and the audit's, which share no code, come to the same; and noise that is too small is found.

use tidegate_audit::rules::price::check;
use tidegate_gate::{
    Column, Confusion, Covariance, Histogram, Keys, Mean, Measure, Plan, Quantiles, Reliability, Scores, Shape, Sum, Variance,
    Vector,
};
use tidegate_protocol::{
    Cost, MicroRho,
    cost::{FemtoDelta, MicroEpsilon},
    job::Blocks,
    receipt::Mechanism,
};

fn measures(blocks: bool) -> Vec<Measure> {
    let bounds = [(0.0, 1.0), (-3.0, 50.0), (1e6, 1e6 + 1e4), (-1e-6, 1e-7)];
    let mut all = vec![Measure::Confusion(Confusion { classes: 3 })];
    if !blocks {
        all.extend([Measure::Units, Measure::Count]);
    }
    for (lo, hi) in bounds {
        all.extend([
            Measure::Sum(Sum { lo, hi }),
            Measure::Mean(Mean { lo, hi }),
            Measure::Variance(Variance { lo, hi, sample: true, root: false }),
            Measure::Variance(Variance { lo, hi, sample: false, root: true }),
            Measure::Covariance(Covariance { x: (lo, hi), y: (0.0, 2.0), sample: false, correlation: false }),
            Measure::Covariance(Covariance { x: (lo, hi), y: (0.0, 2.0), sample: false, correlation: true }),
            Measure::Histogram(Histogram { lo, hi, bins: 7 }),
            Measure::Quantiles(Quantiles { lo, hi, bins: 256, at: vec![0.5] }),
            Measure::Scores(Scores { lo, hi, bins: 20, cut: lo }),
            Measure::Reliability(Reliability { lo, hi, bins: 10 }),
        ]);
    }
    all
}

/// Every measure by itself and all together, in every frame, at several prices of both kinds.
fn each(mut see: impl FnMut(Mechanism, Cost)) {
    let frames = [
        (Keys::None, 1, 1, None),
        (Keys::Declared(9), 4, 3, None),
        (Keys::Undeclared { min_units: 5, remainder: true }, 8, 2, None),
        (Keys::None, 1, 1, Some(Blocks { number: 50, resample: 1 })),
        (Keys::None, 1, 1, Some(Blocks { number: 50, resample: 3 })),
    ];
    let costs = [10, 12_345, 3_000_000].into_iter().flat_map(|micro| {
        let delta = FemtoDelta(10_000_000);
        [Cost::dp(MicroRho(micro), delta), Cost::pure(MicroEpsilon(micro), delta)]
    });
    let costs: Vec<_> = costs.collect();
    for (keys, max_groups, max_rows, blocks) in frames {
        let mut measures = measures(blocks.is_some());
        if max_rows == 1 {
            measures.push(Measure::Vector(Vector { len: 40, norm: 2.5 }));
        }
        let mut sets: Vec<Vec<Measure>> = measures.iter().map(|measure| vec![measure.clone()]).collect();
        sets.push(measures);
        for set in sets {
            let weigh =
                |(i, measure): (usize, Measure)| Column { weight: 1.0 + i as f64, ..Column::new(format!("c{i}"), measure) };
            let columns = set.into_iter().enumerate().map(weigh).collect();
            let key_names = if keys == Keys::None { vec![] } else { vec!["key".into()] };
            let plan = Plan::new(Shape { key_names, keys, columns, max_groups, max_rows, blocks }).unwrap();
            for cost in &costs {
                see(plan.mechanism(&plan.calibrate(*cost).unwrap()), *cost);
            }
        }
    }
}

#[test]
fn the_gate_s_noise_is_worth_its_price_and_no_less_is() {
    let mut seen = 0;
    each(|mechanism, cost| {
        seen += 1;
        assert_eq!(check(&mechanism, cost), Ok(()), "{mechanism:?} at {cost}");
        // A hundredth less is too little: the price is met, not only kept below.
        let less = Cost {
            rho_micro: MicroRho(cost.rho_micro.0 * 99 / 100),
            epsilon_micro: MicroEpsilon(cost.epsilon_micro.0 * 99 / 100),
            ..cost
        };
        assert_eq!(check(&mechanism, less).unwrap_err().0, "price", "{mechanism:?} at {less}");
    });
    assert!(seen > 1000, "{seen}");
}

#[test]
fn noise_that_is_too_small_is_found_in_every_column() {
    each(|mechanism, cost| {
        let finds = |rule: &str, change: &dyn Fn(&mut Mechanism)| {
            let mut changed = mechanism.clone();
            change(&mut changed);
            assert_eq!(check(&changed, cost).map_err(|(rule, _)| rule), Err(rule), "{changed:?} at {cost}");
        };
        finds("price", &|m| m.max_groups = m.max_groups * 2 + 1);
        for (i, column) in mechanism.columns.iter().enumerate() {
            for part in 0..column.moves.len() {
                finds("price", &|m| m.columns[i].noise_scale[part] = 0.0);
                finds("price", &|m| m.columns[i].noise_scale[part] /= 100.0);
                finds("price", &|m| m.columns[i].moves[part] *= 100.0);
                finds("price", &|m| m.columns[i].moves[part] = f64::NAN);
            }
            finds("price", &|m| m.columns[i].noise_scale.clear());
            // A deviation that is another noise's: a step's share more, and the continuous Laplace's.
            finds("price", &|m| m.columns[i].deviation.iter_mut().for_each(|d| *d = *d * 1.001 + 1e-300));
            finds("price", &|m| m.columns[i].deviation.clear());
            finds("price", &|m| m.columns[i].steps.iter_mut().for_each(|step| *step = 0.0));
            // Both smaller by the same: the same price, of sums that move less than their bounds let them.
            let scarce = |m: &mut Mechanism| {
                m.columns[i].moves.iter_mut().for_each(|moves| *moves /= 10.0);
                m.columns[i].noise_scale.iter_mut().for_each(|deviation| *deviation /= 10.0);
            };
            finds("sensitivity", &scarce);
        }
        if mechanism.threshold.is_some() {
            finds("price", &|m| m.threshold_noise = m.threshold_noise.map(|deviation| deviation / 1000.0));
            finds("threshold", &|m| m.threshold = m.least_units.map(|least| least + 1));
            finds("threshold", &|m| m.least_units = None);
        }
        finds("price", &|m| m.noise = "none".into());
        finds("price", &|m| m.noise = "uniform".into());
    });
}

/// Numbers that are no better than chance: xorshift (Marsaglia 2003).
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    /// Over all magnitudes, subnormal ones among them; one in four of a usual one.
    fn bound(&mut self) -> f64 {
        let number = match self.next(4) {
            0 => self.next(2000) as f64 / 10.0,
            _ => f64::from_bits(self.next(u64::MAX)),
        };
        if self.next(2) == 0 { number } else { -number }
    }

    fn measure(&mut self) -> Measure {
        let (a, b) = (self.bound(), if self.next(3) == 0 { self.bound().abs().next_up() } else { self.bound() });
        let (lo, hi) = if a <= b { (a, b) } else { (b, a) };
        let bins = 2 + self.next(30) as u32;
        match self.next(10) {
            0 => Measure::Sum(Sum { lo, hi }),
            1 => Measure::Sum(Sum { lo: 0.0, hi: [1e-300, 5e-324, 1e300, 1e-40][self.next(4) as usize] }),
            2 => Measure::Mean(Mean { lo, hi }),
            3 => Measure::Variance(Variance { lo, hi, sample: true, root: false }),
            4 => Measure::Covariance(Covariance { x: (lo, hi), y: (0.0, 2.0), sample: false, correlation: self.next(2) == 0 }),
            5 => Measure::Histogram(Histogram { lo, hi, bins }),
            6 => Measure::Quantiles(Quantiles { lo, hi, bins: 256, at: vec![0.5] }),
            7 => Measure::Scores(Scores { lo, hi, bins, cut: lo }),
            8 => Measure::Vector(Vector { len: 1 + self.next(20) as u32, norm: self.bound() }),
            _ => Measure::Count,
        }
    }
}

/// What the gate makes of any bounds, weights and prices it either refuses itself, or the rule of the audit takes it, or refuses it: then the ledger does before
/// anything is charged (`standing.rs`). Of bounds that people write, the rule refuses nothing that the gate takes.
#[test]
fn whatever_the_gate_takes_is_a_mechanism_that_an_audit_can_judge() {
    let (mut taken, mut turned_away, mut by_gate) = (0, 0, 0);
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    for _ in 0..20_000 {
        let columns: Vec<_> = (0..=chance.next(3))
            .map(|i| {
                let weight = if chance.next(3) == 0 { chance.bound().abs() } else { 1.0 + chance.next(9) as f64 };
                Column { weight, ..Column::new(format!("c{i}"), chance.measure()) }
            })
            .collect();
        let of_vector = columns.iter().any(|column| matches!(column.measure, Measure::Vector(_)));
        let (keys, names) = match chance.next(3) {
            0 => (Keys::None, vec![]),
            1 => (Keys::Declared(1 + chance.next(20) as u32), vec!["key".into()]),
            _ => (Keys::Undeclared { min_units: 1 + chance.next(30) as u32, remainder: chance.next(2) == 0 }, vec!["key".into()]),
        };
        let blocks =
            (chance.next(4) == 0).then(|| Blocks { number: 2 + chance.next(200) as u32, resample: 1 + chance.next(2) as u32 });
        let max_rows = if of_vector { 1 } else { 1 + chance.next(9) as u32 };
        let shape = Shape { key_names: names, keys, columns, max_groups: 1 + chance.next(5) as u32, max_rows, blocks };
        let delta = FemtoDelta(1 + chance.next(1 << 40));
        let bits = 1 + chance.next(40);
        let micro = 1 + chance.next(1 << bits);
        let gaussian = chance.next(2) == 0;
        let cost = if gaussian { Cost::dp(MicroRho(micro), delta) } else { Cost::pure(MicroEpsilon(micro), delta) };
        let usual = shape.columns.iter().all(|column| {
            let bounds = match &column.measure {
                Measure::Sum(Sum { lo, hi }) | Measure::Mean(Mean { lo, hi }) => (*lo, *hi),
                _ => return false,
            };
            let wide = bounds.0.abs().max(bounds.1.abs());
            (1e-6..1e9).contains(&wide) && bounds.1 - bounds.0 > wide / 1e3 && (1e-3..1e3).contains(&column.weight)
        });
        let usual = usual && (100..100_000_000).contains(&micro);
        let Ok(plan) = Plan::new(shape) else {
            by_gate += 1;
            continue;
        };
        let Ok(calibration) = plan.calibrate(cost) else {
            by_gate += 1;
            continue;
        };
        let mechanism = plan.mechanism(&calibration);
        match check(&mechanism, cost) {
            Ok(()) => taken += 1,
            Err((rule, detail)) => {
                turned_away += 1;
                assert!(["price", "sensitivity", "threshold"].contains(&rule), "{rule}: {detail}");
                assert!(!usual, "{rule}: {detail}: {mechanism:?} at {cost}");
            }
        }
    }
    assert!(taken > 500 && by_gate > 100, "taken {taken}, turned away {turned_away}, by the gate {by_gate}");
}
