//! Margins are attacked: by who knows all of them, over one key and over several, knows or guesses every small group but one, and solves for that one in exact
//! fractions.
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

fn plan(groups: usize, keys: usize) -> Plan {
    let columns = vec![Column::new("n", Measure::Units), Column::new("s", Measure::Sum(Sum { lo: 0.0, hi: 1000.0 }))];
    let key_names = (0..keys).map(|n| format!("k{n}")).collect();
    let keys = Keys::Declared(groups as u32);
    Plan::new(Shape { key_names, keys, columns, max_groups: u32::MAX, max_rows: u32::MAX, blocks: None }).unwrap()
}

/// What a group is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Made {
    /// Of so few.
    Small(usize),
    /// One of ten has nearly all.
    Dominated,
    /// Of so many.
    Large(usize),
}

impl Made {
    fn is_secret(self) -> bool {
        !matches!(self, Self::Large(_))
    }
}

fn group(plan: &Plan, key: &[Key], made: Made) -> GroupSums {
    let (mut group, codes) = (plan.group(key.to_vec()), plan.codes());
    let (ordinary, giants) = match made {
        Made::Small(units) | Made::Large(units) => (units, 0),
        Made::Dominated => (9, 1),
    };
    for value in std::iter::repeat_n(10.0, ordinary).chain(std::iter::repeat_n(900.0, giants)) {
        let tally: Vec<i64> = [1.0, value].iter().zip(plan.parts()).map(|(v, part)| (v / part.step).round() as i64).collect();
        group.units += 1;
        group.lanes.iter_mut().zip(&tally).for_each(|(lane, v)| *lane += i128::from(*v));
        group.kinds.add(&codes, &tally);
    }
    group
}

fn table(cells: &[(Vec<usize>, Made)]) -> ResultDoc {
    let keys: Vec<Vec<Key>> = cells.iter().map(|(at, _)| at.iter().map(|v| Key::Int(*v as i64)).collect()).collect();
    let plan = plan(cells.len(), cells[0].0.len());
    let groups = keys.iter().zip(cells).map(|(key, (_, made))| group(&plan, key, *made)).collect();
    review(&plan, &rules(), &keys, &Sums { groups }, ContentHash([0; 32])).unwrap().document().clone()
}

/// Cells that are kept back.
fn back(cells: &[(Vec<usize>, Made)], result: &ResultDoc) -> BTreeSet<usize> {
    let shown: BTreeSet<String> = result.rows.iter().map(|row| format!("{:?}", row.key)).collect();
    let key = |at: &[usize]| format!("{:?}", at.iter().map(|v| Key::Int(*v as i64)).collect::<Vec<_>>());
    (0..cells.len()).filter(|i| !shown.contains(&key(&cells[*i].0))).collect()
}

/// Every margin: over every set of keys, the cells that it adds up. One of a single cell is that cell, and who has it needs no table.
fn margins(cells: &[(Vec<usize>, Made)]) -> Vec<Vec<usize>> {
    let keys = cells[0].0.len();
    let mut all = Vec::new();
    for over in 1..1 << keys {
        let mut lines: BTreeMap<Vec<Option<usize>>, Vec<usize>> = BTreeMap::new();
        for (i, (at, _)) in cells.iter().enumerate() {
            let rest = at.iter().enumerate().map(|(d, v)| (over >> d & 1 == 0).then_some(*v));
            lines.entry(rest.collect()).or_default().push(i);
        }
        all.extend(lines.into_values().filter(|line| line.len() > 1));
    }
    all
}

/// A fraction in lowest terms.
type Fraction = (i128, i128);

