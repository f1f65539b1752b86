//! Units with more rows than count: what is divided by a number of rows is of those very rows.
#![allow(clippy::unwrap_used, clippy::panic)]

use tidegate_gate::{Column, Covariance, GroupSums, Keys, Mean, Measure, Plan, Quantiles, Shape, Sum, Sums, Variance, release};
use tidegate_protocol::{ContentHash, Cost, MicroRho, cost::FemtoDelta, result::Cell};

fn plan(measure: Measure, max_rows: u32) -> Plan {
    let columns = vec![Column::new("c", measure)];
    Plan::new(Shape { key_names: vec![], keys: Keys::None, columns, max_groups: 1, max_rows, blocks: None }).unwrap()
}

/// Adds one unit both ways in which rows come to the gate, and checks that they come to the same.
fn add(plan: &Plan, group: &mut GroupSums, values: &[&[f64]]) {
    let before = group.lanes.clone();
    plan.close_rows(group, values).unwrap();
    let columns = plan.shape().columns.len();
    let summed: Vec<_> = plan.fields().into_iter().filter(|f| matches!(f, tidegate_gate::Field::Sum { .. })).collect();
    if columns > 1 || summed.len() < before.len() {
        return;
    }
    let rows = values.first().map_or(1, |v| v.len());
    let mut fields = vec![vec![]; plan.fields_of(0)];
    plan.lay(0, rows, values, None, &mut fields);
    let mut tally: Vec<i64> = fields.iter().map(|field| field.iter().map(|v| i64::from(*v)).sum()).collect();
    let (mut units, mut lanes) = (0, vec![0; tally.len()]);
    plan.close(&mut units, &mut lanes, &mut tally);
    let added: Vec<i128> = group.lanes.iter().zip(&before).map(|(after, before)| after - before).collect();
    assert_eq!(lanes.iter().map(|v| i128::from(*v)).collect::<Vec<_>>(), added);
    assert!(units == 1 && tally.iter().all(|v| *v == 0));
}

