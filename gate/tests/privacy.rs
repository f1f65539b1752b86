//! The gate's promises, each by a test that fails when the promise is broken.
#![allow(clippy::unwrap_used, clippy::panic)]

use tidegate_gate::{
    Afforded, Column, Confusion, Covariance, GroupSums, Histogram, Keys, Kind, Mean, Measure, Plan, Quantiles, Reliability,
    Scores, Shape, Sum, Sums, Variance, Vector, epsilon_of, release, rho_of,
};
use tidegate_protocol::{
    ContentHash, Cost, MicroRho,
    cost::{FemtoDelta, MicroEpsilon},
    job::{Blocks, Key},
};

fn cost(rho: f64) -> Cost {
    Cost::dp(MicroRho::ceil(rho).unwrap(), FemtoDelta::ceil(1e-6).unwrap())
}

fn pure(epsilon: f64) -> Cost {
    Cost::pure(MicroEpsilon::ceil(epsilon).unwrap(), FemtoDelta::ceil(1e-6).unwrap())
}

fn shape(keys: Keys, measures: &[Measure]) -> Shape {
    Shape {
        key_names: if keys == Keys::None { vec![] } else { vec!["k".into()] },
        keys,
        columns: measures.iter().enumerate().map(|(i, m)| Column::new(format!("c{i}"), m.clone())).collect(),
        max_groups: 3,
        max_rows: 5,
        blocks: None,
    }
}

/// Whatever one unit's rows hold, it moves each lane by no more than the sensitivity the noise was made for.
#[test]
fn one_unit_moves_a_sum_by_at_most_its_sensitivity() {
    let measures = [
        Measure::Units,
        Measure::Count,
        Measure::Sum(Sum { lo: -3.0, hi: 10.0 }),
        Measure::Mean(Mean { lo: 20.0, hi: 90.0 }),
        Measure::Variance(Variance { lo: 20.0, hi: 90.0, sample: true, root: false }),
        Measure::Covariance(Covariance { x: (-3.0, 10.0), y: (20.0, 90.0), sample: true, correlation: true }),
        Measure::Histogram(Histogram { lo: -3.0, hi: 10.0, bins: 7 }),
        Measure::Quantiles(Quantiles { lo: -3.0, hi: 10.0, bins: 256, at: vec![0.5, 0.9] }),
        Measure::Confusion(Confusion { classes: 3 }),
        Measure::Scores(Scores { lo: 0.0, hi: 1.0, bins: 10, cut: 0.5 }),
        Measure::Reliability(Reliability { lo: 0.0, hi: 1.0, bins: 10 }),
    ];
    let plan = Plan::new(shape(Keys::None, &measures)).unwrap();
    let arity: usize = measures.iter().map(Measure::values).sum();
    for extreme in [f64::INFINITY, f64::NEG_INFINITY, f64::MAX, -1e300, 7.0, f64::NAN] {
        for rows in [0, 1, 5, 1000] {
            let mut group = plan.group(vec![]);
            // Extremes, and a value a row: spread over bins, and in one.
            let spread: Vec<f64> = (0..rows).map(|i| f64::from(i % 29) / 2.0 - 3.0).collect();
            let same = vec![extreme; rows as usize];
            for values in [&same, &spread] {
                group = plan.group(vec![]);
                plan.close_rows(&mut group, &vec![&values[..]; arity]).unwrap();
                for part in plan.parts() {
                    let square: i128 = group.lanes[part.range()].iter().map(|s| s * s).sum();
                    let most = i128::from(part.sensitivity).pow(2);
                    assert!(square <= most, "{extreme} × {rows}, {part:?}: {square} > {most}");
                    let taxicab: i128 = group.lanes[part.range()].iter().map(|s| s.abs()).sum();
                    assert!(taxicab <= i128::from(part.taxicab()), "{extreme} × {rows}, {part:?}: {taxicab}");
                    assert!(part.kind != Kind::Bins || group.lanes[part.range()].iter().sum::<i128>() <= 5, "{part:?}");
                }
            }
            drop(group);
        }
    }
}

