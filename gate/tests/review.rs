//! Exact results are attacked: by who knows every rule, solves for what was kept back, and tries all that can have been.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use tidegate_gate::{Column, GroupSums, Keys, Measure, Plan, Shape, Sum, Sums, review};
use tidegate_protocol::{
    ContentHash,
    job::Key,
    policy::{Dominance, ReviewRules},
    result::ResultDoc,
};

const K: u32 = 3;

fn rules() -> ReviewRules {
    let dominance = Dominance { units: 2, percent: 80 };
    ReviewRules { jobs: 1, min_units: K, dominance, p_percent: 10, round_to: 1, standing: vec![] }
}

fn plan(keys: Keys, names: usize, columns: &[Measure]) -> Plan {
    let columns = columns.iter().enumerate().map(|(i, m)| Column::new(format!("c{i}"), m.clone())).collect();
    let key_names = ["a", "b", "c"][..names].iter().map(|n| (*n).to_owned()).collect();
    Plan::new(Shape { key_names, keys, columns, max_groups: u32::MAX, max_rows: u32::MAX, blocks: None }).unwrap()
}

fn sum(lo: f64, hi: f64) -> Measure {
    Measure::Sum(Sum { lo, hi })
}

/// A group of so many units of each kind: what each adds to each column.
fn group<'a>(plan: &Plan, key: Vec<Key>, units: impl IntoIterator<Item = (usize, &'a [f64])>) -> GroupSums {
    let (mut group, codes) = (plan.group(key), plan.codes());
    for (count, values) in units {
        let tally: Vec<i64> = values.iter().zip(plan.parts()).map(|(v, part)| (v / part.step).round() as i64).collect();
        for _ in 0..count {
            group.units += 1;
            group.lanes.iter_mut().zip(&tally).for_each(|(lane, v)| *lane += i128::from(*v));
            group.kinds.add(&codes, &tally);
        }
    }
    group
}

fn table(plan: &Plan, rules: &ReviewRules, declared: &[Vec<Key>], groups: Vec<GroupSums>) -> ResultDoc {
    review(plan, rules, declared, &Sums { groups }, ContentHash([0; 32])).unwrap().document().clone()
}

