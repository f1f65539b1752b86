//! Tables of random people are held against the same tables without one person whose kind is small: by what is shown nobody can tell which is which.
#![allow(clippy::unwrap_used, clippy::panic)]

use tidegate_gate::{Column, GateError, GroupSums, Keys, Measure, Plan, Shape, Sum, Sums, review};
use tidegate_protocol::{
    ContentHash,
    job::Key,
    policy::{Dominance, ReviewRules},
    result::ResultDoc,
};

const ROWS: u32 = 3;

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n as u64) as usize
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

fn rules(min_units: u32) -> ReviewRules {
    let dominance = Dominance { units: 2, percent: 80 };
    ReviewRules { jobs: 1, min_units, dominance, p_percent: 10, round_to: 1, standing: vec![] }
}

fn plan(keys: Keys, columns: Vec<Measure>) -> Plan {
    let columns = columns.into_iter().enumerate().map(|(i, measure)| Column::new(format!("c{i}"), measure)).collect();
    let key_names = if keys == Keys::None { vec![] } else { vec!["key".into()] };
    Plan::new(Shape { key_names, keys, columns, max_groups: 9, max_rows: ROWS, blocks: None }).unwrap()
}

/// What a unit adds to each column, in steps.
type Tally = Vec<i64>;

fn group(plan: &Plan, key: Vec<Key>, units: &[Tally]) -> GroupSums {
    let (mut group, codes) = (plan.group(key), plan.codes());
    for tally in units {
        group.units += 1;
        group.lanes.iter_mut().zip(tally).for_each(|(lane, v)| *lane += i128::from(*v));
        group.kinds.add(&codes, tally);
    }
    group
}

fn steps(plan: &Plan, values: &[f64]) -> Tally {
    values.iter().zip(plan.parts()).map(|(value, part)| (value / part.step).round() as i64).collect()
}

fn shown(plan: &Plan, rules: &ReviewRules, declared: &[Vec<Key>], groups: Vec<GroupSums>) -> ResultDoc {
    review(plan, rules, declared, &Sums { groups }, ContentHash([0; 32])).unwrap().document().clone()
}

/// What the columns can tell of a unit, worked out once more: per column a constant's value, or the first column that has the same.
fn kind(plan: &Plan, tally: &Tally) -> Vec<Result<i64, usize>> {
    let parts = plan.parts();
    let constant = |i: usize| {
        let bounds = match plan.shape().columns[i].measure {
            Measure::Sum(Sum { lo, hi }) => vec![lo, hi],
            _ => vec![],
        };
        [0.0, 1.0].into_iter().chain(bounds).any(|value| (value / parts[i].step).round() as i64 == tally[i])
    };
    let same = |i: usize, j: usize| !constant(j) && tally[j] == tally[i] && parts[j].step == parts[i].step;
    (0..tally.len()).map(|i| if constant(i) { Ok(tally[i]) } else { Err((0..i).find(|j| same(i, *j)).unwrap_or(i)) }).collect()
}

/// One random table: its plan, its declared keys and the units of each group.
struct World {
    plan: Plan,
    k: usize,
    declared: Vec<Vec<Key>>,
    groups: Vec<(Vec<Key>, Vec<Tally>)>,
}

fn value(dice: &mut Dice, measure: &Measure) -> f64 {
    match measure {
        Measure::Units => dice.below(2) as f64,
        Measure::Sum(Sum { lo, hi }) => {
            let own = [11.0, 12.5, 13.0, 14.0, 15.5, 16.0, 17.0, 19.0, 20.0, 40.0, 41.5];
            let value = match dice.below(8) {
                0 => 0.0,
                1 => 1.0,
                2 => *lo,
                3 => *hi,
                4 => *hi * 0.9,
                _ => dice.of(&own),
            };
            value.clamp(lo.min(0.0), *hi)
        }
        _ => dice.below(ROWS as usize + 1) as f64,
    }
}

impl World {
    fn any(dice: &mut Dice) -> Self {
        let sum = |lo, hi| Measure::Sum(Sum { lo, hi });
        let measures = [Measure::Units, Measure::Units, Measure::Count, sum(0.0, 1000.0), sum(10.0, 100.0), sum(-50.0, 50.0)];
        let columns: Vec<Measure> = (0..1 + dice.below(4)).map(|_| measures[dice.below(measures.len())].clone()).collect();
        let number = 2 + dice.below(5);
        let keys: Vec<Vec<Key>> = (0..number).map(|i| vec![Key::Int(i as i64)]).collect();
        let (keys, of, declared) = match dice.below(3) {
            0 => (vec![vec![]], Keys::None, vec![]),
            1 => (keys.clone(), Keys::Declared(number as u32), keys),
            _ => (keys, Keys::Undeclared { min_units: 3, remainder: false }, vec![]),
        };
        let (plan, k) = (plan(of, columns.clone()), 3 + dice.below(4));
        let units = |dice: &mut Dice| {
            let mut all = vec![];
            for _ in 0..dice.below(6) {
                // A kind has few or many, and all of it alike or each with values of its own.
                let few = dice.below(2) == 0;
                let pattern: Vec<f64> = columns.iter().map(|m| value(dice, m)).collect();
                for _ in 0..if few { 1 + dice.below(k - 1) } else { k + dice.below(2 * k) } {
                    let shift = 1.0 + dice.below(9) as f64 / 20.0;
                    let own = |(v, m): (&f64, &Measure)| match m {
                        Measure::Sum(Sum { lo, hi }) if *v != 0.0 && *v != 1.0 && v != lo && v != hi => {
                            (v * shift).clamp(*lo, *hi)
                        }
                        _ => *v,
                    };
                    all.push(steps(&plan, &pattern.iter().zip(&columns).map(own).collect::<Vec<_>>()));
                }
            }
            all
        };
        let groups = keys.into_iter().map(|key| (key, units(dice))).collect();
        Self { plan, k, declared, groups }
    }

