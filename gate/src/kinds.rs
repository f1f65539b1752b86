//! For an exact result: the units of a group by kind, so that no number or difference of numbers is about a few of them.
//!
//! Two numbers of one group, a count and the same count under a condition, tell by their difference of those who are in one of them alone; several tell of
//! whoever can be told apart by all of them. So units are put together by what of their contributions is nought, one, a bound of the column or the same as in
//! another column ([`Code`]): units of one [`Kind`] look alike to every sum and difference of columns but for values of their own, and of those the rules for
//! dominance take care. A kind of fewer than k units is then added to the nearest that has k: its units count as if they were of that one. What leaves is the
//! table of people of whom each kind has k or more members, or none, and nobody can tell whether a kind with 1 to k − 1 is there at all: had its units been of
//! the other from the start, the table would be the same. No number changes by k units or more: the group is kept back instead.

use serde::{Deserialize, Serialize};

use crate::{GroupSums, Kind as PartKind, Largest, Measure, Plan, Sum};

/// A group with more kinds of units than this is kept back.
const MOST: usize = 256;

/// What a unit adds to a lane.
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
    /// Exactly what it adds to this earlier lane, which is a value of its own.
    As(u16),
    /// A value of its own.
    Own,
}

/// Units of one kind, added up.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// What they add to each lane.
    pub codes: Vec<Code>,
    /// How many they are.
    pub units: i64,
    /// Their sums.
    pub lanes: Vec<i128>,
    /// The largest of what they add to each lane.
    pub largest: Vec<Largest>,
}

/// The units of a group, by kind.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Kinds {
    /// By their codes.
    pub(crate) list: Vec<Kind>,
    /// There were more than can be told apart: none is listed.
    pub(crate) many: bool,
}

/// What tells kinds apart, of each lane: in steps of its grid.
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
    /// The value that a code stands for, where all units of it add the same.
    fn value(&self, code: Code) -> Option<i64> {
        match code {
            Code::Nought => Some(0),
            Code::One => self.one,
            Code::Low => self.low,
            Code::High => self.high,
            Code::As(_) | Code::Own => None,
        }
    }
}

impl Plan {
    /// What tells kinds of units apart in a result of counts and sums.
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
}

impl Codes {
    /// Clips what a unit adds, and says of which kind that makes it.
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

    /// The lanes of `kind` as they are once its units add what `codes` say. Where those say `Own`, what they add stays.
    fn recoded(&self, kind: &Kind, codes: &[Code]) -> Kind {
        let mut out = Kind { codes: codes.to_vec(), ..kind.clone() };
        for (i, (code, lane)) in codes.iter().zip(&self.lanes).enumerate() {
            match (*code, lane.value(*code)) {
                (Code::As(j), _) => {
                    (out.lanes[i], out.largest[i]) = (out.lanes[usize::from(j)], out.largest[usize::from(j)]);
                }
                (_, Some(value)) => {
                    out.lanes[i] = i128::from(value) * i128::from(kind.units);
                    out.largest[i] = Largest::of_equal(value, kind.units);
                }
                _ => {}
            }
        }
        out
    }

    /// Adds every kind of fewer than `k` units to the nearest of the others, and says how many units' contributions to each lane were changed by it. `None`
    /// where there is no other.
    ///
    /// Which that is follows from what kinds there are of `k` units or more: where a small kind's units are of that one instead, all comes out the same.
    pub(crate) fn join_small(&self, kinds: &Kinds, k: i64) -> Option<(Vec<Kind>, Vec<i64>)> {
        let (large, small): (Vec<&Kind>, Vec<&Kind>) = kinds.list.iter().partition(|kind| kind.units >= k);
        let mut joined: Vec<Kind> = large.iter().map(|kind| (*kind).clone()).collect();
        let mut changed = vec![0; self.lanes.len()];
        for small in small {
            let becomes = |large: &Kind| {
                let to = self.recoded(small, &large.codes);
                let lanes = small.lanes.iter().zip(&to.lanes).zip(small.largest.iter().zip(&to.largest));
                let changes: Vec<bool> = lanes.map(|((a, b), (c, d))| a != b || c != d).collect();
                (to, changes)
            };
            // Not the larger: how many a kind has beyond k plays no part.
            let distance = |large: &Kind| becomes(large).1.iter().filter(|changes| **changes).count();
            let nearest = (0..large.len()).min_by_key(|i| (distance(large[*i]), *i))?;
            let (to, changes) = becomes(large[nearest]);
            joined[nearest].absorb(&to);
            changed.iter_mut().zip(changes).filter(|(_, changes)| *changes).for_each(|(all, _)| *all += small.units);
        }
        (!joined.is_empty()).then_some((joined, changed))
    }

    /// Whether all units of a kind add the same to both lanes, and something.
    pub(crate) fn tied(&self, kind: &Kind, a: usize, b: usize) -> bool {
        let root = |lane: usize| if let Code::As(j) = kind.codes[lane] { usize::from(j) } else { lane };
        match (self.lanes[a].value(kind.codes[a]), self.lanes[b].value(kind.codes[b])) {
            (Some(x), Some(y)) => x != 0 && x as f64 * self.lanes[a].step == y as f64 * self.lanes[b].step,
            (None, None) => root(a) == root(b),
            _ => false,
        }
    }
}

impl Kind {
    fn absorb(&mut self, other: &Self) {
        self.units += other.units;
        self.lanes.iter_mut().zip(&other.lanes).for_each(|(mine, theirs)| *mine += theirs);
        self.largest.iter_mut().zip(&other.largest).for_each(|(mine, theirs)| mine.merge(theirs));
    }
}

impl Kinds {
    /// Adds one unit's tally.
    pub fn add(&mut self, codes: &Codes, tally: &[i64]) {
        let (codes, added) = codes.of(tally);
        let largest = added.iter().map(|v| Largest::of_equal(*v, 1)).collect();
        self.take(&Kind { codes, units: 1, lanes: added.into_iter().map(i128::from).collect(), largest });
    }

    /// Adds those of other units.
    pub fn merge(&mut self, other: &Self) {
        if other.many {
            *self = other.clone();
        }
        other.list.iter().for_each(|kind| self.take(kind));
    }

    fn take(&mut self, kind: &Kind) {
        if self.many {
            return;
        }
        match self.list.binary_search_by(|known| known.codes.cmp(&kind.codes)) {
            Ok(at) => self.list[at].absorb(kind),
            Err(at) => self.list.insert(at, kind.clone()),
        }
        if self.list.len() > MOST {
            *self = Self { list: vec![], many: true };
        }
    }

    /// Whether they are all units of `group`.
    pub(crate) fn add_up_to(&self, group: &GroupSums) -> bool {
        let sum = |lane: usize| self.list.iter().map(|kind| kind.lanes[lane]).sum::<i128>();
        let lanes = group.lanes.len();
        let fits = |kind: &Kind| [kind.codes.len(), kind.lanes.len(), kind.largest.len()] == [lanes; 3];
        let all = || (0..lanes).all(|lane| sum(lane) == group.lanes[lane]);
        self.many || self.list.iter().all(fits) && all() && self.list.iter().map(|kind| kind.units).sum::<i64>() == group.units
    }

    /// Writes them to a hash, no two alike.
    pub(crate) fn write(&self, put: &mut dyn FnMut(&[u8])) {
        put(&(self.list.len() as u64).to_le_bytes());
        if self.many {
            put(b"many");
        }
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
