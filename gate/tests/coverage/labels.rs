//! Scores against labels, and classes against each other.

use tidegate_gate::{Confusion, Measure, Reliability, Scores};

use crate::case::{Case, Form, People, UNITS, flag, people, random};

/// A score and a label of each person.
fn sets() -> Vec<(&'static str, Form, People)> {
    let all = |of: fn(f64, f64) -> [f64; 2]| people(UNITS, of);
    let group = Form::Group(1);
    vec![
        ("fair", group, all(|a, b| [a, flag(b < 0.2 + 0.6 * a)])),
        ("by chance", group, all(|a, b| [a, flag(b < 0.5)])),
        ("perfect", group, all(|a, _| [a, flag(a >= 0.5)])),
        ("perfect, at the ends", group, all(|a, _| [flag(a >= 0.5), flag(a >= 0.5)])),
        ("fair blocks, at the ends", Form::Blocks(1), all(|a, b| [flag(a >= 0.5), flag(b < 0.2 + 0.6 * flag(a >= 0.5))])),
        ("all wrong", group, all(|a, _| [a, flag(a < 0.5)])),
        ("rare", group, all(|a, b| [a, flag(b < 0.04 * a)])),
        ("rarely not", group, all(|a, b| [a, flag(b < 1.0 - 0.04 * (1.0 - a))])),
        ("none", group, all(|a, _| [a, 0.0])),
        ("few people", group, people(6, |a, b| [a, flag(b < 0.5)])),
        ("blocks", Form::Blocks(1), people(60, |a, b| [a, flag(b < 0.2 + 0.6 * a)])),
    ]
}

/// `a` of `b`, where there is any.
fn share(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { f64::NAN }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, form, people) in sets() {
        // Many bins beside those that people are in: where they are few, much of an area is noise.
        let bins = if name == "fair blocks, at the ends" { 80 } else { 6 };
        let mut add = |measure, people, truths| cases.push(Case { name, measure, beside: None, form, people, truths });
        add(Measure::Scores(Scores { lo: 0.0, hi: 1.0, bins, cut: 0.5 }), people.clone(), scores(&people, bins));
        let rows: Vec<[f64; 2]> = people.iter().flatten().copied().collect();
        let both = |i: usize| {
            let (all, positive) =
                rows.iter().filter(|p| usize::from(p[0] >= 0.5) == i).fold((0.0, 0.0), |(n, k), p| (n + 1.0, k + p[1]));
            [share(positive, all), all]
        };
        add(Measure::Reliability(Reliability { lo: 0.0, hi: 1.0, bins: 2 }), people.clone(), (0..2).flat_map(both).collect());
        let classed: People = rows.iter().map(|p| vec![[p[1], flag(p[0] >= 0.5)]]).collect();
        let truths = confusion(&classed, 2);
        add(Measure::Confusion(Confusion { classes: 2 }), classed, truths);
    }
    // Three classes: one is seldom, and taken for another as often as for itself.
    let three: People = (0..UNITS)
        .map(|i| {
            let class = if random(i, 3) < 0.03 { 2.0 } else { flag(random(i, 4) < 0.4) };
            let taken = if random(i, 5) < 0.5 { class } else { (random(i, 6) * 3.0).floor() };
            vec![[class, taken]]
        })
        .collect();
    let truths = confusion(&three, 3);
    cases.push(Case {
        name: "three classes",
        measure: Measure::Confusion(Confusion { classes: 3 }),
        beside: None,
        form: Form::Group(1),
        people: three,
        truths,
    });
    cases
}

/// Area, accuracy, precision, recall, positives and others.
fn scores(people: &People, bins: u32) -> Vec<f64> {
    let (yes, called) = (|p: &[f64; 2]| p[1] == 1.0, |p: &[f64; 2]| p[0] >= 0.5);
    let count = |of: &dyn Fn(&[f64; 2]) -> bool| people.iter().flatten().filter(|p| of(p)).count() as f64;
    let (hits, right) = (count(&|p| yes(p) && called(p)), count(&|p| yes(p) == called(p)));
    let (positives, calls, n) = (count(&yes), count(&called), people.len() as f64);
    // As bins see it: of those in one bin half count.
    let bin = |v: f64| (v * f64::from(bins)).floor().min(f64::from(bins) - 1.0);
    let mut pairs = 0.0;
    for p in people.iter().flatten().filter(|p| yes(p)) {
        for o in people.iter().flatten().filter(|p| !yes(p)) {
            pairs += if bin(p[0]) > bin(o[0]) { 1.0 } else { flag(bin(p[0]) == bin(o[0])) / 2.0 };
        }
    }
    let area = share(pairs, positives * (n - positives));
    vec![area, right / n, share(hits, calls), share(hits, positives), positives, n - positives]
}

/// Cells, accuracy, and precision, recall and F1 of each class.
fn confusion(people: &People, classes: u32) -> Vec<f64> {
    let classes: Vec<f64> = (0..classes).map(f64::from).collect();
    let cell = |a: f64, b: f64| people.iter().flatten().filter(|p| p[0] == a && p[1] == b).count() as f64;
    let mut truths: Vec<f64> = classes.iter().flat_map(|a| classes.iter().map(|b| cell(*a, *b))).collect();
    truths.push(share(classes.iter().map(|c| cell(*c, *c)).sum(), people.len() as f64));
    for c in &classes {
        let (hit, called, there) = classes.iter().fold((cell(*c, *c), 0.0, 0.0), |(hit, called, there), other| {
            (hit, called + cell(*other, *c), there + cell(*c, *other))
        });
        truths.extend([share(hit, called), share(hit, there), share(2.0 * hit, called + there)]);
    }
    truths
}