/// κ groups × lanes × columns together cost no more than the price: Σ Δ²/(2σ²) ≤ ρ.
#[test]
fn the_noise_of_all_lanes_adds_up_to_the_price() {
    let measures = [
        Measure::Count,
        Measure::Mean(Mean { lo: 0.0, hi: 1.0 }),
        Measure::Sum(Sum { lo: 0.0, hi: 9.0 }),
        Measure::Quantiles(Quantiles { lo: 0.0, hi: 9.0, bins: 256, at: vec![0.5] }),
        Measure::Covariance(Covariance { x: (0.0, 1.0), y: (0.0, 1.0), sample: true, correlation: true }),
    ];
    let plan = Plan::new(shape(Keys::Undeclared { min_units: 10, remainder: false }, &measures)).unwrap();
    let calibration = plan.calibrate(cost(0.7)).unwrap();
    let of = |sensitivity: f64, scale: f64| sensitivity * sensitivity / (2.0 * scale * scale);
    let of_part = |(p, s): (&tidegate_gate::Part, &f64)| f64::from(p.times) * of(p.sensitivity as f64, *s);
    let lanes: f64 = plan.parts().iter().zip(&calibration.scales).map(of_part).sum();
    let spent = 3.0 * (lanes + of(1.0, calibration.threshold.unwrap().scale));
    assert!(spent <= 0.7 && spent > 0.699_999, "{spent}");
    // Pure ε: Σ Δ₁/b.
    let calibration = plan.calibrate(pure(0.7)).unwrap();
    let of_part = |(p, b): (&tidegate_gate::Part, &f64)| f64::from(p.times) * p.taxicab() as f64 / b;
    let lanes: f64 = plan.parts().iter().zip(&calibration.scales).map(of_part).sum();
    let spent = 3.0 * (lanes + 1.0 / calibration.threshold.unwrap().scale);
    assert!(spent <= 0.7 && spent > 0.699_999, "{spent}");
    // A price in both would be two prices; one in neither buys nothing.
    let both = Cost { rho_micro: MicroRho(1), ..pure(0.7) };
    assert!(plan.calibrate(both).is_err() && plan.calibrate(Cost::default()).is_err());
}

/// One block leaves one bin and enters another: two bins move, so each draw may cost half.
#[test]
fn a_histogram_over_blocks_pays_for_both_bins() {
    let mut shape = shape(Keys::None, &[Measure::Histogram(Histogram { lo: 0.0, hi: 1.0, bins: 4 })]);
    (shape.blocks, shape.max_rows) = (Some(Blocks::of(100)), 1);
    let plan = Plan::new(shape).unwrap();
    let scale = plan.calibrate(cost(0.5)).unwrap().scales[0];
    // 2 · 1/(2σ²) = 0.5 → σ = √2
    assert!((0.0..1e-6).contains(&(scale - 2f64.sqrt())), "{scale}");
}

/// A unit in γ blocks changes each of them: every part of every reducer may move γ times as far, and its noise is γ times as wide.
#[test]
fn a_unit_in_several_blocks_pays_for_each_of_them() {
    let measures = [
        Measure::Sum(Sum { lo: 0.0, hi: 3.0 }),
        Measure::Mean(Mean { lo: -1.0, hi: 1.0 }),
        Measure::Variance(Variance { lo: 0.0, hi: 1.0, sample: false, root: false }),
        Measure::Covariance(Covariance { x: (0.0, 1.0), y: (0.0, 1.0), sample: false, correlation: true }),
        Measure::Histogram(Histogram { lo: 0.0, hi: 1.0, bins: 4 }),
        Measure::Quantiles(Quantiles { lo: 0.0, hi: 1.0, bins: 256, at: vec![0.5] }),
        Measure::Confusion(Confusion { classes: 3 }),
        Measure::Scores(Scores { lo: 0.0, hi: 1.0, bins: 10, cut: 0.5 }),
        Measure::Vector(Vector { len: 5, norm: 1.0 }),
    ];
    for measure in measures {
        let plan = |blocks: Blocks| {
            let mut shape = shape(Keys::None, std::slice::from_ref(&measure));
            (shape.blocks, shape.max_rows) = (Some(blocks), 1);
            Plan::new(shape)
        };
        let (once, often) = (plan(Blocks::of(100)).unwrap(), plan(Blocks { number: 100, resample: 6 }).unwrap());
        for price in [cost(0.5), pure(0.5)] {
            let scales = |plan: &Plan| plan.calibrate(price).unwrap().scales;
            for (once, often) in scales(&once).into_iter().zip(scales(&often)) {
                assert!((often / once - 6.0).abs() < 1e-3 && often >= 6.0 * once * (1.0 - 1e-6), "{measure:?}: {once} {often}");
            }
        }
        assert_eq!(often.adjacency(), "change-resampled-blocks");
        assert!(plan(Blocks { number: 100, resample: 100 }).is_err() && plan(Blocks { number: 100, resample: 0 }).is_err());
    }
}

