//! The streaming half: rows of one unit in one group → clipped integers → sums.

use serde::{Deserialize, Serialize};
use tidegate_protocol::job::Key;

use crate::{GateError, Measure, Plan, shape::quantise};

/// Sums of one group.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupSums {
    /// The key's values.
    pub key: Vec<Key>,
    /// Units counted.
    pub units: i64,
    /// One sum a lane, in grid steps. 2^21 steps × rows × units stays far below 2^127.
    pub lanes: Vec<i128>,
}

/// Sums of all groups: exact, secret, never shown. `Debug` prints sizes only.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sums {
    /// Groups in no particular order.
    pub groups: Vec<GroupSums>,
}

impl std::fmt::Debug for Sums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sums(withheld)")
    }
}

impl std::fmt::Debug for GroupSums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GroupSums(withheld)")
    }
}

/// A row's value of one column on the gate's grid, or its absence. Comes only out of [`Plan::step`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step(i64);

impl Step {
    const ABSENT: i64 = i64::MIN;
}

impl Plan {
    /// An empty group.
    pub fn group(&self, key: Vec<Key>) -> GroupSums {
        GroupSums { key, units: 0, lanes: vec![0; self.lanes.len()] }
    }

    /// A value of column `column` on its grid: clipped and rounded; the bin's number for a histogram. `None` is NULL, and so is NaN.
    /// For [`Measure::Units`] any value does; for [`Measure::Count`] it is `Some` where the row counts.
    pub fn step(&self, column: usize, value: Option<f64>) -> Step {
        let Some(value) = value.filter(|v| !v.is_nan()) else { return Step(Step::ABSENT) };
        let grid = |v: f64| Step(quantise(v, self.lanes[self.first[column]].step));
        match self.shape.columns[column].measure {
            Measure::Units | Measure::Count => Step(1),
            Measure::Sum { lo, hi } => grid(value.clamp(lo, hi)),
            Measure::Mean { lo, hi } => grid(value.clamp(lo, hi) - (lo + hi) / 2.0),
            Measure::Histogram { lo, hi, bins } => {
                let position = (value.clamp(lo, hi) - lo) / (hi - lo) * f64::from(bins);
                Step((position as i64).min(i64::from(bins) - 1))
            }
        }
    }

    /// Adds one row's step of column `column` to a unit's `tally` (one integer a lane).
    #[inline]
    pub fn add_step(&self, tally: &mut [i64], column: usize, step: Step) {
        if step.0 == Step::ABSENT {
            return;
        }
        let lane = self.first[column];
        let add = |tally: &mut [i64], lane: usize, by: i64| tally[lane] = tally[lane].saturating_add(by);
        match self.shape.columns[column].measure {
            Measure::Units => tally[lane] = 1,
            Measure::Count | Measure::Sum { .. } => add(tally, lane, step.0),
            Measure::Mean { .. } => {
                add(tally, lane, step.0);
                if self.shape.blocks.is_none() {
                    add(tally, lane + 1, 1);
                }
            }
            Measure::Histogram { bins, .. } => {
                tally[lane..lane + bins as usize].fill(0);
                tally[lane + step.0 as usize] = 1;
            }
        }
    }

    /// Clips one unit's (or block's) tally and adds it to its group's `units` and `lanes`, then clears the tally.
    #[inline]
    pub fn close(&self, units: &mut i64, lanes: &mut [i128], tally: &mut [i64]) {
        *units += 1;
        for ((sum, part), lane) in lanes.iter_mut().zip(tally.iter_mut()).zip(&self.lanes) {
            *sum += i128::from((*part).clamp(lane.clip_lo, lane.clip_hi));
            *part = 0;
        }
    }

    /// [`Plan::close`] on 64-bit sums: twice as many fit a cache line. Good for [`Plan::closes`] units, then they must be moved on.
    #[inline]
    pub fn close_small(&self, units: &mut i64, lanes: &mut [i64], tally: &mut [i64]) {
        *units += 1;
        for ((sum, part), lane) in lanes.iter_mut().zip(tally.iter_mut()).zip(&self.lanes) {
            *sum += (*part).clamp(lane.clip_lo, lane.clip_hi);
            *part = 0;
        }
    }

    /// After so many calls no sum of [`Plan::close_small`] can have left 64 bits.
    pub fn closes(&self) -> u64 {
        let largest = self.lanes.iter().map(|l| l.clip_lo.unsigned_abs().max(l.clip_hi.unsigned_abs())).max().unwrap_or(0);
        i64::MAX as u64 / largest.max(1)
    }

    /// Adds one program output vector as a unit or block: each value is one row. NaN counts as `defaults`.
    ///
    /// # Errors
    /// [`GateError::Misfit`] when the lengths differ from the number of columns.
    pub fn close_vector(&self, group: &mut GroupSums, values: &[f64], defaults: &[f64]) -> Result<(), GateError> {
        let columns = self.shape.columns.len();
        if values.len() != columns || defaults.len() != columns {
            return Err(GateError::Misfit(format!("{} values for {columns} columns", values.len())));
        }
        let mut tally = vec![0; self.lanes.len()];
        for (i, (value, default)) in values.iter().zip(defaults).enumerate() {
            self.add_step(&mut tally, i, self.step(i, Some(if value.is_nan() { *default } else { *value })));
        }
        self.close(&mut group.units, &mut group.lanes, &mut tally);
        Ok(())
    }

    /// Checks that `sums` could have come from this plan: right lengths, no duplicate key, no sum beyond its units' clip range.
    ///
    /// # Errors
    /// [`GateError::Misfit`].
    pub fn check(&self, sums: &Sums) -> Result<(), GateError> {
        let misfit = |what: &str| Err(GateError::Misfit(what.to_owned()));
        let mut seen = std::collections::HashSet::with_capacity(sums.groups.len());
        for group in &sums.groups {
            if group.key.len() != self.shape.key_names.len() || group.lanes.len() != self.lanes.len() || group.units < 0 {
                return misfit("a group has the wrong shape");
            }
            // A key that came twice would be noised twice: a unit would be in more groups than it pays for.
            if !seen.insert(format!("{:?}", group.key)) {
                return misfit("a key comes twice");
            }
            let units = i128::from(group.units);
            for (sum, lane) in group.lanes.iter().zip(&self.lanes) {
                if *sum < units * i128::from(lane.clip_lo) || *sum > units * i128::from(lane.clip_hi) {
                    return misfit("a sum lies beyond what its units can add");
                }
            }
        }
        Ok(())
    }
}
