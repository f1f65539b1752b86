//! For an exact result: the units of a group by kind, to keep every number and difference of numbers from being about a few of
//! them.
//!
//! Two numbers of one group, a count and the same count under a condition, reveal by their difference something about the units
//! in only one of them; several numbers reveal something about any units that all of them together can tell apart. So units are
//! grouped by whether their contributions are nought, one, a bound of the column or the same as in another column ([`Code`]):
//! units of one [`Kind`] look alike to every sum and difference of columns except for values of their own, which the dominance
//! rules cover.
//!
//! A kind of fewer than k units counts as the nearest kind that has k ([`Codes::join_small`]). The released table is a table of
//! people in which each kind has k or more members, or none.
//!
//! # What is decided, and from what
//! Whether a group is shown follows from its kinds of k units or more, as they are without the others, and from public numbers:
//! how many kinds there can be ([`Codes::possible`]) is bounded before anything runs. If small kinds were consulted, alone or
//! added up, someone who knows k − 1 of their units would see from what is suppressed whether there is one more. So nothing
//! bounds how many units small kinds have together, and a number is off by as many as its columns tell apart.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{GateError, Kind as PartKind, Measure, Plan, Sum, largest::Largest};

/// Maximum number of kinds of units told apart by a result's columns.
const MOST: u64 = 4096;

/// Class of a unit's contribution to a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Code {
    /// Nothing.
    Nought,
    /// 1, as to a count.
    One,
    /// The column's lower bound.
    Low,
    /// The column's upper bound.
    High,
    /// Exactly the unit's contribution to this earlier lane, which is a value of its own.
    As(u16),
    /// A value of its own.
    Own,
}

/// Units of a kind, added up.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// Class of their contribution to each lane.
    pub codes: Vec<Code>,
    /// Number of units.
    pub units: i64,
    /// Their sums.
    pub lanes: Vec<i128>,
    /// Largest of their contributions to each lane.
    pub largest: Vec<Largest>,
}

/// The units of a group, by kind.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Kinds {
    /// Kinds, sorted by their codes.
    list: Vec<Kind>,
}

/// A group's kinds with k units or more, if there are any.
pub(crate) struct Joined {
    /// Kinds without the units of smaller kinds: all decisions are made from these alone.
    pub(crate) large: Vec<Kind>,
    /// Kinds with the units of smaller kinds, which count as theirs: these are shown. Their `largest` are those of `large`, as no
    /// unit that joined adds more.
    pub(crate) all: Vec<Kind>,
}

/// Constants of each lane for telling kinds apart, in steps of its grid.
#[derive(Debug, Clone)]
pub struct Codes {
    lanes: Vec<LaneCodes>,
}

#[derive(Debug, Clone, Copy)]
struct LaneCodes {
    step: f64,
    clip: (i64, i64),
    one: Option<i64>,
    low: Option<i64>,
    high: Option<i64>,
}

impl LaneCodes {
    /// Returns the value of a code, if all units with this code add the same.
    fn value(&self, code: Code) -> Option<i64> {
        match code {
            Code::Nought => Some(0),
            Code::One => self.one,
            Code::Low => self.low,
            Code::High => self.high,
            Code::As(_) | Code::Own => None,
        }
    }

    /// Returns how many values have a code of their own, and how many have not.
    fn values(&self) -> (u64, u64) {
        let inside = |value: &i64| (self.clip.0..=self.clip.1).contains(value);
        let constants: BTreeSet<i64> = [Some(0), self.one, self.low, self.high].into_iter().flatten().filter(inside).collect();
        let all = u64::try_from(self.clip.1 - self.clip.0 + 1).unwrap_or(0);
        (constants.len() as u64, all.saturating_sub(constants.len() as u64))
    }
}

