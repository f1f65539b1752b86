//! A thread's fold: rows of a privacy unit → at most κ groups, chosen by a keyed PRF → clipped integers → sums.
//!
//! Keys become dense numbers, a batch at a time; everything after that is integers.

use std::collections::{BinaryHeap, HashMap};

use arrow::array::ArrayRef;
use tidegate_gate::{Codes, Field, Kinds, Plan};
use tidegate_protocol::job::Key;

use super::{sets::Set, table::Table};

mod choose;
mod merge;
mod parts;
mod spill;

use crate::{
    RunError,
    units::{Runs, Unit, UnitRef},
};
pub(super) use parts::Parts;
pub use parts::{Spill, Written};

/// Layout of a group's numbers: last unit added without a tally, number of units, a sum per lane of the tally, then the bins.
const SERIAL: usize = 0;
const UNITS: usize = 1;
const LANES: usize = 2;

type Rank = [u8; 32];

/// Position of an uncounted row.
const NOWHERE: u32 = u32::MAX;

pub(super) struct Fold<'a> {
    plan: &'a Plan,
    prf: &'a [u8; 32],
    declared: Option<&'a [Vec<Key>]>,
    fields: Vec<Field>,
    /// Number of lanes of a tally.
    width: usize,
    /// Length of a group's numbers.
    stride: usize,
    kappa: usize,
    /// Numbers of keys; absent without keys, and before the first batch.
    table: Option<Table>,
    sums: Vec<i64>,
    /// Number of units added without a tally.
    serial: i64,
    /// Maximum rows of a unit without a tally: such a unit is in at most κ groups and within every clip range.
    short: usize,
    /// Whether each lane counts a unit once.
    once: Vec<bool>,
    /// Position of each field of bins among a group's numbers.
    bins: Vec<usize>,
    max_rows: usize,
    /// Lane sums moved on before 64 bits could overflow, and how many units may be closed before the next move.
    moved: Vec<i128>,
    closes_left: u64,
    /// Unit with which the last batch ended, its groups' numbers, where each was first seen, and their tallies.
    unit: Option<Unit>,
    open: Vec<u32>,
    /// Position of each open group, once there are many.
    places_of: HashMap<u32, u32>,
    /// Groups of the open unit beaten by κ others, for good.
    lost: Vec<u32>,
    /// Position among the open groups of each row in the current run; [`NOWHERE`] for uncounted rows.
    places: Vec<u32>,
    seen: Vec<Seen>,
    /// Ranks and positions of the open unit's groups, greatest first, once others contest them.
    ranked: BinaryHeap<(Rank, u32)>,
    /// Positions taken over by another group in the current run, and the first row for which this holds.
    moved_to: HashMap<u32, usize>,
    tallies: Vec<i64>,
    /// Bins of the rows of each open group, by field: at most `max_rows` of them.
    picks: Vec<Vec<u32>>,
    /// Units of each group by kind, for an exact result.
    kinds: Option<(Codes, Vec<Kinds>)>,
    /// Spill for groups beyond a number of bytes; `None` if all stay in memory.
    spill: Option<(&'a Parts<'a>, usize)>,
}

/// A batch on the grid: a vector per lane of the tally, and a vector per field of bins.
struct Laid<'a> {
    sums: Vec<&'a [i32]>,
    bins: Vec<&'a [i32]>,
    /// Whether a unit's first row in a group adds 1 to each lane counting once.
    once: bool,
}

/// Row in which a group of the open unit was first seen in this batch, and the group's rank within the unit once needed.
#[derive(Clone, Copy)]
struct Seen {
    row: usize,
    rank: Option<Rank>,
}

impl<'a> Fold<'a> {
    pub(super) fn new(plan: &'a Plan, prf: &'a [u8; 32], set: &'a Set, reviewed: bool) -> Self {
        let fields = plan.fields();
        let once: Vec<bool> =
            fields.iter().filter_map(|f| if let Field::Sum { once, .. } = f { Some(*once) } else { None }).collect();
        let (mut bins, mut stride) = (Vec::new(), LANES + once.len());
        for field in &fields {
            if let Field::Bins { lanes, .. } = field {
                bins.push(stride);
                stride += lanes;
            }
        }
        Self {
            plan,
            prf,
            declared: set.declared.as_deref(),
            fields,
            width: once.len(),
            stride,
            kappa: set.kappa as usize,
            table: None,
            sums: Vec::new(),
            serial: 0,
            short: plan.rows_within_clip().min(set.kappa as usize),
            once,
            bins,
            max_rows: plan.rows_within_clip(),
            moved: Vec::new(),
            closes_left: plan.closes(),
            unit: None,
            open: Vec::new(),
            places_of: HashMap::new(),
            lost: Vec::new(),
            places: Vec::new(),
            seen: Vec::new(),
            ranked: BinaryHeap::new(),
            moved_to: HashMap::new(),
            tallies: Vec::new(),
            picks: Vec::new(),
            kinds: reviewed.then(|| (plan.codes(), Vec::new())),
            spill: None,
        }
    }

