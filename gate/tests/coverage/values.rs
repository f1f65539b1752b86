//! Counts, sums, and what is computed of one or two values.

use tidegate_gate::{Covariance, Histogram, Mean, Measure, Quantiles, Sum, Variance, Vector};

use crate::case::{Case, Form, People, UNITS, flag, people, random};

/// Bounds of both values, and the form of the release.
type Frame = ([(f64, f64); 2], Form);

const UNIT: [(f64, f64); 2] = [(0.0, 1.0); 2];
const PLAIN: Frame = (UNIT, Form::Group(1));

fn sets() -> Vec<(&'static str, Frame, People)> {
    let blocks = |n, of: fn(f64, f64) -> [f64; 2]| ((UNIT, Form::Blocks(1)), people(n, of));
    let several: People =
        (0..UNITS / 2).map(|i| (0..1 + i % 3).map(|k| [random(3 * i + k, 1), random(i, 2)]).collect()).collect();
    let far = |a: f64, b: f64| [1e-6 * a, 2e9 * (0.5 * a + 0.5 * b) - 1e9];
    let (means, ends) = blocks(60, |a, b| [0.4 + 0.2 * a, 0.3 * a + 0.7 * b]);
    let (two, one) = blocks(2, |a, _| [flag(a < 0.5), 1.0]);
    vec![
        ("spread", PLAIN, people(UNITS, |a, b| [a, 0.7 * a + 0.3 * b])),
        ("unlike", PLAIN, people(UNITS, |a, b| [a, b])),
        ("opposed", PLAIN, people(UNITS, |a, _| [a, 1.0 - a])),
        ("low end", PLAIN, people(UNITS, |_, _| [0.0, 0.0])),
        ("high end", PLAIN, people(UNITS, |_, _| [1.0, 1.0])),
        ("both ends", PLAIN, people(UNITS, |a, _| [flag(a < 0.5), flag(a < 0.5)])),
        ("off the middle", PLAIN, people(UNITS, |a, b| [0.9 + 0.1 * a, 0.9 + 0.05 * a + 0.05 * b])),
        ("skewed", PLAIN, people(UNITS, |a, b| [a.powi(8), (a * b).powi(4)])),
        ("rare", PLAIN, people(UNITS, |a, b| [flag(a < 0.02), flag(a + b < 0.1)])),
        ("scales far apart", ([(0.0, 1e-6), (-1e9, 1e9)], Form::Group(1)), people(UNITS, far)),
        ("nobody", PLAIN, vec![]),
        ("one person", PLAIN, people(1, |_, _| [0.8, 0.3])),
        ("few people", PLAIN, people(5, |a, b| [a, b])),
        ("several rows", (UNIT, Form::Group(3)), several.clone()),
        ("more rows than count", (UNIT, Form::Group(2)), several),
        ("blocks", means, ends),
        ("two blocks", two, one),
        ("blocks that share people", (UNIT, Form::Blocks(4)), people(64, |a, b| [0.4 + 0.2 * a, 0.3 * a + 0.7 * b])),
    ]
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, (bounds, form), people) in sets() {
        let most = if let Form::Group(rows) = form { rows as usize } else { 1 };
        // Of a person's rows the first count, in averages all of them with the weight of as many.
        let rows: Vec<[f64; 2]> = people.iter().flat_map(|rows| rows.iter().take(most)).copied().collect();
        let n = rows.len() as f64;
        let mean = |f: &dyn Fn(&[f64; 2]) -> f64, rows: &Vec<[f64; 2]>| rows.iter().map(f).sum::<f64>() / rows.len() as f64;
        let of =
            |f: &dyn Fn(&[f64; 2]) -> f64| people.iter().map(|rows| mean(f, rows) * rows.len().min(most) as f64).sum::<f64>() / n;
        let (x, y) = (of(&|p| p[0]), of(&|p| p[1]));
        let (variance, other) = (of(&|p| (p[0] - x).powi(2)), of(&|p| (p[1] - y).powi(2)));
        let covariance = of(&|p| (p[0] - x) * (p[1] - y));
        let flat = |variance: f64, (lo, hi): (f64, f64)| variance <= 1e-20 * (hi - lo).powi(2);
        let no = flat(variance, bounds[0]) || flat(other, bounds[1]);
        let correlation = if no { f64::NAN } else { covariance / (variance * other).sqrt() };
        let (lo, hi) = bounds[0];
        let pair = |sample, correlation| Measure::Covariance(Covariance { x: bounds[0], y: bounds[1], sample, correlation });
        let vary = |sample, root| Measure::Variance(Variance { lo, hi, sample, root });
        let mut add = |measure, truths| {
            cases.push(Case { name, measure, beside: None, form, people: people.clone(), truths });
        };
        if !matches!(form, Form::Blocks(_)) {
            add(Measure::Units, vec![people.len() as f64]);
            add(Measure::Count, vec![n]);
        }
        let sample = n / (n - 1.0);
        // A person adds no more than as many rows can.
        let sum = |rows: &Vec<[f64; 2]>| {
            let (sum, most) = (rows.iter().map(|p| p[0]).sum::<f64>(), most as f64);
            sum.clamp(lo.min(0.0) * most, hi.max(0.0) * most)
        };
        add(Measure::Sum(Sum { lo, hi }), vec![people.iter().map(sum).sum()]);
        add(Measure::Mean(Mean { lo, hi }), vec![x]);
        add(vary(false, false), vec![variance]);
        add(vary(true, false), vec![variance * sample]);
        add(vary(true, true), vec![(variance * sample).sqrt()]);
        add(pair(false, false), vec![covariance]);
        add(pair(true, false), vec![covariance * sample]);
        add(pair(false, true), vec![correlation]);
        let bin = |v: f64| (((v - lo) / (hi - lo) * 3.0) as usize).min(2);
        let counts = (0..3).map(|i| rows.iter().filter(|p| bin(p[0]) == i).count() as f64);
        add(Measure::Histogram(Histogram { lo, hi, bins: 3 }), counts.collect());
        if form == PLAIN.1 && bounds == UNIT {
            let sums = (0..2).map(|i| rows.iter().map(|p| p[i]).sum());
            add(Measure::Vector(Vector { len: 2, norm: 2.0 }), sums.collect());
        }
        let mut sorted: Vec<f64> = rows.iter().map(|p| p[0]).collect();
        sorted.sort_by(f64::total_cmp);
        let at = vec![0.0, 0.05, 0.5, 0.95, 1.0];
        let truths: Vec<f64> =
            at.iter().map(|p| sorted.get(((p * n) as usize).min(sorted.len().max(1) - 1)).copied().unwrap_or(f64::NAN)).collect();
        // Queries and components have so many bins as the last.
        for bins in if name == "skewed" { vec![16, 256, 4096] } else { vec![16] } {
            add(Measure::Quantiles(Quantiles { lo, hi, bins, at: at.clone() }), truths.clone());
        }
        // As a query asks that has AVG and percentiles of one value.
        cases.push(Case {
            name,
            measure: Measure::Mean(Mean { lo, hi }),
            beside: Some(Measure::Quantiles(Quantiles { lo, hi, bins: 16, at })),
            form,
            people,
            truths: std::iter::once(x).chain(truths).collect(),
        });
    }
    cases.extend(groups());
    cases
}

/// Groups whose keys were not declared.
fn groups() -> Vec<Case> {
    let of = |name, form, measure, people: &People, truth| Case {
        name,
        measure,
        beside: None,
        form,
        people: people.clone(),
        truths: vec![truth],
    };
    let mean = Measure::Mean(Mean { lo: 0.0, hi: 1.0 });
    let (all, some) = (people(UNITS, |a, b| [a, b]), people(200, |a, b| [a, b]));
    let average = |people: &People| people.iter().map(|rows| rows[0][0]).sum::<f64>() / people.len() as f64;
    let threshold = "about as many as the threshold";
    vec![
        of(threshold, Form::Undeclared, Measure::Units, &all, UNITS as f64),
        of(threshold, Form::Undeclared, mean.clone(), &all, average(&all)),
        of("small groups", Form::Remainder(1), Measure::Units, &some, 200.0),
        of("small groups", Form::Remainder(4), Measure::Count, &some, 200.0),
        of("small groups", Form::Remainder(4), mean, &some, average(&some)),
    ]
}
