//! Merging of several threads' folds, or of spilled groups, to the sums of all groups.

use arrow::array::{Array as _, ArrayRef};
use tidegate_gate::{Field, GroupSums, Kinds};

use super::{Fold, LANES, UNITS};
use crate::{
    RunError, Sink,
    sql::{keys, table::Table},
};

/// Approximate bytes of groups handed on at a time.
const HANDED_BYTES: usize = 1 << 20;

impl Fold<'_> {
    /// Moves the sums to 128 bits.
    pub(super) fn move_on(&mut self) {
        for (i, group) in self.sums.chunks_exact_mut(self.stride).enumerate() {
            let moved = &mut self.moved[i * self.width..][..self.width];
            for (sum, moved) in group[LANES..].iter_mut().zip(moved) {
                *moved += i128::from(std::mem::take(sum));
            }
        }
        self.closes_left = self.plan.closes();
    }

    /// Adds the sums of `other`, which saw other units.
    pub(in crate::sql) fn merge(&mut self, mut other: Self) -> Result<(), RunError> {
        self.finish();
        other.finish();
        let keys = match &mut other.table {
            Some(table) => table.groups.take()?,
            // Without keys each fold has one group, or none if it saw no row.
            None => vec![],
        };
        self.add_groups(&keys, &other.sums, &other.moved, other.kinds.as_ref().map(|(_, kinds)| kinds.as_slice()))
    }

    /// Adds groups: a column per key, and their numbers in a fold's layout. If keys have more rows, the last have no numbers.
    pub(super) fn add_groups(
        &mut self,
        keys: &[ArrayRef],
        sums: &[i64],
        moved: &[i128],
        kinds: Option<&[Kinds]>,
    ) -> Result<(), RunError> {
        let count = sums.len() / self.stride;
        let mut numbers: Vec<usize> = (0..count).collect();
        if !keys.is_empty() {
            let keys: Vec<ArrayRef> = keys.iter().map(|k| k.slice(0, count)).collect();
            let table = match &mut self.table {
                Some(table) => table,
                none => none.insert(Table::new(&keys, self.declared)?),
            };
            table.groups.number(&keys, &mut numbers)?;
        }
        let stride = self.stride;
        let groups = numbers.iter().map(|n| n + 1).max().unwrap_or(0).max(self.groups());
        self.sums.resize(groups * stride, 0);
        self.moved.resize(groups * self.width, 0);
        for (i, &number) in numbers.iter().enumerate() {
            let (mine, theirs) = (&mut self.sums[number * stride..][..stride], &sums[i * stride..][..stride]);
            mine[UNITS] += theirs[UNITS];
            let bins = LANES + self.width;
            mine[bins..].iter_mut().zip(&theirs[bins..]).for_each(|(mine, theirs)| *mine += theirs);
            if let (Some((_, mine)), Some(theirs)) = (&mut self.kinds, kinds.and_then(|kinds| kinds.get(i))) {
                mine.resize(mine.len().max(number + 1), Kinds::default());
                mine[number].merge(theirs);
            }
            let theirs = &moved[i * self.width..][..self.width];
            for (mine, theirs) in self.moved[number * self.width..][..self.width].iter_mut().zip(theirs) {
                *mine += theirs;
            }
        }
        Ok(())
    }

    /// Closes the last unit.
    pub(in crate::sql) fn finish(&mut self) {
        self.end_unit();
        self.move_on();
    }

    /// Hands on the sums of all groups with at least `least` units, and at least 1, some groups at a time.
    pub(in crate::sql) fn hand_on(mut self, least: i64, sink: &mut Sink<'_>) -> Result<(), RunError> {
        self.finish();
        let count = self.groups();
        let keys = match &mut self.table {
            Some(table) if self.declared.is_none() => table.groups.first(count)?,
            _ => vec![],
        };
        let some = (HANDED_BYTES / (16 * self.plan.lanes() + 64)).max(1);
        let mut groups = Vec::new();
        for i in (0..count).filter(|i| self.sums[i * self.stride + UNITS] >= least.max(1)) {
            groups.push(self.group(i, &keys)?);
            if groups.len() == some {
                sink(std::mem::take(&mut groups))?;
            }
        }
        if groups.is_empty() { Ok(()) } else { sink(groups) }
    }

    /// Builds group `i` for the gate.
    fn group(&self, i: usize, keys: &[ArrayRef]) -> Result<GroupSums, RunError> {
        let numbers = &self.sums[i * self.stride..][..self.stride];
        // A declared key is shown as declared.
        let key = match self.declared {
            Some(declared) => declared.get(i).cloned().ok_or_else(|| RunError::Engine("a group beyond those declared".into()))?,
            None => keys.iter().map(|k| keys::value(k, i)).collect::<Result<_, _>>()?,
        };
        let mut out = GroupSums { units: numbers[UNITS], ..self.plan.group(key) };
        if let Some((_, kinds)) = &self.kinds {
            out.kinds = kinds.get(i).cloned().unwrap_or_default();
        }
        let mut bins = &numbers[LANES + self.width..];
        for field in &self.fields {
            match *field {
                Field::Sum { tally, lane, .. } => {
                    out.lanes[lane] = self.moved[i * self.width + tally];
                }
                Field::Bins { first, lanes } => {
                    let (mine, rest) = bins.split_at(lanes);
                    out.lanes[first..][..lanes].iter_mut().zip(mine).for_each(|(out, sum)| *out = i128::from(*sum));
                    bins = rest;
                }
            }
        }
        Ok(out)
    }
}
