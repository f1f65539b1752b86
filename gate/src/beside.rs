//! Differencing between two exact tables of the same people: numbers differing by few people are released as the same number.
//!
//! The conditions of two tables may be nested, and then the difference of two numbers is about the people between them. So a
//! later number that may differ from an earlier number of the same group by fewer than k units is released as the earlier one
//! was: whether nobody is between the two or k − 1 units are, nothing new is said. (Suppressing the number instead would reveal
//! that somebody is between them.)
//!
//! # When fewer than k units may make the difference
//! When their numbers of contributors differ by less than k, and their sums by no more than k − 1 units can add or take away: (k
//! − 1) times the sum of both largest contributions. The identity of contributors is not kept, so two numbers about different
//! people that come this close are also taken for the same. A count is then off by less than k, and a sum by what fewer than k
//! units could contribute: as within one table ([`crate::kinds`]).
//!
//! # What else it takes
//! - A number of k to 2k − 2 units may be all but a few of another number and at the same time only a few more than none. If an
//!   earlier table has such a number beside this one (or none, and this table has such a number), the group is suppressed as
//!   small ones are.
//! - A group that an earlier table suppressed, though it is large, hides others there. If a number of it may be the same, it is
//!   suppressed here too; a group whose number has been shown hides nobody ([`Fate::Known`](crate::margins::Fate)).
//!
//! # What is remembered
//! For each large group, by column: the number of contributors, the sum, the largest contribution, and whether it was shown. No
//! small group, nobody's identity, and no number that repeats an earlier one.
//!
//! # What is not promised
//! Tables grouped by different keys are not compared, nor are sums of several groups: the owner reads those together. Three
//! tables may reveal, by two differences of k units or more, a number that is about fewer. Numbers are compared with the units of
//! small kinds that count in them: of the people between two tables, whatever their kinds, one more than k − 1 is seen, both by
//! what is released and by what is suppressed.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tidegate_protocol::job::Key;

use crate::{Code, KindOfUnits, Largest, Measure, Plan};

/// Record of an exact table already released.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Left {
    /// Names of the table's key columns.
    pub keys: Vec<String>,
    /// The table's large groups.
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

/// Quantity measured by a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Like {
    Units,
    Rows,
    Sum,
}

/// A number of a group, before rounding.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Number {
    like: Like,
    /// Number of contributing units.
    units: i64,
    /// Sum in the column's unit, which is also the unit of `largest`.
    sum: f64,
    largest: f64,
}

impl Number {
    /// Computes the numbers of a group from its kinds of units.
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

    /// Returns whether the two numbers may differ by the contributions of fewer than `k` units.
    fn is_near(&self, other: &Self, k: i64) -> bool {
        let few = (k - 1) as f64 * (self.largest + other.largest);
        (self.units - other.units).abs() < k && (self.sum - other.sum).abs() <= few
    }

    /// Returns whether the number may be a few units more than none and, at the same time, a few less than all of another.
    fn is_narrow(&self, k: i64) -> bool {
        (k..2 * k - 1).contains(&self.units)
    }
}

/// Relation of a group to earlier tables.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    /// No earlier table matters.
    New,
    /// Some of its numbers, by column, have been released already.
    Known(Vec<Option<f64>>),
    /// The group hides others in an earlier table.
    Hides,
    /// A number of the group may be a few units more than none, or a few less than an earlier number.
    Narrow,
}

/// Groups of earlier released tables, by key; for each key the oldest table comes first.
pub(crate) struct Earlier<'a>(HashMap<String, Vec<&'a LeftGroup>>);

impl<'a> Earlier<'a> {
    pub(crate) fn new(before: &'a [Left]) -> Self {
        let mut all: HashMap<String, Vec<&LeftGroup>> = HashMap::new();
        before.iter().flat_map(|left| &left.groups).for_each(|group| all.entry(text(&group.key)).or_default().push(group));
        Self(all)
    }
}

/// Formats a key with numbers shortened: values rounded differently in their last place by a file give the same text.
fn text(key: &[Key]) -> String {
    let one = |key: &Key| if let Key::Float(value) = key { format!("{value:.12e};") } else { format!("{key:?};") };
    key.iter().map(one).collect()
}

/// Determines how the group `key` with these numbers relates to the earlier tables.
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
    // The same measure first: row counts are close to unit counts where few units have several rows.
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
    /// Starts an empty record of a table with these keys.
    pub(crate) fn new(keys: Vec<String>) -> Self {
        Self { keys, groups: vec![] }
    }

    /// Adds a group's numbers, except known ones.
    pub(crate) fn add(&mut self, key: &[Key], shown: bool, numbers: Vec<Number>, seen: &Seen) {
        let known = |i: usize| matches!(seen, Seen::Known(known) if known[i].is_some());
        let columns: Vec<Number> =
            numbers.into_iter().enumerate().filter(|(i, _)| !known(*i)).map(|(_, number)| number).collect();
        if !columns.is_empty() {
            self.groups.push(LeftGroup { key: key.to_vec(), shown, columns });
        }
    }
}