    /// Limits the bytes for groups, with `parts` for more of them. Declared groups stay: public numbers say how many there are.
    pub(super) fn within(self, parts: &'a Parts<'a>, bytes: usize) -> Self {
        let all_stay = self.declared.is_some() || self.kinds.is_some();
        Self { spill: (!all_stay).then_some((parts, bytes)), ..self }
    }

    /// Returns the bytes of memory for a group's numbers.
    pub(super) fn group_bytes(plan: &Plan) -> usize {
        24 * plan.lanes() + 8 * LANES
    }

    /// Adds a batch: key columns in canonical form, and each field's integers row by row ([`Plan::lay`]).
    pub(super) fn batch(&mut self, runs: &Runs, keys: &[ArrayRef], laid: &[Vec<i32>]) -> Result<(), RunError> {
        let mut lanes = Laid { sums: Vec::new(), bins: Vec::new(), once: true };
        for (field, laid) in self.fields.iter().zip(laid) {
            match field {
                Field::Sum { once, .. } => {
                    lanes.once &= !once || laid.iter().all(|one| *one == 1);
                    lanes.sums.push(laid);
                }
                Field::Bins { .. } => lanes.bins.push(laid),
            }
        }
        let lanes = &lanes;
        let mut table = self.table.take();
        if !keys.is_empty() && table.is_none() {
            table = Some(Table::new(keys, self.declared)?);
        }
        let mut groups = 1;
        if let Some(table) = &mut table {
            table.number(keys)?;
            groups = table.groups.len().min(table.counted);
        }
        self.sums.resize(groups.max(self.groups()) * self.stride, 0);
        self.moved.resize(self.groups() * self.width, 0);
        let count = runs.rows.last().map_or(0, |last| last.end);
        if self.closes_left < count as u64 + 1 {
            self.move_on();
        }
        let mut encoded = None;
        let mut i = 0;
        while i < runs.rows.len() {
            // The first unit may have begun before this batch, and the last may continue after it.
            if i > 0 || self.unit.as_ref().map(Unit::as_ref) != Some(runs.unit(i)) {
                self.end_unit();
            }
            let last = runs.rows.len() - 1;
            let units = &runs.rows[i.min(last)..last];
            let added = if i == 0 { 0 } else { self.add_short(units, groups, table.as_ref(), lanes) };
            if added > 0 {
                i += added;
                continue;
            }
            self.add_rows(runs.rows[i].clone(), runs.unit(i), groups, table.as_ref(), keys, lanes, &mut encoded)?;
            i += 1;
        }
        if let Some(last) = runs.rows.len().checked_sub(1) {
            let unit = runs.unit(last);
            if let Some(table) = &table {
                self.rank_open(unit, keys, table)?;
            }
            self.unit = Some(unit.to_owned());
        }
        if let Some(table) = &mut table {
            table.tidy()?;
        }
        self.table = table;
        self.make_room()
    }

    /// Adds a unit's rows, group by group, to its tallies.
    #[expect(clippy::too_many_arguments, reason = "what a batch is made of")]
    fn add_rows(
        &mut self,
        rows: std::ops::Range<usize>,
        unit: UnitRef<'_>,
        groups: usize,
        table: Option<&Table>,
        keys: &[ArrayRef],
        lanes: &Laid<'_>,
        encoded: &mut Option<arrow::row::Rows>,
    ) -> Result<(), RunError> {
        self.places.clear();
        for row in rows.clone() {
            let number = table.map_or(0, |table| table.numbers[row]);
            let place = if number >= groups {
                None // a key that was not declared
            } else {
                self.place(number as u32, row, unit, keys, table, encoded)?
            };
            self.places.push(place.map_or(NOWHERE, |place| place as u32));
        }
        // Rows before another group took over their position are not that group's.
        if !self.moved_to.is_empty() {
            for (i, place) in self.places.iter_mut().enumerate() {
                if self.moved_to.get(place).is_some_and(|from| i < *from) {
                    *place = NOWHERE;
                }
            }
            self.moved_to.clear();
        }
        // Lane by lane, so that each is read from end to end.
        for (i, lane) in lanes.sums.iter().enumerate() {
            for (place, value) in self.places.iter().zip(&lane[rows.clone()]) {
                if let Some(sum) = self.tallies.get_mut(*place as usize * self.width + i) {
                    *sum += i64::from(*value);
                }
            }
        }
        let fields = self.bins.len();
        for (i, lane) in lanes.bins.iter().enumerate() {
            for (place, bin) in self.places.iter().zip(&lane[rows.clone()]) {
                if *bin >= 0
                    && let Some(picks) = self.picks.get_mut(*place as usize * fields + i)
                    && picks.len() < self.max_rows
                {
                    picks.push(*bin as u32);
                }
            }
        }
        Ok(())
    }