impl Plan {
    /// Returns the codes for telling kinds of units apart in a result of counts and sums.
    pub fn codes(&self) -> Codes {
        let mut lanes = Vec::new();
        for (i, column) in self.shape.columns.iter().enumerate() {
            for part in self.parts[self.parts_of(i)].iter().filter(|part| part.kind != PartKind::Bins) {
                let steps = |value: f64| (value / part.step).round_ties_even() as i64;
                let bounds = if let Measure::Sum(Sum { lo, hi }) = column.measure { Some((steps(lo), steps(hi))) } else { None };
                let one = (part.step <= 1.0).then(|| steps(1.0));
                let (low, high, clip) = (bounds.map(|b| b.0), bounds.map(|b| b.1), (part.clip_lo, part.clip_hi));
                lanes.extend(part.range().map(|_| LaneCodes { step: part.step, clip, one, low, high }));
            }
        }
        Codes { lanes }
    }

    /// Checks the number of kinds of units told apart by an exact result's columns against [`MOST`].
    pub(crate) fn check_kinds(&self) -> Result<(), GateError> {
        let codes = self.codes();
        for (i, column) in self.shape.columns.iter().enumerate() {
            let lanes = self.parts[self.parts_of(i)].last().map_or(0, |part| part.range().end);
            let kinds = codes.possible(lanes);
            if kinds > MOST {
                let problem = format!(
                    "with this column an exact result distinguishes {kinds} kinds of privacy units, by which of its columns are zero, one, at a bound \
                     or equal; the maximum is {MOST}: \
                     select fewer columns, GROUP BY a condition instead of counting under it, or count privacy units (COUNT(DISTINCT …)) instead of rows"
                );
                return Err(GateError::Shape { column: column.name.clone(), problem });
            }
        }
        Ok(())
    }
}

impl Codes {
    /// Clips a unit's contributions and returns the codes of its kind with them.
    fn of(&self, tally: &[i64]) -> (Vec<Code>, Vec<i64>) {
        let added: Vec<i64> = tally.iter().zip(&self.lanes).map(|(v, lane)| (*v).clamp(lane.clip.0, lane.clip.1)).collect();
        let mut codes = Vec::with_capacity(added.len());
        for (i, (value, lane)) in added.iter().zip(&self.lanes).enumerate() {
            let constant = [Code::Nought, Code::One, Code::Low, Code::High].into_iter();
            let constant = constant.into_iter().find(|code| lane.value(*code) == Some(*value));
            let same = |j: &usize| codes[*j] == Code::Own && added[*j] == *value && self.lanes[*j].step == lane.step;
            let code = constant.unwrap_or_else(|| (0..i).find(same).map_or(Code::Own, |j| Code::As(j as u16)));
            codes.push(code);
        }
        (codes, added)
    }

    /// Returns an upper bound on the number of kinds of units told apart by the first `lanes` lanes, from public numbers alone.
    pub(crate) fn possible(&self, lanes: usize) -> u64 {
        let lanes = &self.lanes[..lanes];
        let steps: BTreeSet<u64> = lanes.iter().map(|lane| lane.step.to_bits()).collect();
        let of_step = |step: u64| {
            let lanes: Vec<&LaneCodes> = lanes.iter().filter(|lane| lane.step.to_bits() == step).collect();
            let (lo, hi) = lanes.iter().fold((0, 0), |(lo, hi), lane| (lane.clip.0.min(lo), lane.clip.1.max(hi)));
            let one = u64::from(lanes.iter().all(|lane| lane.one.is_some_and(|one| one <= hi)));
            // Neither nought nor one is ever a lane's own value.
            let most = u64::try_from(hi - lo).unwrap_or(0).saturating_sub(one);
            // Ways by number of distinct own values so far: the next lane may have these too.
            let mut ways = vec![1u64];
            for lane in lanes {
                let (constants, own) = lane.values();
                let mut next = vec![0u64; ways.len() + 1];
                for (values, ways) in ways.into_iter().enumerate() {
                    let alike = if own > 0 { values as u64 } else { 0 };
                    next[values] = next[values].saturating_add(ways.saturating_mul(constants + alike));
                    if own > 0 && (values as u64) < most {
                        next[values + 1] = next[values + 1].saturating_add(ways);
                    }
                }
                ways = next;
            }
            ways.into_iter().fold(0, u64::saturating_add)
        };
        steps.into_iter().map(of_step).fold(1, u64::saturating_mul)
    }