/// A group with one person in it appears with probability at most δ; at this τ that is never seen.
#[test]
fn a_group_of_one_is_not_shown() {
    let plan = Plan::new(shape(Keys::Undeclared { min_units: 1, remainder: false }, &[Measure::Count])).unwrap();
    let group = |name: &str, units: usize| {
        let mut group = plan.group(vec![Key::Text(name.into())]);
        for _ in 0..units {
            group.units += 1;
            group.lanes[0] += 1;
        }
        group
    };
    let sums = Sums { groups: vec![group("one", 1), group("many", 1000)] };
    for price in [cost(1.0), pure(1.0)] {
        let calibration = plan.calibrate(price).unwrap();
        for _ in 0..2000 {
            let released = release(&plan, &calibration, &[], &sums, ContentHash([0; 32])).unwrap();
            let keys: Vec<_> = released.document().rows.iter().map(|r| r.key.clone()).collect();
            assert_eq!(keys, [vec![Key::Text("many".into())]]);
        }
    }
}

/// The noise has the standard deviation that the receipt states: 4000 draws, within 6 standard errors.
#[test]
fn noise_has_the_stated_spread() {
    let plan = Plan::new(shape(Keys::None, &[Measure::Sum(Sum { lo: 0.0, hi: 100.0 })])).unwrap();
    // Δ = 5 rows × 100 (on the grid), and one group: σ = 500/√0.2, or √2 · 500/0.5. A fourth moment of 6 makes Laplace's spread vary more.
    for (name, price, deviation, varies) in [
        ("discrete-gaussian", cost(0.1), 500.0 / 0.2f64.sqrt(), 0.5f64),
        ("discrete-laplace", pure(0.5), 2f64.sqrt() * 1000.0, 1.25),
    ] {
        let calibration = plan.calibrate(price).unwrap();
        let mechanism = plan.mechanism(&calibration);
        let stated = mechanism.columns[0].deviation[0];
        let n = 4000;
        let squares: f64 = (0..n)
            .map(|_| {
                let released = release(&plan, &calibration, &[], &Sums::default(), ContentHash([0; 32])).unwrap();
                released.document().rows[0].cells[0].value.powi(2)
            })
            .sum();
        let ratio = (squares / f64::from(n)).sqrt() / stated;
        assert!((ratio - 1.0).abs() < 6.0 * (varies / f64::from(n)).sqrt(), "{name}: {ratio}");
        assert!((stated / deviation - 1.0).abs() < 1e-6 && mechanism.noise == name, "{name}: {stated}");
    }
}

/// Variance and deviation come out right where the noise is small beside the sums, and their intervals hold the truth.
#[test]
fn variance_and_deviation_are_right_to_within_their_interval() {
    let values: Vec<f64> = (0..20_000).map(|i| f64::from(i % 100)).collect();
    // Of 0..=99, over n: (100² − 1)/12.
    let truth: f64 = 9999.0 / 12.0;
    for (sample, root) in [(false, false), (true, true)] {
        let mut shape = shape(Keys::None, &[Measure::Variance(Variance { lo: -50.0, hi: 150.0, sample, root })]);
        shape.max_rows = 1;
        let plan = Plan::new(shape).unwrap();
        let calibration = plan.calibrate(cost(2.0)).unwrap();
        let mut group = plan.group(vec![]);
        for value in &values {
            plan.close_vector(&mut group, &[*value], &[0.0]).unwrap();
        }
        let sums = Sums { groups: vec![group] };
        let released = release(&plan, &calibration, &[], &sums, ContentHash([0; 32])).unwrap();
        let cell = released.document().rows[0].cells[0];
        let truth = if root { (truth * 20_000.0 / 19_999.0).sqrt() } else { truth };
        assert!((cell.value / truth - 1.0).abs() < 0.02, "{cell:?} is not {truth}");
        assert!(cell.low <= cell.value && cell.value <= cell.high && cell.low < truth && truth < cell.high, "{cell:?}, {truth}");
    }
}

/// Declared groups appear even when the worker died and sent nothing.
#[test]
fn declared_groups_always_appear() {
    let plan = Plan::new(shape(Keys::Declared(2), &[Measure::Count])).unwrap();
    let calibration = plan.calibrate(cost(1.0)).unwrap();
    let declared = [vec![Key::Int(1)], vec![Key::Int(2)]];
    let released = release(&plan, &calibration, &declared, &Sums::default(), ContentHash([0; 32])).unwrap();
    assert_eq!(released.document().rows.len(), 2);
}

