//! What noise costs: the gate's derivation and the audit's, which share no code, come to the same; and noise that is too small is found.

use tidegate_catalog::audit::price::check;
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