fn fraction(n: i128, d: i128) -> Fraction {
    let (mut a, mut b) = (n.abs(), d.abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    (n / a.max(1) * d.signum(), d.abs() / a.max(1))
}

/// Whether unknown `which` of `unknown` has one value only, by these equations.
fn determined(margins: &[Vec<usize>], unknown: &BTreeSet<usize>, which: usize) -> bool {
    // Its column last: it is determined where it leads a row.
    let columns: Vec<usize> = unknown.iter().copied().filter(|i| *i != which).chain([which]).collect();
    let row = |line: &Vec<usize>| columns.iter().map(|c| (i128::from(line.contains(c)), 1)).collect::<Vec<Fraction>>();
    let mut rows: Vec<Vec<Fraction>> = margins.iter().map(row).filter(|row| row.iter().any(|v| v.0 != 0)).collect();
    let mut from = 0;
    for column in 0..columns.len() {
        let Some(at) = (from..rows.len()).find(|r| rows[*r][column].0 != 0) else { continue };
        if column + 1 == columns.len() {
            return true;
        }
        rows.swap(from, at);
        let pivot = rows[from].clone();
        for row in &mut rows[from + 1..] {
            let by = fraction(row[column].0 * pivot[column].1, row[column].1 * pivot[column].0);
            if by.0 != 0 {
                for (v, p) in row.iter_mut().zip(&pivot) {
                    let less = fraction(by.0 * p.0, by.1 * p.1);
                    *v = fraction(v.0 * less.1 - less.0 * v.1, v.1 * less.1);
                }
            }
        }
        from += 1;
    }
    false
}

/// A protected cell that the margins give away together with what is shown, and would not if nothing were.
fn given_away(cells: &[(Vec<usize>, Made)], back: &BTreeSet<usize>) -> Option<usize> {
    let (margins, all) = (margins(cells), (0..cells.len()).collect::<BTreeSet<_>>());
    let small = |i: &usize| matches!(cells[*i].1, Made::Small(_));
    let known = |unknown: &BTreeSet<usize>, i: usize| {
        let others = unknown.iter().copied().filter(|j| *j == i || !small(j)).collect();
        determined(&margins, &others, i)
    };
    // Margins of small cells alone give them away themselves.
    back.iter().copied().find(|i| cells[*i].1.is_secret() && known(back, *i) && !known(&all, *i))
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n) as usize
    }
}

/// A table of so many keys, of 2 to `most` values each, of which some combinations may not have been named.
fn draw(dice: &mut Dice, keys: usize, most: u64) -> Vec<(Vec<usize>, Made)> {
    let sizes: Vec<usize> = (0..keys).map(|_| 2 + dice.below(most - 1)).collect();
    let (few, gaps) = (2 + dice.below(12) as u64, dice.below(2) == 0);
    let mut cells = Vec::new();
    for mut number in 0..sizes.iter().product::<usize>() {
        let mut at = Vec::new();
        for size in &sizes {
            at.push(number % size);
            number /= size;
        }
        let made = match dice.below(2 * few) {
            0 => Made::Small(dice.below(u64::from(K))),
            1 => Made::Dominated,
            n => Made::Large(3 + n),
        };
        if !(gaps && dice.below(6) == 0) {
            cells.push((at, made));
        }
    }
    if cells.is_empty() { draw(dice, keys, most) } else { cells }
}

#[test]
fn no_combination_of_margins_gives_a_group_away() {
    let mut dice = Dice(3);
    for (keys, most, rounds) in [(1, 6, 100), (2, 5, 400), (3, 3, 400), (4, 3, 60)] {
        let (mut shown, mut all) = (0, 0);
        for _ in 0..rounds {
            let cells = draw(&mut dice, keys, most);
            let result = table(&cells);
            let back = back(&cells, &result);
            assert!((0..cells.len()).all(|i| back.contains(&i) || !cells[i].1.is_secret()));
            shown += result.rows.len();
            all += cells.len();
            if let Some(i) = given_away(&cells, &back) {
                panic!("of {keys} keys, margins and what is shown give {:?} away: kept back {back:?} of {cells:?}", cells[i]);
            }
            // Whether a small group has nobody or somebody plays no part: the same groups are kept back, and the others show the same.
            for few in 0..K as usize {
                let alike =
                    cells.iter().map(|(at, made)| (at.clone(), if let Made::Small(_) = made { Made::Small(few) } else { *made }));
                assert_eq!(table(&alike.collect::<Vec<_>>()), result);
            }
            // Nor do the sizes of large ones, for which are kept back.
            let larger = cells
                .iter()
                .map(|(at, made)| (at.clone(), if let Made::Large(n) = made { Made::Large(3 + (n * 7919) % 40) } else { *made }));
            let larger: Vec<_> = larger.collect();
            assert_eq!(self::back(&larger, &table(&larger)), back);
        }
        assert!(shown * 6 > all, "{keys} keys: {shown} of {all} are shown");
    }
}

/// Of each margin as many units are kept back as must be in a group, or it has nobody else.
#[test]
fn no_margin_says_that_few_are_kept_back_of_it() {
    let mut dice = Dice(8);
    for round in 0..300 {
        let cells = draw(&mut dice, 1 + round % 4, 3);
        let back = back(&cells, &table(&cells));
        for line in margins(&cells) {
            let small = line.iter().any(|i| matches!(cells[*i].1, Made::Small(_)));
            let large = |i: &&usize| !matches!(cells[**i].1, Made::Small(_));
            if small && line.iter().any(|i| large(&i)) {
                assert!(line.iter().filter(large).any(|i| back.contains(i)), "{line:?} of {cells:?} has {back:?}");
            }
        }
    }
}