/// A faulty worker's sums are refused, not noised: the noise would not cover them.
#[test]
fn sums_beyond_the_clip_range_are_refused() {
    let plan = Plan::new(shape(Keys::None, &[Measure::Count])).unwrap();
    let calibration = plan.calibrate(cost(1.0)).unwrap();
    let mut group = plan.group(vec![]);
    (group.units, group.lanes[0]) = (1, 6);
    let sums = Sums { groups: vec![group] };
    assert!(release(&plan, &calibration, &[], &sums, ContentHash([0; 32])).is_err());
}

/// A key that comes twice would be noised twice, and its units be in more groups than they pay for.
#[test]
fn a_key_that_comes_twice_is_refused() {
    let plan = Plan::new(shape(Keys::Undeclared { min_units: 1, remainder: false }, &[Measure::Count])).unwrap();
    let calibration = plan.calibrate(cost(1.0)).unwrap();
    let group = || plan.group(vec![Key::Text("a".into())]);
    let twice = Sums { groups: vec![group(), group()] };
    assert!(release(&plan, &calibration, &[], &twice, ContentHash([0; 32])).is_err());
    assert!(release(&plan, &calibration, &[], &Sums { groups: vec![group()] }, ContentHash([0; 32])).is_ok());
}

/// σ = 100 at Δ = 20 is ρ = 0.02, which OpenDP converts to ε = 0.8999 at δ = 1e-6; the way back returns to it.
#[test]
fn conversion_agrees_with_known_values_and_inverts() {
    let epsilon = epsilon_of(0.02, 1e-6).unwrap();
    assert!((epsilon - 0.8999).abs() < 1e-3, "{epsilon}");
    let rho = rho_of(epsilon, 1e-6).unwrap();
    assert!((rho / 0.02 - 1.0).abs() < 1e-4 && epsilon_of(rho, 1e-6).unwrap() <= epsilon, "{rho}");
    assert!(epsilon_of(0.0, 1e-6).is_err() && rho_of(-1.0, 1e-6).is_err() && rho_of(1.0, 0.0).is_err());
}

/// Sums must never be printed.
#[test]
fn debug_shows_no_sum() {
    let plan = Plan::new(shape(Keys::None, &[Measure::Count])).unwrap();
    let sums = Sums { groups: vec![plan.group(vec![])] };
    assert_eq!(format!("{sums:?}"), "Sums(withheld)");
}

/// A price so thin that its noise would be wider than any integer type is refused with the column; the widest that is taken still hides what it must.
#[test]
fn no_price_is_so_small_that_its_noise_is_none() {
    let measures = [Measure::Count, Measure::Sum(Sum { lo: 0.0, hi: 1.0 })];
    for (weight, taken) in
        [(1e-40, false), (3e-27, false), (0.0, false), (f64::NAN, false), (1e4, false), (1e-3, true), (1e3, true)]
    {
        let mut shape = shape(Keys::None, &measures);
        shape.columns[1].weight = weight;
        match Plan::new(shape) {
            Ok(_) => assert!(taken, "{weight}"),
            Err(error) => assert!(!taken && error.to_string().contains("column `c1`: its weight"), "{error}"),
        }
    }
    // As wide as can be bought: of as many draws as there are, hardly two are the same, and none lies where the sum shows.
    for (rows, price) in [(1, cost(1e-6)), (u32::MAX, cost(1e-6)), (1, pure(1e-6)), (u32::MAX, pure(1e-6))] {
        let mut shape = shape(Keys::Undeclared { min_units: 1, remainder: true }, &measures);
        (shape.max_rows, shape.max_groups, shape.columns[1].weight) = (rows, 1000, 1e-3);
        let plan = Plan::new(shape).unwrap();
        let Ok(calibration) = plan.calibrate(price) else { continue };
        let spread = plan.mechanism(&calibration).columns[1].noise_scale[0];
        let seen: Vec<f64> = (0..200)
            .map(|_| {
                let released = release(&plan, &calibration, &[], &Sums::default(), ContentHash([0; 32])).unwrap();
                released.document().remainder.as_ref().unwrap()[1].value / spread
            })
            .collect();
        let near = seen.iter().filter(|v| v.abs() < 1e-3).count();
        let differ = seen.iter().map(|v| v.to_bits()).collect::<std::collections::BTreeSet<_>>().len();
        assert!(near < 10 && differ > 190, "{rows} {price}: {near} near nothing, {differ} differ");
    }
}