    /// Returns the first of the kinds `to` under which units of the kind `from` would change their contribution to the fewest
    /// lanes.
    fn nearest(&self, from: &[Code], to: &[Kind]) -> Option<usize> {
        let alike = |i: usize, j: usize| match (self.lanes[i].value(from[i]), self.lanes[j].value(from[j])) {
            (Some(x), Some(y)) => x == y,
            (None, None) => root(from, i) == root(from, j),
            _ => false,
        };
        let stays = |i: usize, code: Code| match code {
            Code::Own => true,
            Code::As(j) => alike(i, usize::from(j)),
            constant => constant == from[i] || self.lanes[i].value(from[i]) == self.lanes[i].value(constant),
        };
        let mut best: Option<(usize, usize)> = None;
        for (at, kind) in to.iter().enumerate() {
            // Ties do not go to the larger kind: how many units a kind has beyond k plays no part.
            let least = best.map_or(usize::MAX, |(least, _)| least);
            let changes = kind.codes.iter().enumerate().filter(|(i, code)| !stays(*i, **code)).take(least).count();
            if changes < least {
                best = Some((changes, at));
            }
        }
        best.map(|(_, at)| at)
    }

    /// Computes the lanes of `small` once its units count as units of `large`.
    ///
    /// A lane that has one value in `large` gets that value; values of their own are kept within the `most`-th largest of
    /// `large`.
    fn recoded(&self, small: &Kind, large: &Kind, most: usize) -> Vec<i128> {
        let mut lanes = small.lanes.clone();
        for (i, code) in large.codes.iter().enumerate() {
            lanes[i] = match (*code, self.lanes[i].value(*code)) {
                (Code::As(j), _) => lanes[usize::from(j)],
                (_, Some(value)) => i128::from(value) * i128::from(small.units),
                _ => {
                    let (mine, limit) = (small.largest[i].top[0], large.largest[i].top[most - 1]);
                    if mine > limit { lanes[i] * i128::from(limit) / i128::from(mine) } else { lanes[i] }
                }
            };
        }
        lanes
    }

    /// Counts every kind of fewer than `k` units as the nearest of the other kinds. Returns `None` if there is no other.
    ///
    /// The nearest kind follows from the small kind's codes and from which kinds have `k` units or more: if a small kind's units
    /// were of that kind instead, the result would be the same. None of its units adds more to a lane than the `most`-th largest
    /// contribution of that kind: a sum that `most` units do not dominate without the small kind's units, they do not dominate
    /// with them.
    pub(crate) fn join_small(&self, kinds: &Kinds, k: i64, most: usize) -> Option<Joined> {
        let (large, small): (Vec<Kind>, Vec<Kind>) = kinds.list.iter().cloned().partition(|kind| kind.units >= k);
        let mut all = large.clone();
        for small in &small {
            let nearest = self.nearest(&small.codes, &large)?;
            let lanes = self.recoded(small, &large[nearest], most);
            all[nearest].units += small.units;
            all[nearest].lanes.iter_mut().zip(lanes).for_each(|(all, more)| *all += more);
        }
        (!large.is_empty()).then_some(Joined { large, all })
    }

    /// Returns whether all units of a kind add the same nonzero value to both lanes.
    pub(crate) fn tied(&self, kind: &Kind, a: usize, b: usize) -> bool {
        match (self.lanes[a].value(kind.codes[a]), self.lanes[b].value(kind.codes[b])) {
            (Some(x), Some(y)) => x != 0 && x as f64 * self.lanes[a].step == y as f64 * self.lanes[b].step,
            (None, None) => root(&kind.codes, a) == root(&kind.codes, b),
            _ => false,
        }
    }
}

/// Returns the lane from which a lane without a constant takes its value.
fn root(codes: &[Code], lane: usize) -> usize {
    if let Code::As(j) = codes[lane] { usize::from(j) } else { lane }
}

impl Kind {
    fn absorb(&mut self, other: &Self) {
        self.units += other.units;
        self.lanes.iter_mut().zip(&other.lanes).for_each(|(mine, theirs)| *mine += theirs);
        self.largest.iter_mut().zip(&other.largest).for_each(|(mine, theirs)| mine.merge(theirs));
    }
}

