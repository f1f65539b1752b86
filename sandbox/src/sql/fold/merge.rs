//! From the folds of several threads to the sums of all groups.

use datafusion::logical_expr::EmitTo;
use tidegate_gate::{Field, GroupSums, Largest, Sums};

use super::{Fold, LANES, UNITS};
use crate::{
    RunError,
    sql::{keys, table::Table},
};

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
        let Some(mut theirs) = other.table.take() else {
            // No keys: one group each. Or it saw no row, and has no group.
            self.gather(&(0..other.groups()).collect::<Vec<_>>(), &other);
            return Ok(());
        };
        let keys = theirs.values.emit(EmitTo::First(other.groups()))?;
        let table = match &mut self.table {
            Some(table) => table,
            none => none.insert(Table::new(&keys, self.declared)?),
        };
        let mut numbers = Vec::new();
        table.values.intern(&keys, &mut numbers)?;
        self.gather(&numbers, &other);
        Ok(())
    }

    fn gather(&mut self, numbers: &[usize], other: &Self) {
        let stride = self.stride;
        let groups = numbers.iter().map(|n| n + 1).max().unwrap_or(0).max(self.groups());
        self.sums.resize(groups * stride, 0);
        self.moved.resize(groups * self.width, 0);
        for (i, &number) in numbers.iter().enumerate() {
            self.sums[number * stride + UNITS] += other.sums[i * stride + UNITS];
            let bins = &other.sums[i * stride..][LANES + self.width..stride];
            self.sums[number * stride..][LANES + self.width..stride]
                .iter_mut()
                .zip(bins)
                .for_each(|(mine, theirs)| *mine += theirs);
            if let (Some(mine), Some(theirs)) = (&mut self.largest, &other.largest) {
                mine.resize(groups * self.width, Largest::default());
                let theirs = theirs.get(i * self.width..).unwrap_or_default();
                mine[number * self.width..].iter_mut().zip(theirs).take(self.width).for_each(|(mine, theirs)| mine.merge(theirs));
            }
            let theirs = &other.moved[i * self.width..][..self.width];
            for (mine, theirs) in self.moved[number * self.width..][..self.width].iter_mut().zip(theirs) {
                *mine += theirs;
            }
        }
    }

    fn finish(&mut self) {
        self.end_unit();
        self.move_on();
    }

    /// The sums of all groups that a unit counted in.
    pub(in crate::sql) fn into_sums(mut self) -> Result<Sums, RunError> {
        self.finish();
        let count = self.groups();
        let keys = match &mut self.table {
            Some(table) => table.values.emit(EmitTo::First(count))?,
            None => vec![],
        };
        let groups = self.sums.chunks_exact(self.stride).enumerate().filter(|(_, group)| group[UNITS] > 0);
        let groups = groups.map(|(i, group)| {
            let key = keys.iter().map(|k| keys::value(k, i)).collect::<Result<_, _>>()?;
            let mut out = GroupSums { units: group[UNITS], ..self.plan.group(key) };
            let mut bins = &group[LANES + self.width..];
            for field in &self.fields {
                match *field {
                    Field::Sum { tally, lane, .. } => {
                        out.lanes[lane] = self.moved[i * self.width + tally];
                        if let Some(largest) = &self.largest {
                            out.largest.resize(self.plan.lanes(), Largest::default());
                            out.largest[lane] = largest.get(i * self.width + tally).copied().unwrap_or_default();
                        }
                    }
                    Field::Bins { first, lanes } => {
                        let (mine, rest) = bins.split_at(lanes);
                        out.lanes[first..][..lanes].iter_mut().zip(mine).for_each(|(out, sum)| *out = i128::from(*sum));
                        bins = rest;
                    }
                }
            }
            Ok(out)
        });
        Ok(Sums { groups: groups.collect::<Result<_, RunError>>()? })
    }
}
