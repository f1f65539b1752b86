//! Two exact tables of the same people are attacked: by who takes one from the other.
#![allow(clippy::unwrap_used, clippy::panic)]

use tidegate_gate::{Column, GroupSums, Keys, Left, Measure, Plan, Released, Shape, Sum, Sums, margins_fit, review_beside};
use tidegate_protocol::{
    ContentHash,
    job::Key,
    policy::{Dominance, ReviewRules},
};

const K: u32 = 3;

fn rules() -> ReviewRules {
    let dominance = Dominance { units: 2, percent: 80 };
    ReviewRules { jobs: 1, min_units: K, dominance, p_percent: 10, round_to: 1, standing: vec![] }
}

/// People, their rows, and what they spend.
fn plan(groups: usize) -> Plan {
    let columns = vec![
        Column::new("n", Measure::Units),
        Column::new("rows", Measure::Count),
        Column::new("s", Measure::Sum(Sum { lo: 0.0, hi: 1000.0 })),
    ];
    let (key_names, keys) =
        if groups == 0 { (vec![], Keys::None) } else { (vec!["city".to_owned()], Keys::Declared(groups as u32)) };
    Plan::new(Shape { key_names, keys, columns, max_groups: u32::MAX, max_rows: u32::MAX, blocks: None }).unwrap()
}

/// So many people of one row each, who spend so much each.
fn group(plan: &Plan, key: Vec<Key>, people: &[(usize, f64)]) -> GroupSums {
    let (mut group, codes) = (plan.group(key), plan.codes());
    for value in people.iter().flat_map(|(n, value)| std::iter::repeat_n(*value, *n)) {
        let values = [1.0, 1.0, value];
        let tally: Vec<i64> = values.iter().zip(plan.parts()).map(|(v, part)| (v / part.step).round() as i64).collect();
        group.units += 1;
        group.lanes.iter_mut().zip(&tally).for_each(|(lane, v)| *lane += i128::from(*v));
        group.kinds.add(&codes, &tally);
    }
    group
}

/// The table of one group of all.
fn alone(people: &[(usize, f64)], before: &[Left]) -> Released {
    let plan = plan(0);
    let groups = vec![group(&plan, vec![], people)];
    review_beside(&plan, &rules(), &[], &Sums { groups }, ContentHash([0; 32]), before).unwrap()
}

/// The table of groups of so many people, who spend 10 each.
fn table(sizes: &[usize], before: &[Left]) -> Released {
    let plan = plan(sizes.len());
    let declared: Vec<Vec<Key>> = (0..sizes.len()).map(|i| vec![Key::Int(i as i64)]).collect();
    let groups = sizes.iter().zip(&declared).map(|(n, key)| group(&plan, key.clone(), &[(*n, 10.0)])).collect();
    review_beside(&plan, &rules(), &declared, &Sums { groups }, ContentHash([0; 32]), before).unwrap()
}

fn values(released: &Released) -> Vec<Vec<f64>> {
    released.document().rows.iter().map(|row| row.cells.iter().map(|cell| cell.value).collect()).collect()
}

fn left(released: &Released) -> Vec<Left> {
    vec![released.left().unwrap().clone()]
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n as u64) as usize
    }
}

#[test]
fn a_table_without_few_of_anothers_people_is_the_same_table() {
    let all = alone(&[(40, 10.0)], &[]);
    assert_eq!(values(&all), [[40.0, 40.0, 400.0]]);
    for few in 0..K as usize {
        assert_eq!(alone(&[(40 - few, 10.0)], &left(&all)).document(), all.document(), "{few}");
        assert_eq!(alone(&[(40 + few, 10.0)], &left(&all)).document(), all.document(), "{few}");
    }
    assert_eq!(values(&alone(&[(37, 10.0)], &left(&all))), [[37.0, 37.0, 370.0]]);
    // As many others, who spend more: it is no difference of few, and their number is the same anyhow.
    assert_eq!(values(&alone(&[(41, 900.0)], &left(&all))), [[40.0, 40.0, 36_900.0]]);
    // A third is measured by what has been said, not by what is true of the second.
    let second = alone(&[(38, 10.0)], &left(&all));
    let both = [left(&all), left(&second)].concat();
    assert_eq!(values(&alone(&[(37, 10.0)], &both)), [[37.0, 37.0, 370.0]]);
}

