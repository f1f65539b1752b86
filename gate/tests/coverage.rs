//! How often the 95 % interval of every number that is released holds the true one: of every reducer, with noise from hardly any to more than there are people, in the
//! middle of what a number can be and at its ends.
//!
//! Of each case there are some releases, and of those in which fewer intervals held than ought to, many more, which alone decide. `TIDEGATE_COVERAGE_RUNS` sets how many
//! there are of every case instead, and prints what was seen.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{collections::BTreeMap, sync::Mutex};

use tidegate_gate::{
    Column, Confusion, Covariance, Histogram, Keys, Mean, Measure, Plan, Quantiles, Reliability, Scores, Shape, Sum, Sums,
    Variance, release,
};
use tidegate_protocol::{
    ContentHash, Cost, MicroRho,
    cost::{FemtoDelta, MicroEpsilon},
};

const UNITS: usize = 1000;

/// What an interval claims, less what it may lack.
const LEAST: f64 = 0.94;

/// Releases of each case, and of those that did not do well.
const RUNS: (usize, usize) = (120, 1500);

/// People: a score and a label, or two values, of each.
type People = Vec<[f64; 2]>;

/// In [0, 1), the same in every run.
fn random(i: usize, salt: u64) -> f64 {
    let mut x = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 31;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 29;
    (x >> 11) as f64 / (1u64 << 53) as f64
}

fn people(of: impl Fn(f64, f64) -> [f64; 2]) -> People {
    (0..UNITS).map(|i| of(random(i, 1), random(i, 2))).collect()
}