    fn table(&self, one: Option<(usize, &Tally)>) -> ResultDoc {
        let sums = |(i, (key, units)): (usize, &(Vec<Key>, Vec<Tally>))| {
            let mut units = units.clone();
            units.extend(one.iter().filter(|(at, _)| *at == i).map(|(_, tally)| (*tally).clone()));
            group(&self.plan, key.clone(), &units)
        };
        let groups = self.groups.iter().enumerate().map(sums).filter(|group| group.units > 0).collect();
        shown(&self.plan, &rules(self.k as u32), &self.declared, groups)
    }
}

/// The one person may be of a kind that others have as well, as long as they are few, and add whatever there is.
#[test]
fn a_person_of_a_small_kind_changes_nothing_but_numbers() {
    let mut dice = Dice(11);
    let (mut cells, mut back, mut moved) = (0, 0, 0);
    for round in 0..6000 {
        let world = World::any(&mut dice);
        let without = world.table(None);
        for _ in 0..3 {
            let at = dice.below(world.groups.len());
            let units = &world.groups[at].1;
            let measures: Vec<Measure> = world.plan.shape().columns.iter().map(|column| column.measure.clone()).collect();
            let near = dice.below(2) == 0 && !units.is_empty();
            let mut one = if near { units[dice.below(units.len())].clone() } else { vec![0; measures.len()] };
            for (i, measure) in measures.iter().enumerate().filter(|_| !near || dice.below(2) == 0).collect::<Vec<_>>() {
                one[i] = (value(&mut dice, measure) / world.plan.parts()[i].step).round() as i64;
            }
            let alike = units.iter().filter(|unit| kind(&world.plan, unit) == kind(&world.plan, &one)).count();
            if alike + 1 >= world.k {
                continue;
            }
            let with = world.table(Some((at, &one)));
            let shape =
                |doc: &ResultDoc| (doc.rows.iter().map(|row| row.key.clone()).collect::<Vec<_>>(), doc.suppressed.clone());
            assert_eq!(
                shape(&with),
                shape(&without),
                "round {round}: {one:?} of {alike} others beside {units:?}, k = {}",
                world.k
            );
            assert_eq!((&with.columns, with.left_out), (&without.columns, without.left_out));
            back += usize::from(with.rows.len() < world.groups.len());
            for (a, b) in with.rows.iter().zip(&without.rows) {
                for (i, (a_cell, b_cell)) in a.cells.iter().zip(&b.cells).enumerate() {
                    let difference = (a_cell.value - b_cell.value).abs();
                    let part = &world.plan.parts()[i];
                    let one = part.clip_hi.max(-part.clip_lo) as f64 * part.step;
                    // A small kind's units may add less together where one of them adds much; each by itself is a unit's.
                    let most = if matches!(measures[i], Measure::Units) { 1.0 } else { one * (alike + 1) as f64 + 1.0 };
                    assert!(difference <= most, "round {round}: {difference} in {}", world.plan.shape().columns[i].name);
                    assert!(difference == 0.0 || a.key == world.groups[at].0, "another group's number moved");
                    moved += usize::from(difference != 0.0);
                    cells += 1;
                }
            }
        }
    }
    assert!(cells > 10_000 && back > 3000 && moved > 1000, "{cells} {back} {moved}");
}

/// Of as many kinds as there may be, one more that a single person has.
#[test]
fn one_kind_more_than_any_number_changes_nothing() {
    for bits in [3, 8, 9] {
        let plan = plan(Keys::None, vec![Measure::Units; bits + 1]);
        let unit = |kind: usize, rare: i64| (0..bits).map(|bit| (kind >> bit & 1) as i64).chain([rare]).collect::<Tally>();
        let mut units: Vec<Tally> = (0..1 << bits).flat_map(|kind| std::iter::repeat_n(unit(kind, 0), 10)).collect();
        let table = |units: &[Tally]| shown(&plan, &rules(10), &[], vec![group(&plan, vec![], units)]);
        let values = |doc: ResultDoc| doc.rows[0].cells.iter().map(|cell| cell.value).collect::<Vec<_>>();
        let half = (10 << bits >> 1) as f64;
        assert_eq!(values(table(&units)), [vec![half; bits], vec![0.0]].concat());
        units.push(unit(0, 1));
        assert_eq!(values(table(&units)), [vec![half; bits], vec![0.0]].concat(), "who is of no other kind");
    }
}