/// What is shown of a group without keys.
fn alone(plan: &Plan, rules: &ReviewRules, units: &[(usize, &[f64])]) -> Option<Vec<f64>> {
    let result = table(plan, rules, &[], vec![group(plan, vec![], units.iter().copied())]);
    result.rows.first().map(|row| row.cells.iter().map(|c| c.value).collect())
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

#[test]
fn small_and_dominated_groups_are_kept_back_and_the_others_rounded() {
    let plan = plan(Keys::None, 0, &[Measure::Units, sum(0.0, 1e6)]);
    let rules = ReviewRules { min_units: 5, round_to: 5, ..rules() };
    let one = |rules: &ReviewRules, values: &[f64]| {
        let units: Vec<[f64; 2]> = values.iter().map(|v| [1.0, *v]).collect();
        alone(&plan, rules, &units.iter().map(|u| (1, &u[..])).collect::<Vec<_>>())
    };
    assert_eq!(one(&rules, &[10.0; 4]), None, "four are too few");
    assert_eq!(one(&rules, &[12.0; 6]), Some(vec![5.0, 70.0]), "six are shown, as five; 72 as 70");
    assert_eq!(one(&rules, &[100.0, 100.0, 10.0, 10.0, 10.0, 10.0]), None, "two hold 83 %");
    assert_eq!(one(&rules, &[100.0, 100.0, 20.0, 20.0, 20.0, 20.0]), Some(vec![5.0, 280.0]), "two hold 71 %");
    // p%: two hold less than 80 %, but the second knows the first to within the rest, which is below 10 % of it: cannot be where n = 2, k = 80.
    let strict = ReviewRules { dominance: Dominance { units: 1, percent: 100 }, ..rules };
    assert_eq!(one(&strict, &[100.0, 50.0, 3.0, 3.0, 3.0]), None);
    assert_eq!(one(&strict, &[100.0, 50.0, 4.0, 4.0, 4.0]), Some(vec![5.0, 160.0]));
}

/// The attacker tries every world that there can have been, knows all rules, and nothing is rounded: whether a kind of people has one, two or no members
/// cannot be told of any kind. (Of n, n under a condition and n under another, there are four kinds; and two sums, the second under the condition.)
#[test]
fn no_table_tells_few_from_none() {
    let counts = plan(Keys::None, 0, &[Measure::Units, Measure::Units, Measure::Units]);
    let sums = plan(Keys::None, 0, &[Measure::Count, sum(0.0, 64.0), sum(0.0, 64.0)]);
    let of_counts: [&[f64]; 4] = [&[1.0, 0.0, 0.0], &[1.0, 0.0, 1.0], &[1.0, 1.0, 0.0], &[1.0, 1.0, 1.0]];
    // Who adds the most there is to both sums, to the one without a condition, one to both, and nothing.
    let of_sums: [&[f64]; 4] = [&[1.0, 64.0, 64.0], &[1.0, 64.0, 0.0], &[1.0, 1.0, 1.0], &[1.0, 0.0, 0.0]];
    for (plan, kinds) in [(&counts, of_counts), (&sums, of_sums)] {
        let mut worlds: BTreeMap<String, Vec<[usize; 4]>> = BTreeMap::new();
        let most = 9usize;
        for world in 0..most.pow(4) {
            let sizes: [usize; 4] = std::array::from_fn(|i| world / most.pow(i as u32) % most);
            let units: Vec<(usize, &[f64])> = sizes.iter().copied().zip(kinds).collect();
            worlds.entry(format!("{:?}", alone(plan, &rules(), &units))).or_default().push(sizes);
        }
        assert!(worlds.len() > 100, "something is shown");
        for (shown, worlds) in &worlds {
            for kind in 0..4 {
                let sizes: BTreeSet<usize> = worlds.iter().map(|world| world[kind]).collect();
                let few = worlds.iter().find(|w| (1..K as usize).contains(&w[kind]) && w.iter().all(|n| *n < most - K as usize));
                assert!(few.is_none() || sizes.contains(&0), "{shown} tells {kind} of {few:?}: {sizes:?}");
            }
        }
    }
}

#[test]
fn a_condition_that_few_meet_or_few_do_not_shows_none_or_all() {
    let counts = plan(Keys::None, 0, &[Measure::Units, Measure::Units]);
    let rules = ReviewRules { min_units: 10, ..rules() };
    for few in 0..10 {
        let met = alone(&counts, &rules, &[(3000, &[1.0, 0.0]), (few, &[1.0, 1.0])]).unwrap();
        let not = alone(&counts, &rules, &[(3000, &[1.0, 1.0]), (few, &[1.0, 0.0])]).unwrap();
        assert_eq!((met, not), (vec![3000.0 + few as f64, 0.0], vec![3000.0 + few as f64; 2]));
    }
    assert_eq!(alone(&counts, &rules, &[(3000, &[1.0, 0.0]), (10, &[1.0, 1.0])]), Some(vec![3010.0, 10.0]));
    // Rows beside people: who has a second row is told by their difference.
    let rows = plan(Keys::None, 0, &[Measure::Units, Measure::Count]);
    assert_eq!(alone(&rows, &rules, &[(300, &[1.0, 1.0]), (9, &[1.0, 2.0])]), Some(vec![309.0, 309.0]));
    assert_eq!(alone(&rows, &rules, &[(300, &[1.0, 1.0]), (10, &[1.0, 2.0])]), Some(vec![310.0, 320.0]));
    // A sum that is a count in disguise: 10 for everybody, 20 for one; and one in which few are anything at all.
    let disguise = plan(Keys::None, 0, &[Measure::Units, sum(10.0, 20.0)]);
    assert_eq!(alone(&disguise, &rules, &[(300, &[1.0, 10.0]), (1, &[1.0, 20.0])]), Some(vec![301.0, 3010.0]));
    let rare = plan(Keys::None, 0, &[Measure::Units, sum(0.0, 1e5)]);
    assert_eq!(alone(&rare, &rules, &[(300, &[1.0, 0.0]), (1, &[1.0, 77_777.25])]), Some(vec![301.0, 0.0]));
    // However many such kinds there are, together they decide nothing.
    let many = plan(Keys::None, 0, &[Measure::Units, Measure::Units, Measure::Units]);
    let kinds: [(usize, &[f64]); 3] = [(300, &[1.0, 1.0, 0.0]), (7, &[1.0, 0.0, 1.0]), (7, &[1.0, 0.0, 0.0])];
    assert_eq!(alone(&many, &rules, &kinds), Some(vec![314.0, 314.0, 0.0]));
}

/// Who takes one sum from another has a sum of those who are in one alone: it is of k or more of them, and none has most of it.
#[test]
fn the_difference_of_two_sums_is_a_sum_by_the_same_rules() {
    let plan = plan(Keys::None, 0, &[sum(0.0, 1000.0), sum(0.0, 1000.0)]);
    let mut dice = Dice(5);
    let (mut told, mut kept) = (0, 0);
    for _ in 0..4000 {
        let outside = dice.below(8);
        let giant = dice.below(2) * 700;
        let mut people: Vec<[f64; 2]> = (0..40).map(|_| 100.0 + dice.below(50) as f64).map(|x| [x, x]).collect();
        people.extend((0..outside).map(|i| [if i == 0 { 50 + giant } else { 50 + dice.below(20) } as f64, 0.0]));
        let Some(shown) = alone(&plan, &rules(), &people.iter().map(|p| (1, &p[..])).collect::<Vec<_>>()) else {
            kept += 1;
            continue;
        };
        let difference = shown[0] - shown[1];
        if difference == 0.0 {
            assert!(outside < u64::from(K));
            continue;
        }
        told += 1;
        let mut without: Vec<f64> = people.iter().filter(|p| p[1] == 0.0).map(|p| p[0]).collect();
        without.sort_by(|a, b| b.total_cmp(a));
        assert!(without.len() >= K as usize, "{without:?}");
        assert!(without[0] + without[1] <= 0.8 * difference + 1.0, "two have most of {difference}: {without:?}");
    }
    assert!(told > 500 && kept > 500, "{told} {kept}");
}

fn text(n: usize) -> Key {
    Key::Text(format!("k{n}"))
}

/// Which of the unknowns a solver of the equations knows: those that no way of changing others can make up for.
fn solved(unknowns: usize, equations: &[Vec<usize>]) -> Vec<bool> {
    let mut rows: Vec<Vec<f64>> =
        equations.iter().map(|e| (0..unknowns).map(|i| f64::from(u8::from(e.contains(&i)))).collect()).collect();
    let mut pivots = Vec::new();
    for column in 0..unknowns {
        let from = pivots.len();
        let Some(at) = (from..rows.len()).find(|r| rows[*r][column].abs() > 1e-9) else { continue };
        rows.swap(from, at);
        let by = rows[from][column];
        rows[from].iter_mut().for_each(|v| *v /= by);
        let pivot = rows[from].clone();
        for (r, row) in rows.iter_mut().enumerate().filter(|(r, _)| *r != from) {
            debug_assert!(r != from);
            let factor = row[column];
            row.iter_mut().zip(&pivot).for_each(|(v, p)| *v -= factor * p);
        }
        pivots.push(column);
    }
    let alone = |row: &Vec<f64>| row.iter().filter(|v| v.abs() > 1e-9).count() == 1;
    let mut known = vec![false; unknowns];
    pivots.iter().zip(&rows).for_each(|(column, row)| known[*column] = alone(row));
    known
}

/// The attacker knows every margin of the declared groups, exactly, and solves for what was kept back.
#[test]
fn no_margins_give_a_group_away_that_a_rule_keeps_back() {
    let mut dice = Dice(1);
    let mut shown = 0;
    for round in 0..1500 {
        let (across, down) = (2 + dice.below(4) as usize, 2 + dice.below(4) as usize);
        let declared: Vec<Vec<Key>> = (0..across * down).map(|i| vec![text(i / down), text(i % down)]).collect();
        let plan = plan(Keys::Declared(declared.len() as u32), 2, &[Measure::Units, sum(0.0, 1000.0)]);
        let few = 1 + dice.below(8);
        let mut secret = BTreeSet::new();
        let mut make = |few_of: &mut dyn FnMut() -> usize| -> Vec<GroupSums> {
            let one = |(i, key): (usize, &Vec<Key>)| match dice.below(3 * few) {
                0 => {
                    secret.insert(i);
                    group(&plan, key.clone(), [(few_of(), &[1.0, 10.0][..])])
                }
                1 => {
                    secret.insert(i);
                    group(&plan, key.clone(), [(9, &[1.0, 10.0][..]), (1, &[1.0, 900.0])])
                }
                n => group(&plan, key.clone(), [(3 + n as usize + i, &[1.0, 10.0][..])]),
            };
            declared.iter().enumerate().map(one).collect()
        };
        let mut small = Dice(round);
        let groups = make(&mut || small.below(3) as usize);
        let result = table(&plan, &rules(), &declared, groups.clone());
        shown += result.rows.len();
        let back: Vec<usize> = (0..declared.len()).filter(|i| result.suppressed.contains(&declared[*i])).collect();
        assert!(secret.iter().all(|i| back.contains(i)));
        let line = |d: usize, n: usize| {
            let mine = back.iter().enumerate().filter(|(_, i)| [*i / down, *i % down][d] == n);
            mine.map(|(at, _)| at).collect::<Vec<_>>()
        };
        let lines = (0..across).map(|n| line(0, n)).chain((0..down).map(|n| line(1, n))).collect::<Vec<_>>();
        let known = solved(back.len(), &lines);
        if !result.rows.is_empty() {
            for (at, i) in back.iter().enumerate().filter(|(_, i)| secret.contains(i)) {
                assert!(
                    !known[at],
                    "{i} of {across} × {down} follows from the margins, with {back:?} kept back, {secret:?} secret"
                );
            }
        }
        // How many a small group has plays no part.
        let other = groups.into_iter().map(|g| if g.units < 3 { group(&plan, g.key, [(1, &[1.0, 10.0][..])]) } else { g });
        assert_eq!(table(&plan, &rules(), &declared, other.collect()), result);
    }
    assert!(shown > 3000, "{shown}");
}

/// Each line has two that a rule keeps back, and yet one of them follows from all margins together: those of rows k0 and k1 less those of columns k0 and k1.
#[test]
fn what_joins_two_blocks_of_what_is_kept_back_does_not_follow_from_all_margins() {
    let declared: Vec<Vec<Key>> = (0..16).map(|i| vec![text(i / 4), text(i % 4)]).collect();
    let plan = plan(Keys::Declared(16), 2, &[Measure::Units, sum(0.0, 1000.0)]);
    let hidden = [0, 1, 4, 5, 6, 10, 11, 14, 15];
    let one = |(i, key): (usize, &Vec<Key>)| {
        let most = if hidden.contains(&i) { 900.0 } else { 10.0 };
        group(&plan, key.clone(), [(9, &[1.0, 10.0][..]), (1, &[1.0, most])])
    };
    let result = table(&plan, &rules(), &declared, declared.iter().enumerate().map(one).collect());
    let back: Vec<usize> = (0..16).filter(|i| result.suppressed.contains(&declared[*i])).collect();
    let lines = |back: &[usize]| -> Vec<Vec<usize>> {
        let of = |d: usize, n: usize| (0..back.len()).filter(|at| [back[*at] / 4, back[*at] % 4][d] == n).collect();
        (0..2).flat_map(|d| (0..4).map(move |n| (d, n))).map(|(d, n)| of(d, n)).collect()
    };
    assert!(solved(hidden.len(), &lines(&hidden))[4], "without more it would");
    assert!(!result.rows.is_empty() && solved(back.len(), &lines(&back)).iter().all(|known| !known), "{back:?}");
}

/// Of keys that were not declared nobody knows which groups there are: a small one changes nothing, and where a sum of margins is known, one more is kept back.
#[test]
fn a_small_group_that_nobody_named_changes_nothing() {
    let plan = plan(Keys::Undeclared { min_units: K, remainder: false }, 1, &[Measure::Units]);
    let large = || (0..5).map(|i| group(&plan, vec![text(i)], [(10 + i, &[1.0][..])]));
    let without = table(&plan, &rules(), &[], large().collect());
    assert_eq!(without.rows.len(), 4);
    for few in 1..3 {
        let with = large().chain([group(&plan, vec![text(9)], [(few, &[1.0][..])])]);
        assert_eq!(table(&plan, &rules(), &[], with.collect()), without);
    }
    let declared: Vec<Vec<Key>> = (0..5).map(|i| vec![text(i)]).collect();
    let plan = self::plan(Keys::Declared(5), 1, &[Measure::Units]);
    assert_eq!(table(&plan, &rules(), &declared, large().collect()).rows.len(), 5, "whoever declares them sees all");
}

#[test]
fn only_counts_and_sums_are_exact() {
    let mean = Measure::Mean(tidegate_gate::Mean { lo: 0.0, hi: 1.0 });
    assert!(plan(Keys::None, 0, &[mean]).check_reviewable().is_err());
    assert!(plan(Keys::None, 0, &[Measure::Count]).check_reviewable().is_ok());
}

/// Sums whose units nobody knows are not released.
#[test]
fn kinds_that_are_not_the_groups_are_a_misfit() {
    let plan = plan(Keys::None, 0, &[Measure::Units]);
    let good = group(&plan, vec![], [(9, &[1.0][..])]);
    let try_it = |group: GroupSums| review(&plan, &rules(), &[], &Sums { groups: vec![group] }, ContentHash([0; 32])).is_ok();
    assert!(try_it(good.clone()));
    assert!(!try_it(GroupSums { units: 10, ..good.clone() }));
    assert!(!try_it(GroupSums { lanes: vec![8], ..good.clone() }));
    assert!(!try_it(GroupSums { kinds: tidegate_gate::Kinds::default(), ..good }));
}