fn flag(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

/// A measure, people, and the true numbers; those that are none (0/0) are not looked at.
struct Case {
    name: &'static str,
    measure: Measure,
    people: People,
    truths: Vec<f64>,
}

fn mean(people: &People, of: impl Fn(&[f64; 2]) -> f64) -> f64 {
    people.iter().map(of).sum::<f64>() / people.len() as f64
}

fn values() -> Vec<Case> {
    let unit = (0.0, 1.0);
    let sets: Vec<(&str, People)> = vec![
        ("spread", people(|a, b| [a, 0.7 * a + 0.3 * b])),
        ("unlike", people(|a, b| [a, b])),
        ("opposed", people(|a, _| [a, 1.0 - a])),
        ("low end", people(|_, _| [0.0, 0.0])),
        ("high end", people(|_, _| [1.0, 1.0])),
        ("both ends", people(|a, _| [flag(a < 0.5), flag(a < 0.5)])),
        ("off the middle", people(|a, b| [0.9 + 0.1 * a, 0.9 + 0.05 * a + 0.05 * b])),
    ];
    let mut cases = Vec::new();
    for (name, people) in sets {
        let (x, y) = (mean(&people, |p| p[0]), mean(&people, |p| p[1]));
        let of = |f: &dyn Fn(&[f64; 2]) -> f64| mean(&people, f);
        let variance = of(&|p| (p[0] - x).powi(2));
        let covariance = of(&|p| (p[0] - x) * (p[1] - y));
        let other = of(&|p| (p[1] - y).powi(2));
        let correlation = if variance * other > 1e-20 { covariance / (variance * other).sqrt() } else { f64::NAN };
        let n = UNITS as f64;
        let pair = |sample, correlation| Measure::Covariance(Covariance { x: unit, y: unit, sample, correlation });
        let vary = |sample, root| Measure::Variance(Variance { lo: 0.0, hi: 1.0, sample, root });
        let mut add = |measure, truth| cases.push(Case { name, measure, people: people.clone(), truths: vec![truth] });
        add(Measure::Mean(Mean { lo: 0.0, hi: 1.0 }), x);
        add(Measure::Sum(Sum { lo: 0.0, hi: 1.0 }), x * n);
        add(vary(false, false), variance);
        add(vary(true, true), (variance * n / (n - 1.0)).sqrt());
        add(pair(false, false), covariance);
        add(pair(true, false), covariance * n / (n - 1.0));
        add(pair(false, true), correlation);
        let at = vec![0.0, 0.05, 0.5, 0.95, 1.0];
        let mut sorted: Vec<f64> = people.iter().map(|p| p[0]).collect();
        sorted.sort_by(f64::total_cmp);
        let truths = at.iter().map(|p| sorted[((p * n) as usize).min(UNITS - 1)]).collect();
        let bins = if name == "spread" { 256 } else { 16 };
        let quantiles = Measure::Quantiles(Quantiles { lo: 0.0, hi: 1.0, bins, at });
        cases.push(Case { name, measure: quantiles, people: people.clone(), truths });
        let truths = (0..4u8).map(|bin| people.iter().filter(|p| ((p[0] * 4.0) as u8).min(3) == bin).count() as f64).collect();
        cases.push(Case { name, measure: Measure::Histogram(Histogram { lo: 0.0, hi: 1.0, bins: 4 }), people, truths });
    }
    cases
}

fn labels() -> Vec<Case> {
    let sets: Vec<(&str, People)> = vec![
        ("fair", people(|a, b| [a, flag(b < 0.2 + 0.6 * a)])),
        ("by chance", people(|a, b| [a, flag(b < 0.5)])),
        ("perfect", people(|a, _| [a, flag(a >= 0.5)])),
        ("perfect, at the ends", people(|a, _| [flag(a >= 0.5), flag(a >= 0.5)])),
        ("all wrong", people(|a, _| [a, flag(a < 0.5)])),
        ("rare", people(|a, b| [a, flag(b < 0.04 * a)])),
        ("rarely not", people(|a, b| [a, flag(b < 1.0 - 0.04 * (1.0 - a))])),
        ("none", people(|a, _| [a, 0.0])),
    ];
    let mut cases = Vec::new();
    for (name, people) in sets {
        let count = |of: &dyn Fn(&[f64; 2]) -> bool| people.iter().filter(|p| of(p)).count() as f64;
        let share = |a: f64, b: f64| if b > 0.0 { a / b } else { f64::NAN };
        let (yes, called) = (|p: &[f64; 2]| p[1] == 1.0, |p: &[f64; 2]| p[0] >= 0.5);
        let (hits, right) = (count(&|p| yes(p) && called(p)), count(&|p| yes(p) == called(p)));
        let (positives, calls, n) = (count(&yes), count(&called), UNITS as f64);
        let bins = 20;
        let bin = |v: f64| (v * f64::from(bins)).floor().min(f64::from(bins) - 1.0);
        let mut pairs = 0.0;
        for p in people.iter().filter(|p| yes(p)) {
            for o in people.iter().filter(|p| !yes(p)) {
                pairs += if bin(p[0]) > bin(o[0]) { 1.0 } else { flag(bin(p[0]) == bin(o[0])) / 2.0 };
            }
        }
        let truths = vec![
            share(pairs, positives * (n - positives)),
            right / n,
            share(hits, calls),
            share(hits, positives),
            positives,
            n - positives,
        ];
        let scores = Measure::Scores(Scores { lo: 0.0, hi: 1.0, bins, cut: 0.5 });
        cases.push(Case { name, measure: scores, people: people.clone(), truths });
        let both = |i: usize| {
            let of = |p: &&[f64; 2]| ((p[0] * 5.0) as usize).min(4) == i;
            let all = people.iter().filter(of).count() as f64;
            [share(people.iter().filter(of).filter(|p| yes(p)).count() as f64, all), all]
        };
        let reliability = Measure::Reliability(Reliability { lo: 0.0, hi: 1.0, bins: 5 });
        cases.push(Case { name, measure: reliability, truths: (0..5).flat_map(both).collect(), people: people.clone() });
        let classed: People = people.iter().map(|p| [p[1], flag(called(p))]).collect();
        let cell = |a: f64, b: f64| classed.iter().filter(|p| p[0] == a && p[1] == b).count() as f64;
        let of = |c: f64| {
            let (hit, called, there) = (cell(c, c), cell(0.0, c) + cell(1.0, c), cell(c, 0.0) + cell(c, 1.0));
            [share(hit, called), share(hit, there), share(2.0 * hit, called + there)]
        };
        let mut truths = vec![cell(0.0, 0.0), cell(0.0, 1.0), cell(1.0, 0.0), cell(1.0, 1.0), right / n];
        truths.extend(of(0.0).into_iter().chain(of(1.0)));
        cases.push(Case { name, measure: Measure::Confusion(Confusion { classes: 2 }), people: classed, truths });
    }
    cases
}

/// What was seen of one number.
#[derive(Clone, Copy, Default)]
struct Seen {
    held: usize,
    /// Mean error, and mean width, in units of the number's usual range.
    error: f64,
    width: f64,
}

fn look(case: &Case, cost: Cost, runs: usize) -> Vec<(String, Seen)> {
    let columns = vec![Column::new("", case.measure.clone())];
    let shape = Shape { key_names: vec![], keys: Keys::None, columns, max_groups: 1, max_rows: 1, blocks: None };
    let plan = Plan::new(shape).unwrap();
    let mut group = plan.group(vec![]);
    for person in &case.people {
        let values: Vec<&[f64]> = (0..case.measure.values()).map(|i| &person[i..=i]).collect();
        plan.close_rows(&mut group, &values).unwrap();
    }
    let calibration = plan.calibrate(cost).unwrap();
    let sums = Sums { groups: vec![group] };
    let mut seen = vec![Seen::default(); case.truths.len()];
    // What is computed from several noised numbers is never known for certain, at the ends of its range neither. Counts are first in a confusion matrix.
    let computed = match case.measure {
        Measure::Sum(_) | Measure::Histogram(_) => usize::MAX,
        Measure::Confusion(_) => 4,
        _ => 0,
    };
    for _ in 0..runs {
        let result = release(&plan, &calibration, &[], &sums, ContentHash([0; 32])).unwrap();
        let points = result.document().rows[0].cells.iter().skip(computed).filter(|cell| cell.low == cell.high).count();
        assert_eq!(points, 0, "{:?}, {}: {:?}", case.measure, case.name, result.document().rows[0].cells);
        for ((seen, cell), truth) in seen.iter_mut().zip(&result.document().rows[0].cells).zip(&case.truths) {
            assert!(cell.low <= cell.value && cell.value <= cell.high, "{cell:?} of {:?}, {}", case.measure, case.name);
            let near = 1e-9 * truth.abs().max(1e-3);
            seen.held += usize::from(cell.low - near <= *truth && *truth <= cell.high + near);
            seen.error += (cell.value - truth) / runs as f64;
            seen.width += (cell.high - cell.low) / runs as f64;
        }
    }
    let name = plan.mechanism(&calibration).columns[0].reducer.clone();
    let named = plan.result_names().into_iter().map(|n| format!("{name}{n}"));
    named.zip(seen).zip(&case.truths).filter(|(_, truth)| !truth.is_nan()).map(|(named, _)| named).collect()
}

#[test]
fn intervals_hold_what_they_say_in_the_middle_and_at_the_ends() {
    // On one lane about a fortieth of a person, one, ten, a hundred, and as many as there are.
    let rho = [(1e3, "least"), (1.0, "small"), (1e-2, "middling"), (1e-4, "large"), (1e-6, "drowning")];
    let micro = |v: f64| (v * 1e6).round() as u64;
    let mut costs: Vec<(String, Cost)> =
        rho.iter().map(|(rho, name)| (format!("Gaussian, {name}"), Cost::dp(MicroRho(micro(*rho)), FemtoDelta(0)))).collect();
    let epsilon = [(40.0, "least"), (1.4, "small"), (0.14, "middling"), (0.014, "large"), (0.0014, "drowning")];
    costs
        .extend(epsilon.iter().map(|(e, name)| (format!("Laplace, {name}"), Cost::pure(MicroEpsilon(micro(*e)), FemtoDelta(0)))));
    let cases: Vec<Case> = values().into_iter().chain(labels()).collect();
    let jobs: Vec<(&Case, &(String, Cost))> = cases.iter().flat_map(|case| costs.iter().map(move |cost| (case, cost))).collect();
    let (next, found) = (std::sync::atomic::AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let asked = std::env::var("TIDEGATE_COVERAGE_RUNS").ok().map(|n| n.parse::<usize>().unwrap());
    let share = |seen: &Seen, runs: usize| seen.held as f64 / runs as f64;
    // A sound interval's share is below this with probability 10⁻⁹: six standard errors.
    let least = |runs: usize| LEAST - 6.0 * (LEAST * (1.0 - LEAST) / runs as f64).sqrt();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((case, (level, cost))) = jobs.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    let mut runs = asked.unwrap_or(RUNS.0);
                    let mut seen = look(case, *cost, runs);
                    if asked.is_none() && seen.iter().any(|(_, seen)| share(seen, runs) < 0.925) {
                        runs = RUNS.1;
                        seen = look(case, *cost, runs);
                    }
                    for (name, seen) in seen {
                        found.lock().unwrap().insert((name, case.name, level.as_str()), (seen, runs));
                    }
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    let mut worst: BTreeMap<(String, &str), (f64, &str, f64, f64)> = BTreeMap::new();
    let mut failed = Vec::new();
    for ((name, set, level), (seen, runs)) in &found {
        let held = share(seen, *runs);
        if held < least(*runs) {
            failed.push(format!("{name}, {set}, {level}: {held:.3}"));
        }
        let of_measure = worst.entry((name.clone(), level)).or_insert((2.0, "", 0.0, 0.0));
        if held < of_measure.0 {
            *of_measure = (held, set, seen.error, seen.width);
        }
    }
    if asked.is_some() {
        println!("number | noise | least share of intervals that held it | where | mean error there | mean width there");
        for ((name, level), (held, set, error, width)) in &worst {
            println!("{name} | {level} | {held:.3} | {set} | {error:.4} | {width:.4}");
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
