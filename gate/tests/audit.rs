//! A statistical audit of the gate: releases on neighbouring datasets, over and over, must not be told apart better than the price allows.
//!
//! For a price ρ and any δ, OpenDP's conversion gives ε; a price in pure ε is one at δ = 0. Then for every event S, P[S] ≤ e^ε · Q[S] + δ, and the
//! other way round (Dwork and Roth 2014, definition 2.4). The event is chosen on half of the runs and measured on the others, with Clopper-Pearson bounds, so that a sound gate
//! fails with probability 1e-9 a test. What has half the noise, no clip or no κ must fail: the audit is audited too.
//!
//! `TIDEGATE_AUDIT_RUNS` sets the number of releases a side.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use tidegate_gate::{
    Column, Confusion, Covariance, GroupSums, Histogram, Keys, Mean, Measure, Plan, Quantiles, Scores, Shape, Sum, Sums,
    Variance, Vector, epsilon_of, release,
};
use tidegate_protocol::{
    ContentHash, Cost, MicroRho,
    cost::{FemtoDelta, MicroEpsilon},
    job::{Blocks, Key},
    result::ResultDoc,
};

const RHO: f64 = 0.5;
const EPSILON: f64 = 1.0;
/// What undeclared keys may spend.
const KEYS_DELTA: f64 = 1e-3;

/// What a release was charged as; [`Case::paid`] is in the same currency.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Charged {
    Rho,
    Pure,
}
use Charged::{Pure, Rho};

impl Charged {
    /// The price that is promised.
    fn charged(self) -> f64 {
        if self == Rho { RHO } else { EPSILON }
    }

    /// What `paid` of it buys.
    fn price(self, paid: f64) -> Cost {
        let delta = FemtoDelta::ceil(KEYS_DELTA).unwrap();
        match self {
            Rho => Cost::dp(MicroRho::ceil(paid).unwrap(), delta),
            Pure => Cost::pure(MicroEpsilon::ceil(paid).unwrap(), delta),
        }
    }

    /// What is promised: pairs of (ε, δ).
    fn promised(self) -> Vec<(f64, f64)> {
        match self {
            Rho => [0.3, 0.1, 0.03, 0.01, 0.002].map(|delta| (epsilon_of(RHO, delta).unwrap(), delta)).into(),
            Pure => vec![(EPSILON, 0.0)],
        }
    }
}

fn plan(keys: Keys, measure: Measure, blocks: Option<u32>) -> Plan {
    let columns = vec![Column::new("c", measure)];
    let key_names = if keys == Keys::None { vec![] } else { vec!["k".into()] };
    let max_rows = if blocks.is_some() { 1 } else { 2 };
    Plan::new(Shape { key_names, keys, columns, max_groups: 2, max_rows, blocks: blocks.map(Blocks::of) }).unwrap()
}

/// A group of `others` units that add nothing much, and one that adds `values` row by row.
fn group(plan: &Plan, key: Vec<Key>, others: usize, values: Option<&[f64]>) -> GroupSums {
    let mut group = plan.group(key);
    let arity = plan.shape().columns[0].measure.values();
    for values in std::iter::repeat_n(&[0.25][..], others).chain(values) {
        // Counts take no value: as many rows are told by a tally of units.
        let rows = if arity == 0 { vec![] } else { vec![values; arity] };
        if arity == 0 {
            add_counted(plan, &mut group, values.len());
        } else {
            plan.close_rows(&mut group, &rows).unwrap();
        }
    }
    group
}

/// A unit with `rows` rows, to measures that only count.
fn add_counted(plan: &Plan, group: &mut GroupSums, rows: usize) {
    let mut laid = vec![vec![]];
    plan.lay(0, rows, &[], None, &mut laid);
    let (mut lanes, mut tally) = ([0], [laid[0].iter().map(|v| i64::from(*v)).sum()]);
    plan.close(&mut group.units, &mut lanes, &mut tally);
    group.lanes[0] += i128::from(lanes[0]);
}

fn text(key: &str) -> Vec<Key> {
    vec![Key::Text(key.into())]
}

struct Case<'a> {
    plan: &'a Plan,
    /// Neighbouring datasets' sums.
    sides: [Sums; 2],
    declared: &'a [Vec<Key>],
    charged: Charged,
    /// The price that is paid for the noise: what was charged, in a sound gate.
    paid: f64,
    /// What an observer makes of a release.
    look: fn(&ResultDoc) -> f64,
}

fn value(result: &ResultDoc) -> f64 {
    result.rows[0].cells[0].value
}

fn total(result: &ResultDoc) -> f64 {
    result.rows.iter().map(|r| r.cells[0].value).sum()
}

fn rows(result: &ResultDoc) -> f64 {
    result.rows.len() as f64
}