/// Nine people are known, and whether there is a tenth, of another kind, is not told by what is shown.
#[test]
fn small_kinds_do_not_add_up() {
    let counts = plan(Keys::None, vec![Measure::Units; 3]);
    let table = |others: usize, known: usize, one: usize| {
        let kinds = [(others, [1, 0, 0]), (known, [1, 1, 1]), (one, [1, 1, 0])];
        let units: Vec<Tally> = kinds.iter().flat_map(|(n, kind)| std::iter::repeat_n(kind.to_vec(), *n)).collect();
        let doc = shown(&counts, &rules(10), &[], vec![group(&counts, vec![], &units)]);
        doc.rows.first().map(|row| row.cells.iter().map(|cell| cell.value).collect::<Vec<_>>())
    };
    for known in 0..10 {
        for one in 0..10 {
            assert_eq!(table(2990, known, one), Some(vec![(2990 + known + one) as f64, 0.0, 0.0]), "{known} and {one}");
            // Where there is nobody else it is no group, however many they are together.
            assert_eq!(table(0, known, one), None);
        }
    }
}

/// Groups of small kinds alone hide nothing, nor one another, and are hidden as empty groups are: with nine and nine people, or none.
#[test]
fn groups_of_small_kinds_alone_are_as_empty_ones() {
    let keys: Vec<Vec<Key>> = (0..5).map(|i| vec![Key::Int(i)]).collect();
    for (of, declared) in [(Keys::Declared(5), &keys[..]), (Keys::Undeclared { min_units: 3, remainder: false }, &[])] {
        let counts = plan(of, vec![Measure::Units; 2]);
        let table = |last: [usize; 2]| {
            let one = |(i, key): (usize, &Vec<Key>)| {
                let [a, b] = if i >= 3 { last } else { [40, 40] };
                group(&counts, key.clone(), &[vec![vec![1, 0]; a], vec![vec![1, 1]; b]].concat())
            };
            shown(&counts, &rules(10), declared, keys.iter().enumerate().map(one).filter(|group| group.units > 0).collect())
        };
        let empty = table([0, 0]);
        assert_eq!(empty.rows.len(), 2, "one is kept back beside it");
        for (a, b) in [(9, 0), (9, 1), (5, 5), (9, 9)] {
            assert_eq!(table([a, b]), empty, "{a} and {b}");
        }
    }
}

/// Who has most of a sum, and is of a small kind, neither has it kept back nor has it be about her.
#[test]
fn a_giant_of_a_small_kind_neither_shows_nor_hides() {
    let plan = plan(Keys::None, vec![Measure::Units, Measure::Sum(Sum { lo: 0.0, hi: 1e5 })]);
    let table = |giant: &[f64]| {
        let mut units: Vec<Tally> = (0..20).map(|i| steps(&plan, &[0.0, 10.0 + f64::from(i)])).collect();
        units.extend(giant.iter().map(|value| steps(&plan, &[1.0, *value])));
        shown(&plan, &rules(10), &[], vec![group(&plan, vec![], &units)]).rows[0]
            .cells
            .iter()
            .map(|c| c.value)
            .collect::<Vec<_>>()
    };
    assert_eq!(table(&[]), [0.0, 390.0]);
    assert_eq!(table(&[25.0]), [0.0, 415.0]);
    assert_eq!(table(&[77_777.25]), [0.0, 418.0], "as the second largest of the others, 28");
    assert_eq!(table(&[1e5 - 1.0]), [0.0, 418.0]);
    assert_eq!(table(&[56.0, 14.0]), [0.0, 425.0], "half of 70");
}

/// Columns that tell too many kinds apart are refused before anything runs, by public numbers.
#[test]
fn too_many_kinds_are_refused_by_the_column_that_makes_them() {
    let checked = |columns: Vec<Measure>| match plan(Keys::None, columns).check_reviewable() {
        Ok(()) => None,
        Err(GateError::Shape { column, problem }) => Some((column, problem)),
        Err(e) => panic!("{e}"),
    };
    assert_eq!(checked(vec![Measure::Units; 12]), None);
    let (column, problem) = checked(vec![Measure::Units; 14]).unwrap();
    assert_eq!(column, "c12");
    assert!(problem.contains("8192") && problem.contains("fewer columns"), "{problem}");
    let sum = Measure::Sum(Sum { lo: 0.0, hi: 1000.0 });
    assert_eq!(checked(vec![Measure::Units, Measure::Count, sum.clone(), sum.clone(), sum.clone()]), None);
    assert_eq!(checked(vec![sum; 9]).unwrap().0, "c5");
}