impl Kinds {
    /// Adds a unit's tally.
    pub fn add(&mut self, codes: &Codes, tally: &[i64]) {
        let (codes, added) = codes.of(tally);
        let largest = added.iter().map(|v| Largest::of_equal(*v, 1)).collect();
        self.take(&Kind { codes, units: 1, lanes: added.into_iter().map(i128::from).collect(), largest });
    }

    /// Adds the units of another group part.
    pub fn merge(&mut self, other: &Self) {
        other.list.iter().for_each(|kind| self.take(kind));
    }

    fn take(&mut self, kind: &Kind) {
        match self.list.binary_search_by(|known| known.codes.cmp(&kind.codes)) {
            Ok(at) => self.list[at].absorb(kind),
            Err(at) => self.list.insert(at, kind.clone()),
        }
    }

    /// Returns whether these are all units of a group with so many units and these sums.
    pub(crate) fn add_up_to(&self, units: i64, lanes: &[i128]) -> bool {
        let sum = |lane: usize| self.list.iter().map(|kind| kind.lanes[lane]).sum::<i128>();
        let fits = |kind: &Kind| [kind.codes.len(), kind.lanes.len(), kind.largest.len()] == [lanes.len(); 3];
        let all = || lanes.iter().enumerate().all(|(lane, all)| sum(lane) == *all);
        self.list.iter().all(fits) && all() && self.list.iter().map(|kind| kind.units).sum::<i64>() == units
    }

    /// Writes the kinds to a hash; no two are written alike.
    pub(crate) fn write(&self, put: &mut dyn FnMut(&[u8])) {
        put(&(self.list.len() as u64).to_le_bytes());
        for kind in &self.list {
            put(&(kind.codes.len() as u64).to_le_bytes());
            for code in &kind.codes {
                let (code, lane) = match code {
                    Code::Nought => (0, 0),
                    Code::One => (1, 0),
                    Code::Low => (2, 0),
                    Code::High => (3, 0),
                    Code::As(lane) => (4, *lane),
                    Code::Own => (5, 0),
                };
                put(&[code]);
                put(&u16::to_le_bytes(lane));
            }
            put(&kind.units.to_le_bytes());
            kind.lanes.iter().for_each(|lane| put(&lane.to_le_bytes()));
            for largest in &kind.largest {
                largest.top.iter().for_each(|one| put(&one.to_le_bytes()));
                put(&largest.sum.to_le_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every tally there can be is, counted.
    #[test]
    fn there_are_as_many_kinds_as_public_numbers_say() {
        let lane = |step: f64, clip: (i64, i64), low: i64, high: i64| {
            let one = (step <= 1.0).then(|| (1.0 / step) as i64);
            LaneCodes { step, clip, one, low: Some(low), high: Some(high) }
        };
        let unit = LaneCodes { step: 1.0, clip: (0, 1), one: Some(1), low: None, high: None };
        let rows = LaneCodes { clip: (0, 4), ..unit };
        for lanes in [
            vec![unit; 6],
            vec![rows, unit, rows, rows],
            vec![LaneCodes { clip: (0, 2), ..unit }; 5],
            vec![lane(0.5, (0, 9), 0, 7), unit, lane(0.5, (0, 9), 0, 7), lane(0.5, (0, 9), 0, 7)],
            vec![lane(1.0, (-4, 4), -3, 3), lane(1.0, (-4, 4), -3, 3), unit],
            vec![lane(4.0, (0, 5), 2, 5), rows],
        ] {
            let codes = Codes { lanes: lanes.clone() };
            let mut tallies = vec![vec![]];
            for lane in &lanes {
                let more =
                    |tally: &Vec<i64>| (lane.clip.0..=lane.clip.1).map(|v| [&tally[..], &[v]].concat()).collect::<Vec<_>>();
                tallies = tallies.iter().flat_map(more).collect();
            }
            let kinds: BTreeSet<Vec<Code>> = tallies.iter().map(|tally| codes.of(tally).0).collect();
            assert_eq!(codes.possible(lanes.len()), kinds.len() as u64, "{lanes:?}");
        }
    }
}