/// The largest certain excess of P[S] over e^ε · Q[S] + δ among all δ looked at; positive means that the promise is broken.
fn excess(case: &Case<'_>) -> f64 {
    let calibration = case.plan.calibrate(case.charged.price(case.paid)).unwrap();
    // Undeclared keys may appear with the job's own δ besides.
    let besides = if matches!(case.plan.shape().keys, Keys::Undeclared { .. }) { KEYS_DELTA } else { 0.0 };
    let promised: Vec<_> = case.charged.promised().into_iter().map(|(epsilon, delta)| (epsilon, delta + besides)).collect();
    common::excess(&promised, |side| {
        let released = release(case.plan, &calibration, case.declared, &case.sides[side], ContentHash([0; 32])).unwrap();
        (case.look)(released.document())
    })
}

fn sound(case: &Case<'_>) {
    let excess = excess(case);
    assert!(excess <= 0.0, "the releases can be told apart by {excess} more than was paid for");
}

fn broken(case: &Case<'_>) {
    let excess = excess(case);
    assert!(excess > 0.0, "this is broken, and the audit did not see it: {excess}");
}

/// One unit at its worst beside a hundred others.
fn hides_one_unit(measures: impl IntoIterator<Item = Measure>) {
    for measure in measures {
        let plan = plan(Keys::None, measure.clone(), None);
        for (worst, charged) in [(1e9, Rho), (-1e9, Rho), (1e9, Pure), (-1e9, Pure)] {
            let of = |values| Sums { groups: vec![group(&plan, vec![], 100, values)] };
            let sides = [of(None), of(Some(&[worst; 9][..]))];
            sound(&Case { plan: &plan, sides, declared: &[], charged, paid: charged.charged(), look: value });
        }
    }
}

#[test]
fn one_unit_is_hidden_in_counts_and_sums() {
    hides_one_unit([
        Measure::Units,
        Measure::Count,
        Measure::Sum(Sum { lo: -1.0, hi: 3.0 }),
        Measure::Mean(Mean { lo: 0.0, hi: 1.0 }),
        Measure::Mean(Mean { lo: -5.0, hi: 2.0 }),
    ]);
}

#[test]
fn one_unit_is_hidden_in_second_moments() {
    let covariance = |correlation| Covariance { x: (-1.0, 3.0), y: (-1.0, 3.0), sample: false, correlation };
    hides_one_unit([
        Measure::Variance(Variance { lo: -1.0, hi: 3.0, sample: false, root: true }),
        Measure::Covariance(covariance(false)),
        Measure::Covariance(covariance(true)),
    ]);
}

#[test]
fn one_unit_is_hidden_in_bins() {
    hides_one_unit([
        Measure::Histogram(Histogram { lo: 0.0, hi: 1.0, bins: 2 }),
        Measure::Quantiles(Quantiles { lo: 0.0, hi: 1.0, bins: 16, at: vec![0.5] }),
        Measure::Confusion(Confusion { classes: 2 }),
        Measure::Scores(Scores { lo: 0.0, hi: 1.0, bins: 2, cut: 0.5 }),
    ]);
}

/// A vector at the end of its ball, in any direction: an observer who projects on it sees no more than was paid for.
#[test]
fn one_unit_is_hidden_in_a_vector() {
    let columns = vec![Column::new("g", Measure::Vector(Vector { len: 4, norm: 2.0 }))];
    let shape = Shape { key_names: vec![], keys: Keys::None, columns, max_groups: 1, max_rows: 1, blocks: None };
    let plan = Plan::new(shape).unwrap();
    let sum: fn(&ResultDoc) -> f64 = |r| r.rows[0].cells.iter().map(|c| c.value).sum();
    let second: fn(&ResultDoc) -> f64 = |r| r.rows[0].cells[1].value;
    for (direction, look, charged) in [([1e9; 4], sum, Rho), ([0.0, -1e9, 0.0, 0.0], second, Rho), ([1e9; 4], sum, Pure)] {
        let of = |one: Option<[f64; 4]>| {
            let mut group = plan.group(vec![]);
            for v in std::iter::repeat_n([0.1; 4], 50).chain(one) {
                plan.close_vector(&mut group, &v, &[0.0; 4]).unwrap();
            }
            Sums { groups: vec![group] }
        };
        let sides = || [of(None), of(Some(direction))];
        sound(&Case { plan: &plan, sides: sides(), declared: &[], charged, paid: charged.charged(), look });
        // As if √length were forgotten, or twice the noise's half.
        broken(&Case { plan: &plan, sides: sides(), declared: &[], charged, paid: 4.0 * charged.charged(), look });
    }
}

/// The remainder adds up groups: a unit that is in κ of them, none of which appears, moves it by κ times what it moves one by.
#[test]
fn the_remainder_hides_a_unit_that_is_in_all_of_it() {
    let plan = plan(Keys::Undeclared { min_units: 1_000_000, remainder: true }, Measure::Count, None);
    let of = |values| Sums { groups: ["a", "b"].map(|key| group(&plan, text(key), 10, values)).into() };
    let look = |r: &ResultDoc| r.remainder.as_ref().unwrap()[0].value;
    for charged in [Rho, Pure] {
        let sides = || [of(None), of(Some(&[1.0; 9][..]))];
        sound(&Case { plan: &plan, sides: sides(), declared: &[], charged, paid: charged.charged(), look });
        broken(&Case { plan: &plan, sides: sides(), declared: &[], charged, paid: 10.0 * charged.charged(), look });
    }
}