/// A release with next to no noise.
fn released(measure: &Measure, max_rows: u32, people: &[Vec<Vec<f64>>]) -> Cell {
    let plan = plan(measure.clone(), max_rows);
    let mut group = plan.group(vec![]);
    for person in people {
        add(&plan, &mut group, &person.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
    let calibration = plan.calibrate(Cost::dp(MicroRho(1_000_000_000_000_000), FemtoDelta(0))).unwrap();
    let sums = Sums { groups: vec![group] };
    release(&plan, &calibration, &[], &sums, ContentHash([0; 32])).unwrap().document().rows[0].cells[0]
}

fn mean() -> Measure {
    Measure::Mean(Mean { lo: 0.0, hi: 100.0 })
}

/// About ten, and another number in each row.
fn about_ten(i: usize) -> f64 {
    8.0 + (i * 7 % 401) as f64 / 100.0
}

#[test]
fn the_mean_of_many_rows_a_person_is_theirs() {
    let people: Vec<_> = (0..1000).map(|p| vec![(0..100).map(|r| about_ten(p * 100 + r)).collect::<Vec<_>>()]).collect();
    let truth = people.iter().flat_map(|p| &p[0]).sum::<f64>() / 100_000.0;
    for max_rows in [1, 10, 99, 100, 200] {
        let cell = released(&mean(), max_rows, &people);
        assert!((cell.value - truth).abs() < 1e-3, "{max_rows}: {cell:?} is not {truth}");
        assert!(cell.low <= truth + 1e-3 && truth - 1e-3 <= cell.high && cell.high - cell.low < 0.1, "{max_rows}: {cell:?}");
    }
}

/// Of each measure that is per row, where all people have rows of one kind: the same as with room for all rows, whatever `max_rows` is.
#[test]
fn every_measure_per_row_is_of_the_same_rows() {
    let people: Vec<_> = (0..200)
        .map(|p| {
            let x: Vec<f64> = (0..50).map(|r| about_ten(p * 53 + r * 11)).collect();
            let y = x.iter().enumerate().map(|(i, x)| 3.0 * x + (i % 7) as f64).collect();
            vec![x, y]
        })
        .collect();
    let variance = |sample, root| Measure::Variance(Variance { lo: 0.0, hi: 100.0, sample, root });
    let pair = |sample, correlation| Measure::Covariance(Covariance { x: (0.0, 100.0), y: (0.0, 100.0), sample, correlation });
    for (measure, near) in [
        (mean(), 1e-3),
        (variance(false, false), 0.05),
        (variance(false, true), 0.02),
        (pair(false, false), 0.1),
        (pair(false, true), 0.02),
    ] {
        let mine: Vec<_> = people.iter().map(|p| p[..measure.values()].to_vec()).collect();
        let whole = released(&measure, 50, &mine);
        for max_rows in [1, 7, 49] {
            let cell = released(&measure, max_rows, &mine);
            assert!((cell.value - whole.value).abs() < near, "{measure:?} {max_rows}: {cell:?} is not {whole:?}");
        }
    }
}

/// Rows a person with a heavy tail, and values that do not go with their number: the mean stays the mean.
#[test]
fn a_heavy_tail_of_rows_does_not_move_the_mean() {
    let people: Vec<_> = (0..2000usize)
        .map(|p| {
            // Pareto's law with exponent 1.2.
            let rows = (1.0 / (1.0 - (p as f64 + 0.5) / 2000.0)).powf(1.0 / 1.2).min(1000.0) as usize;
            vec![(0..rows).map(|r| about_ten(p * 31 + r * 13)).collect::<Vec<f64>>()]
        })
        .collect();
    assert!(people.iter().any(|p| p[0].len() > 300));
    let all: Vec<f64> = people.iter().flat_map(|p| p[0].clone()).collect();
    let truth = all.iter().sum::<f64>() / all.len() as f64;
    for max_rows in [1, 2, 5, 20, 100, 1000] {
        let cell = released(&mean(), max_rows, &people);
        assert!((cell.value - truth).abs() < 0.1, "{max_rows}: {cell:?} is not {truth}");
    }
}

/// A person with more rows than count has the mean of all of them, with the weight of those that count; missing values are no rows.
#[test]
fn who_has_many_rows_weighs_as_much_as_those_that_count() {
    let rows = |n: usize, value: f64| vec![vec![value; n]];
    let cell = released(&mean(), 5, &[rows(50, 90.0), rows(5, 10.0)]);
    assert!((cell.value - 50.0).abs() < 1e-2, "{cell:?}");
    let mut gaps = vec![f64::NAN; 50];
    gaps[..5].fill(90.0);
    let cell = released(&mean(), 5, &[vec![gaps], rows(5, 10.0)]);
    assert!((cell.value - 50.0).abs() < 1e-2, "{cell:?}");
    // A sum is of what counts, and so is no mean times a number of rows.
    let sum = Measure::Sum(Sum { lo: 0.0, hi: 100.0 });
    let cell = released(&sum, 5, &[rows(50, 90.0), rows(5, 10.0)]);
    assert!((cell.value - 550.0).abs() < 1.0, "{cell:?}");
}

/// A percentile is of the same rows as its total: of one with more rows than count, the first ones.
#[test]
fn a_percentile_is_of_as_many_rows_as_its_total() {
    let people: Vec<_> = (0..1000).map(|p| vec![(0..100).map(|r| about_ten(p * 100 + r)).collect::<Vec<_>>()]).collect();
    let median = Measure::Quantiles(Quantiles { lo: 0.0, hi: 100.0, bins: 4096, at: vec![0.5] });
    let cell = released(&median, 10, &people);
    assert!((cell.value - 10.0).abs() < 0.1, "{cell:?}");
}

/// Whatever the rows, no lane leaves its clip range, which is all that the noise is made for; and the thinned numbers are never larger than unthinned ones.
#[test]
fn no_unit_adds_more_than_its_clip() {
    let mut state = 1u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let kinds = |lo: f64, hi: f64| {
        vec![
            Measure::Mean(Mean { lo, hi }),
            Measure::Variance(Variance { lo, hi, sample: true, root: true }),
            Measure::Covariance(Covariance { x: (lo, hi), y: (-1.0, 5.0), sample: false, correlation: false }),
            Measure::Covariance(Covariance { x: (lo, hi), y: (-1.0, 5.0), sample: false, correlation: true }),
            Measure::Sum(Sum { lo, hi }),
        ]
    };
    for round in 0..400 {
        let (lo, hi) = [(0.0, 1.0), (-3.0, 50.0), (1e6, 1e6 + 1e4), (-1e-6, 1e-7)][round % 4];
        let max_rows = [1, 2, 5, 30][next(4)];
        for measure in kinds(lo, hi) {
            let plan = plan(measure.clone(), max_rows);
            let rows = 1 + next(60);
            let mut value = || match next(8) {
                0 => lo,
                1 => hi,
                2 => f64::INFINITY,
                3 => f64::NAN,
                n => lo + (hi - lo) * n as f64 / 8.0,
            };
            let values: Vec<Vec<f64>> = (0..measure.values()).map(|_| (0..rows).map(|_| value()).collect()).collect();
            let mut group = plan.group(vec![]);
            add(&plan, &mut group, &values.iter().map(Vec::as_slice).collect::<Vec<_>>());
            plan.check(&Sums { groups: vec![group.clone()] }).unwrap();
            for part in plan.parts() {
                for lane in &group.lanes[part.range()] {
                    assert!((i128::from(part.clip_lo)..=i128::from(part.clip_hi)).contains(lane), "{measure:?}: {lane}");
                    assert!(lane.unsigned_abs() <= part.sensitivity.unsigned_abs().into(), "{measure:?}: {lane}");
                }
            }
        }
    }
}