    /// Adds the [short](Fold::short) units at the start of `units`, each whole, straight to the sums, and returns how many.
    fn add_short(&mut self, units: &[std::ops::Range<usize>], groups: usize, table: Option<&Table>, lanes: &Laid<'_>) -> usize {
        if !lanes.once || self.kinds.is_some() {
            return 0;
        }
        let units = &units[..units.iter().position(|rows| rows.len() > self.short).unwrap_or(units.len())];
        let numbers = table.map(|table| table.numbers.as_slice());
        // Loops over a known number of lanes are unrolled; with more lanes, units take the tally.
        macro_rules! with_lanes {
            ($($width:literal)*) => {
                match lanes.sums.len() {
                    $($width => self.add_short_of::<{ LANES + $width }>(units, groups, numbers, lanes),)*
                    _ => 0,
                }
            };
        }
        with_lanes!(0 1 2 3 4 5 6 7 8)
    }

    /// Adds short units to groups of `NUMBERS` numbers, bins apart. Not inlined: the loop needs all of a processor's registers.
    #[inline(never)]
    fn add_short_of<const NUMBERS: usize>(
        &mut self,
        units: &[std::ops::Range<usize>],
        groups: usize,
        numbers: Option<&[usize]>,
        laid: &Laid<'_>,
    ) -> usize {
        let Some(end) = units.last().map(|rows| rows.end) else { return 0 };
        let lane = |place: usize| place.checked_sub(LANES).map_or(&[][..], |lane| &laid.sums[lane][..end]);
        let lanes: [&[i32]; NUMBERS] = std::array::from_fn(lane);
        let once: [bool; NUMBERS] = std::array::from_fn(|place| place >= LANES && self.once[place - LANES]);
        let numbers = numbers.map(|numbers| &numbers[..end]);
        let (sums, stride, bins) = (self.sums.as_mut_slice(), self.stride, self.bins.as_slice());
        let mut serial = self.serial;
        for rows in units {
            serial += 1;
            for row in rows.start..rows.end.min(end) {
                let number = numbers.map_or(0, |numbers| numbers[row]);
                if number >= groups {
                    continue; // a key that was not declared
                }
                let at = number * stride;
                let Some(group) = sums.get_mut(at..).and_then(<[i64]>::first_chunk_mut::<NUMBERS>) else { continue };
                let fresh = i64::from(group[SERIAL] != serial);
                group[SERIAL] = serial;
                group[UNITS] += fresh;
                for place in LANES..NUMBERS {
                    group[place] += if once[place] { fresh } else { i64::from(lanes[place][row]) };
                }
                for (first, lane) in bins.iter().zip(&laid.bins) {
                    if lane[row] >= 0 {
                        sums[at + first + lane[row] as usize] += 1;
                    }
                }
            }
        }
        self.serial = serial;
        // A row adds no more than a unit's clip. If that is so wide that a batch has more rows than closes left, the next unit
        // moves the sums on.
        self.closes_left = self.closes_left.saturating_sub(end as u64 - units[0].start as u64);
        units.len()
    }

    fn groups(&self) -> usize {
        self.sums.len() / self.stride
    }

    /// Closes the open unit: each of its groups gains a unit, and its clipped tally.
    #[inline]
    fn end_unit(&mut self) {
        // Each of its groups is closed once, so no sum gains more than one unit's clip.
        if self.closes_left == 0 {
            self.move_on();
        }
        self.closes_left -= 1;
        for (slot, &number) in self.open.iter().enumerate() {
            let group = &mut self.sums[number as usize * self.stride..][..self.stride];
            for (picks, first) in self.picks[slot * self.bins.len()..].iter_mut().zip(&self.bins) {
                picks.drain(..).for_each(|bin| group[first + bin as usize] += 1);
            }
            let (head, lanes) = group.split_at_mut(LANES);
            let tally = &mut self.tallies[slot * self.width..][..self.width];
            if let Some((codes, kinds)) = &mut self.kinds {
                let number = number as usize;
                kinds.resize(kinds.len().max(number + 1), Kinds::default());
                kinds[number].add(codes, tally);
            }
            self.plan.close(&mut head[UNITS], &mut lanes[..self.width], tally);
        }
        self.open.clear();
        self.places_of.clear();
        self.seen.clear();
        self.ranked.clear();
        self.lost.clear();
    }
}