/// Whatever the weights, ε, δ and κ: a threshold is found, or refused, by as many steps as are written down.
#[test]
fn every_threshold_is_found_or_refused_at_once() {
    for weight in [1e-3, 1.0, 1e3] {
        for (kappa, delta) in [(1, 1e-15), (4, 1e-15), (u32::MAX, 1e-15), (1, 0.9)] {
            for epsilon in [1e-6, 1.0, 1e6] {
                let mut shape = shape(Keys::Undeclared { min_units: 5, remainder: false }, &vec![Measure::Count; 64]);
                shape.columns.iter_mut().for_each(|column| column.weight = weight);
                shape.max_groups = kappa;
                let plan = Plan::new(shape).unwrap();
                let delta = FemtoDelta::ceil(delta).unwrap();
                for cost in
                    [Cost::pure(MicroEpsilon::ceil(epsilon).unwrap(), delta), Cost::dp(MicroRho::ceil(epsilon).unwrap(), delta)]
                {
                    match plan.calibrate(cost) {
                        Ok(calibration) => assert!(calibration.threshold.unwrap().tau >= 5),
                        Err(error) => assert!(error.to_string().contains("δ or the cost of keys is too small"), "{error}"),
                    }
                }
            }
        }
    }
}

/// Bounds between which no integer lies, or that a float's last places hold together, are refused with the column.
#[test]
fn bounds_that_leave_no_room_are_refused() {
    let lo = 0.007_812_5f64;
    for (lo, hi) in [
        (lo, lo.next_up()),
        (0.0, 1e-300),
        (0.0, 5e-324),
        (-1e13, 1e13),
        (1.0, 1.0),
        (1.0, 0.0),
        (f64::NAN, 1.0),
        (0.0, f64::INFINITY),
    ] {
        for measure in [
            Measure::Sum(Sum { lo, hi }),
            Measure::Mean(Mean { lo, hi }),
            Measure::Variance(Variance { lo, hi, sample: false, root: false }),
            Measure::Covariance(Covariance { x: (0.0, 1.0), y: (lo, hi), sample: false, correlation: true }),
            Measure::Histogram(Histogram { lo, hi, bins: 3 }),
            Measure::Quantiles(Quantiles { lo, hi, bins: 16, at: vec![0.5] }),
            Measure::Scores(Scores { lo, hi, bins: 3, cut: lo }),
            Measure::Reliability(Reliability { lo, hi, bins: 3 }),
        ] {
            let error = Plan::new(shape(Keys::None, std::slice::from_ref(&measure))).unwrap_err().to_string();
            assert!(
                error.contains("column `c0`: its bounds") || error.contains("column `c0`: the larger"),
                "{measure:?}: {error}"
            );
        }
    }
    // What is close together, and still apart.
    assert!(Plan::new(shape(Keys::None, &[Measure::Mean(Mean { lo: 1.7e9, hi: 1.7e9 + 60.0 })])).is_ok());
}

/// Of more groups than there is time for, those with the largest noisy sizes are given numbers, whatever the order in which they come; the others are counted.
#[test]
fn no_more_groups_appear_than_are_afforded() {
    let plan = Plan::new(shape(Keys::Undeclared { min_units: 1, remainder: false }, &[Measure::Units])).unwrap();
    let group = |i: i64| GroupSums { units: 1000 * i, lanes: vec![i128::from(1000 * i)], ..plan.group(vec![Key::Int(i)]) };
    for (order, least, keys) in [
        ((1..=20).collect::<Vec<_>>(), 1, 18..=20),
        ((1..=20).rev().collect(), 1, 18..=20),
        // None of fewer units than noise is drawn for.
        ((1..=20).collect(), 18_500, 20..=20),
    ] {
        let calibration = plan.calibrate_within(cost(1.0), Afforded { least, most: 3 }).unwrap();
        assert_eq!((calibration.threshold.unwrap().least, calibration.threshold.unwrap().most), (least.max(2), 3));
        let sums = Sums { groups: order.into_iter().map(group).collect() };
        let released = release(&plan, &calibration, &[], &sums, ContentHash([0; 32])).unwrap();
        let document = released.document();
        let shown: Vec<Key> = document.rows.iter().map(|row| row.key[0].clone()).collect();
        let wanted: Vec<Key> = keys.map(Key::Int).collect();
        assert!(shown.ends_with(&wanted) && shown.len() <= 3, "{shown:?}");
        assert_eq!(document.left_out, if least == 1 { 17 } else { 0 });
        assert!(
            document
                .rows
                .iter()
                .all(|row| matches!(row.key[0], Key::Int(i) if (row.cells[0].value - 1000.0 * i as f64).abs() < 100.0))
        );
    }
}