/// Whether nobody or few are between the conditions of two tables, in whichever groups, both tables come out byte for byte the same.
#[test]
fn nobody_between_two_tables_looks_as_few_do() {
    let (mut dice, few) = (Dice(2), K as usize);
    let (mut said, mut equal) = (0, 0);
    for _ in 0..3000 {
        let groups = 1 + dice.below(6);
        let sizes: Vec<usize> = (0..groups).map(|_| dice.below(20)).collect();
        let between: Vec<usize> = sizes.iter().map(|n| dice.below(3 * few).min(*n)).collect();
        let first = table(&sizes, &[]);
        let second = |between: &[usize]| {
            let rest: Vec<usize> = sizes.iter().zip(between).map(|(n, out)| n - out).collect();
            table(&rest, &left(&first))
        };
        let bytes = |between: &[usize]| serde_json::to_string(second(between).document()).unwrap();
        let one = bytes(&between);
        for other in 0..few {
            let other: Vec<usize> =
                sizes.iter().zip(&between).map(|(n, out)| if *out < few { other.min(*n) } else { *out }).collect();
            assert_eq!(bytes(&other), one, "{sizes:?} less {between:?} or {other:?}");
        }
        let (first, second) = (first.document(), second(&between));
        for row in &second.document().rows {
            let Key::Int(i) = row.key[0] else { panic!("{row:?}") };
            let Some(earlier) = first.rows.iter().find(|earlier| earlier.key == row.key) else {
                assert!(between[i as usize] >= few, "it was kept back, and few are between: {sizes:?} less {between:?}");
                continue;
            };
            said += 1;
            let difference = earlier.cells[0].value - row.cells[0].value;
            equal += usize::from(difference == 0.0);
            assert!(difference == 0.0 || difference >= f64::from(K), "{difference} are between");
            assert_eq!(difference == 0.0, between[i as usize] < few);
        }
    }
    assert!(said > 3000 && equal > 500, "{said} {equal}");
}

/// What an earlier table kept back for others' sake does not come in the next; and what has been shown hides nobody in it.
#[test]
fn what_hides_others_in_one_table_is_not_shown_in_the_next() {
    // The first is small, and the last is kept back with it.
    let first = table(&[1, 30, 30, 30], &[]);
    assert_eq!(first.document().rows.len(), 2);
    // Under a condition that more meet, none is small.
    let second = table(&[9, 30, 30, 29], &left(&first));
    let shown: Vec<&Key> = second.document().rows.iter().map(|row| &row.key[0]).collect();
    assert_eq!(shown, [&Key::Int(1), &Key::Int(2)], "the last is kept back again, and the first, which is new, for its sake");
    // One more is small, and all that could hide it has been shown: nothing that was shown is kept back in vain.
    let third = table(&[9, 2, 30, 30], &left(&table(&[9, 30, 30, 30], &[])));
    assert_eq!(third.document().rows.len(), 3);
}

#[test]
fn tables_whose_margins_are_too_many_are_known_by_their_keys() {
    let cube = |values: i64, keys: u32| -> Vec<Vec<Key>> {
        let digits = |n: i64| (0..keys).map(move |d| Key::Int(n / values.pow(d) % values)).collect();
        (0..values.pow(keys)).map(digits).collect()
    };
    assert!(margins_fit(&cube(4096, 1)) && margins_fit(&cube(64, 2)) && margins_fit(&cube(16, 3)) && margins_fit(&cube(2, 8)));
    assert!(!margins_fit(&cube(8, 4)) && !margins_fit(&cube(3, 7)));
}