/// One block goes from one end to the other.
#[test]
fn one_block_is_hidden_in_every_measure() {
    for measure in [
        Measure::Sum(Sum { lo: -1.0, hi: 3.0 }),
        Measure::Mean(Mean { lo: 0.0, hi: 1.0 }),
        Measure::Histogram(Histogram { lo: 0.0, hi: 1.0, bins: 2 }),
        Measure::Quantiles(Quantiles { lo: 0.0, hi: 1.0, bins: 16, at: vec![0.5] }),
    ] {
        let plan = plan(Keys::None, measure, Some(50));
        let of = |value| Sums { groups: vec![group(&plan, vec![], 49, Some(&[value]))] };
        for charged in [Rho, Pure] {
            let sides = [of(-1e9), of(1e9)];
            sound(&Case { plan: &plan, sides, declared: &[], charged, paid: charged.charged(), look: value });
        }
        let between = |r: &ResultDoc| r.rows[0].cells[0].value - r.rows[0].cells.last().unwrap().value;
        sound(&Case { plan: &plan, sides: [of(-1e9), of(1e9)], declared: &[], charged: Rho, paid: RHO, look: between });
    }
}

/// A unit in κ groups moves all of them: an observer who adds them up sees no more.
#[test]
fn one_unit_in_kappa_groups_is_hidden() {
    let plan = plan(Keys::Declared(2), Measure::Count, None);
    let declared = [text("a"), text("b")];
    let of = |values| Sums { groups: declared.iter().map(|key| group(&plan, key.clone(), 10, values)).collect() };
    for charged in [Rho, Pure] {
        let sides = [of(None), of(Some(&[1.0; 9][..]))];
        sound(&Case { plan: &plan, sides, declared: &declared, charged, paid: charged.charged(), look: total });
    }
}

/// A group that one unit alone is in, against none; and one more unit in a group near the threshold.
#[test]
fn an_undeclared_group_does_not_show_its_one_unit() {
    // A group of one never appears. A floor of 12 is higher than τ would be: then groups of up to 3 do not.
    for (floor, edge, charged) in [(1, 2, Rho), (12, 4, Rho), (1, 2, Pure)] {
        let plan = plan(Keys::Undeclared { min_units: floor, remainder: false }, Measure::Count, None);
        let threshold = plan.calibrate(charged.price(charged.charged())).unwrap().threshold.unwrap();
        assert_eq!(threshold.least, edge);
        let (least, tau) = (threshold.least as usize, threshold.tau as usize);
        for near in [1, least, tau - 1, tau, tau + 3] {
            let of = |others, values| Sums { groups: vec![group(&plan, text("a"), others, values)] };
            let without = if near == 1 { Sums::default() } else { of(near - 1, None) };
            let sides = [without, of(near - 1, Some(&[1.0, 1.0][..]))];
            sound(&Case { plan: &plan, sides, declared: &[], charged, paid: charged.charged(), look: rows });
        }
    }
}

/// What the audit is for: half the noise, a unit that was not clipped, a unit in more than κ groups, a mean over the true number.
#[test]
fn broken_gates_are_found() {
    let count = plan(Keys::None, Measure::Count, None);
    let of = |values| Sums { groups: vec![group(&count, vec![], 100, values)] };
    let sides = || [of(None), of(Some(&[1.0; 9]))];
    broken(&Case { plan: &count, sides: sides(), declared: &[], charged: Rho, paid: 4.0 * RHO, look: value });
    broken(&Case { plan: &count, sides: sides(), declared: &[], charged: Pure, paid: 2.0 * EPSILON, look: value });

    let mut unclipped = of(Some(&[1.0; 9]));
    unclipped.groups[0].lanes[0] += 7;
    broken(&Case { plan: &count, sides: [of(None), unclipped], declared: &[], charged: Rho, paid: RHO, look: value });

    let keyed = plan(Keys::Declared(6), Measure::Count, None);
    let declared: Vec<_> = ["a", "b", "c", "d", "e", "f"].map(text).into();
    let of = |values| Sums { groups: declared.iter().map(|key| group(&keyed, key.clone(), 10, values)).collect() };
    broken(&Case {
        plan: &keyed,
        sides: [of(None), of(Some(&[1.0; 9]))],
        declared: &declared,
        charged: Rho,
        paid: RHO,
        look: total,
    });

    // Noise for change-one-block, on data where a unit's coming changes the number of blocks too: the sum moves by more than hi − lo.
    let blocks = plan(Keys::None, Measure::Sum(Sum { lo: 10.0, hi: 11.0 }), Some(50));
    let of = |others| Sums { groups: vec![group(&blocks, vec![], others, None)] };
    broken(&Case { plan: &blocks, sides: [of(49), of(50)], declared: &[], charged: Rho, paid: RHO, look: value });
}
