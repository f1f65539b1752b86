//! Each reducer's value is right, and its 95 % interval holds the truth that often: 300 releases of the same sums.
#![allow(clippy::unwrap_used, clippy::panic)]

use tidegate_gate::{
    Column, Confusion, Covariance, Histogram, Keys, Mean, Measure, Plan, Quantiles, Reliability, Scores, Shape, Sum, Sums,
    Variance, release,
};
use tidegate_protocol::{
    ContentHash, Cost, MicroRho,
    cost::{FemtoDelta, MicroEpsilon},
};

const UNITS: usize = 4000;
const RELEASES: usize = 300;

/// A score in [0, 1], a label that goes with it, and a class it is taken for.
fn people() -> Vec<[f64; 3]> {
    let random = |i: usize, salt: u64| {
        let mut x = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x ^= x >> 31;
        x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
        (x >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..UNITS)
        .map(|i| {
            let score = random(i, 1);
            let label = f64::from(u8::from(random(i, 2) < 0.2 + 0.6 * score));
            [score, label, f64::from(u8::from(score >= 0.5))]
        })
        .collect()
}

/// How often each result column's interval held its truth, and the mean value.
fn seen(measure: Measure, price: Cost, pick: &[usize], truths: &[f64]) -> Vec<(f64, f64)> {
    let columns = vec![Column::new("c", measure)];
    let plan =
        Plan::new(Shape { key_names: vec![], keys: Keys::None, columns, max_groups: 1, max_rows: 1, blocks: None }).unwrap();
    let mut group = plan.group(vec![]);
    for person in people() {
        let values: Vec<[f64; 1]> = pick.iter().map(|i| [person[*i]]).collect();
        plan.close_rows(&mut group, &values.iter().map(|v| &v[..]).collect::<Vec<_>>()).unwrap();
    }
    let sums = Sums { groups: vec![group] };
    let calibration = plan.calibrate(price).unwrap();
    let mut out = vec![(0.0, 0.0); truths.len()];
    for _ in 0..RELEASES {
        let result = release(&plan, &calibration, &[], &sums, ContentHash([0; 32])).unwrap();
        for ((hits, sum), (cell, truth)) in out.iter_mut().zip(result.document().rows[0].cells.iter().zip(truths)) {
            assert!(cell.low <= cell.value && cell.value <= cell.high, "{cell:?}");
            *hits += f64::from(u8::from((cell.low..=cell.high).contains(truth))) / RELEASES as f64;
            *sum += cell.value / RELEASES as f64;
        }
    }
    out
}

/// Name, measure, which of a person's numbers it takes, the truths, and how near the mean of releases must come.
type Case = (&'static str, Measure, Vec<usize>, Vec<f64>, f64);

#[test]
fn values_are_right_and_intervals_hold_the_truth() {
    let people = people();
    let n = UNITS as f64;
    let mean = |of: &dyn Fn(&[f64; 3]) -> f64| people.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(&|p| p[0]), mean(&|p| p[1]));
    let covariance = mean(&|p| p[0] * p[1]) - x * y;
    let (vx, vy) = (mean(&|p| p[0] * p[0]) - x * x, mean(&|p| p[1] * p[1]) - y * y);
    let count = |of: &dyn Fn(&[f64; 3]) -> bool| people.iter().filter(|p| of(p)).count() as f64;
    let mut scores: Vec<f64> = people.iter().map(|p| p[0]).collect();
    scores.sort_by(f64::total_cmp);
    let pairs = |of: &dyn Fn(f64, f64) -> f64| {
        let (positives, others): (Vec<&[f64; 3]>, Vec<&[f64; 3]>) = people.iter().partition(|p| p[1] == 1.0);
        positives.iter().map(|p| others.iter().map(|o| of(p[0], o[0])).sum::<f64>()).sum::<f64>()
            / (positives.len() * others.len()) as f64
    };
    // As bins see it: twenty of them, ties count half.
    let bin = |v: f64| (v * 20.0).floor();
    let auc = pairs(&|p, o| {
        if bin(p) > bin(o) {
            1.0
        } else if bin(p) == bin(o) {
            0.5
        } else {
            0.0
        }
    });
    let right = count(&|p| p[1] == p[2]);
    let (called, positives, hits) = (count(&|p| p[2] == 1.0), count(&|p| p[1] == 1.0), count(&|p| p[1] == 1.0 && p[2] == 1.0));
    let pair = |correlation| Measure::Covariance(Covariance { x: (0.0, 1.0), y: (0.0, 1.0), sample: false, correlation });
    let cases: Vec<Case> = vec![
        ("sum", Measure::Sum(Sum { lo: 0.0, hi: 1.0 }), vec![0], vec![x * n], 20.0),
        ("mean", Measure::Mean(Mean { lo: 0.0, hi: 1.0 }), vec![0], vec![x], 0.005),
        ("variance", Measure::Variance(Variance { lo: 0.0, hi: 1.0, sample: false, root: false }), vec![0], vec![vx], 0.01),
        ("covariance", pair(false), vec![0, 1], vec![covariance], 0.01),
        ("correlation", pair(true), vec![0, 1], vec![covariance / (vx * vy).sqrt()], 0.02),
        ("histogram", Measure::Histogram(Histogram { lo: 0.0, hi: 1.0, bins: 4 }), vec![0], vec![count(&|p| p[0] < 0.25)], 10.0),
        (
            "quantiles",
            Measure::Quantiles(Quantiles { lo: 0.0, hi: 1.0, bins: 256, at: vec![0.1, 0.5, 0.9] }),
            vec![0],
            [0.1, 0.5, 0.9].map(|p| scores[(p * n) as usize]).into(),
            0.02,
        ),
        (
            "scores",
            Measure::Scores(Scores { lo: 0.0, hi: 1.0, bins: 20, cut: 0.5 }),
            vec![0, 1],
            vec![auc, right / n, hits / called, hits / positives, positives, n - positives],
            30.0,
        ),
        (
            "calibration",
            Measure::Reliability(Reliability { lo: 0.0, hi: 1.0, bins: 2 }),
            vec![0, 1],
            [(0.0, 0.5), (0.5, 1.1)]
                .iter()
                .flat_map(|(lo, hi)| {
                    let all = count(&|p| (*lo..*hi).contains(&p[0]));
                    [count(&|p| (*lo..*hi).contains(&p[0]) && p[1] == 1.0) / all, all]
                })
                .collect(),
            20.0,
        ),
        (
            "confusion",
            Measure::Confusion(Confusion { classes: 2 }),
            vec![1, 2],
            vec![
                count(&|p| p[1] == 0.0 && p[2] == 0.0),
                n - positives - count(&|p| p[1] == 0.0 && p[2] == 0.0),
                positives - hits,
                hits,
                right / n,
            ],
            10.0,
        ),
    ];
    // About the same spread on one lane: 5, and √2 · 4.
    let prices = [Cost::dp(MicroRho(20_000), FemtoDelta(0)), Cost::pure(MicroEpsilon(250_000), FemtoDelta(0))];
    for (name, measure, pick, truths, within) in cases {
        for price in prices {
            let all = seen(measure.clone(), price, &pick, &truths);
            for (i, ((coverage, value), truth)) in all.into_iter().zip(&truths).enumerate() {
                // Rates within a tenth of counts' tolerance, at most.
                let within = if *truth <= 1.0 { within.min(0.02) } else { within };
                assert!((value - truth).abs() <= within, "{name} {i} for {price}: {value} is not {truth}");
                // Of 300, 95 % ± 4 standard errors; conservative ones may hold more often.
                assert!(coverage > 0.90, "{name} {i} for {price}: its interval holds {truth} in {coverage} of releases");
            }
        }
    }
}
