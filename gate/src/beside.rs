//! What two exact tables of the same people differ by: numbers that few people make different come out the same.
//!
//! The conditions of two tables may be nested, and then a number less the other is about those who are between them. So a later number that may differ from an
//! earlier one of the same group by fewer than k units leaves as the earlier one did: whether nobody is between the two or k − 1 are, nothing new is said. (Were it
//! kept back, that it is would tell that somebody is.)
//!
//! # When fewer than k units may make the difference
//! When their numbers of contributors do not differ by k, and their sums by no more than k − 1 units can add or take away: (k − 1) times the largest contribution
//! to the one and to the other. Who the contributors are is not kept, so two numbers that are about others and come this close are taken for the same too. A count
//! is then off by less than k, and a sum by what fewer than k units could make it: as within one table ([`crate::kinds`]).
//!
//! # What else it takes
//! - A number of k to 2k − 2 units may be all but few of another and itself but few more than none. Where an earlier table has such a one beside it (or none, and
//!   this has such a one) its group is kept back as small ones are.
//! - A group that an earlier table kept back, though it is large, hides others there. Where a number of it may be the same, it is kept back here too; and one whose
//!   number has been shown hides nobody ([`Fate::Known`](crate::margins::Fate)).
//!
//! # What is remembered
//! Of each large group, by column: the number of contributors, the sum, the largest contribution, and whether it was shown. No small group, nobody's identity, and
//! no number that was an earlier one again.
//!
//! # What is not promised
//! Tables that are grouped by other keys are not measured against each other, nor are sums of several groups: the owner reads those together. Three tables may tell
//! by two differences of k units or more what fewer make. Numbers are compared with the units of small kinds that count in them: of
//! who is between two tables, whatever their kinds, one more than k − 1 is seen, by what leaves and by what is kept back.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tidegate_protocol::job::Key;

use crate::{Code, KindOfUnits, Largest, Measure, Plan};

/// What is remembered of an exact table that has left.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Left {
    /// Names of its key columns.
    pub keys: Vec<String>,
    /// Its large groups.
    groups: Vec<LeftGroup>,
}

impl std::fmt::Debug for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Left(withheld)")
    }
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct LeftGroup {
    key: Vec<Key>,
    shown: bool,
    columns: Vec<Number>,
}

/// What a column measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Like {
    Units,
    Rows,
    Sum,
}

/// A number of a group, before it is rounded.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Number {
    like: Like,
    /// How many units add to it.
    units: i64,
    /// In the column's unit, as is `largest`.
    sum: f64,
    largest: f64,
}

impl Number {
    /// Those of a group whose units these are.
    pub(crate) fn all(plan: &Plan, kinds: &[KindOfUnits]) -> Vec<Self> {
        let mut all = Vec::new();
        for (i, column) in plan.shape.columns.iter().enumerate() {
            let like = match column.measure {
                Measure::Units => Like::Units,
                Measure::Count => Like::Rows,
                _ => Like::Sum,
            };
            for part in &plan.parts[plan.parts_of(i)] {
                let lane = part.first;
                let units = kinds.iter().filter(|kind| kind.codes[lane] != Code::Nought).map(|kind| kind.units).sum();
                let sum: i128 = kinds.iter().map(|kind| kind.lanes[lane]).sum();
                let mut largest = Largest::default();
                kinds.iter().for_each(|kind| largest.merge(&kind.largest[lane]));
                all.push(Self { like, units, sum: sum as f64 * part.step, largest: largest.top[0] as f64 * part.step });
            }
        }
        all
    }

    /// Whether fewer than `k` units may make the difference.
    fn is_near(&self, other: &Self, k: i64) -> bool {
        let few = (k - 1) as f64 * (self.largest + other.largest);
        (self.units - other.units).abs() < k && (self.sum - other.sum).abs() <= few
    }

    /// Whether it may be few more than none and, at the same time, few less than all of another.
    fn is_narrow(&self, k: i64) -> bool {
        (k..2 * k - 1).contains(&self.units)
    }
}

/// What earlier tables make of a group.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    /// Nothing.
    New,
    /// These of its numbers, by column, have left already.
    Known(Vec<Option<f64>>),
    /// It hides others in an earlier table.
    Hides,
    /// It may be few more than none, or few less than an earlier one.
    Narrow,
}

/// The groups of the tables that left before, by key, those of the oldest table first.
pub(crate) struct Earlier<'a>(HashMap<String, Vec<&'a LeftGroup>>);

impl<'a> Earlier<'a> {
    pub(crate) fn new(before: &'a [Left]) -> Self {
        let mut all: HashMap<String, Vec<&LeftGroup>> = HashMap::new();
        before.iter().flat_map(|left| &left.groups).for_each(|group| all.entry(text(&group.key)).or_default().push(group));
        Self(all)
    }
}

/// A key's text, the same for numbers that a file may have rounded in their last place.
fn text(key: &[Key]) -> String {
    let one = |key: &Key| if let Key::Float(value) = key { format!("{value:.12e};") } else { format!("{key:?};") };
    key.iter().map(one).collect()
}

/// What the tables that left before make of the group `key` with these numbers.
pub(crate) fn seen(before: &Earlier<'_>, key: &[Key], mine: &[Number], k: i64) -> Seen {
    let none = vec![];
    let earlier = before.0.get(&text(key)).unwrap_or(&none);
    let shown = || earlier.iter().filter(|group| group.shown).flat_map(|group| &group.columns);
    let narrow = |b: &Number| {
        let same = |a: &&Number| a.like == b.like;
        shown().filter(same).any(|a| a.is_narrow(k) && (b.units == 0 || a.is_near(b, k)) || b.is_narrow(k) && a.units == 0)
    };
    if mine.iter().any(narrow) {
        return Seen::Narrow;
    }
    // Of the same measure first: rows are near to units where few have several.
    let known = |b: &Number| {
        let near = |same: bool| shown().find(|a| (a.like == b.like) == same && a.is_near(b, k));
        near(true).or_else(|| near(false)).map(|a| a.sum)
    };
    let known: Vec<Option<f64>> = mine.iter().map(known).collect();
    let kept = || earlier.iter().filter(|group| !group.shown).flat_map(|group| &group.columns);
    let hides = |(b, known): (&Number, &Option<f64>)| {
        known.is_none() && b.units > 0 && kept().any(|a| a.like == b.like && a.is_near(b, k))
    };
    if mine.iter().zip(&known).any(hides) {
        return Seen::Hides;
    }
    if known.iter().any(Option::is_some) { Seen::Known(known) } else { Seen::New }
}

impl Left {
    /// Nothing yet, of a table with these keys.
    pub(crate) fn new(keys: Vec<String>) -> Self {
        Self { keys, groups: vec![] }
    }

    /// Remembers a group's numbers, without those that are known.
    pub(crate) fn add(&mut self, key: &[Key], shown: bool, numbers: Vec<Number>, seen: &Seen) {
        let known = |i: usize| matches!(seen, Seen::Known(known) if known[i].is_some());
        let columns: Vec<Number> =
            numbers.into_iter().enumerate().filter(|(i, _)| !known(*i)).map(|(_, number)| number).collect();
        if !columns.is_empty() {
            self.groups.push(LeftGroup { key: key.to_vec(), shown, columns });
        }
    }
}
