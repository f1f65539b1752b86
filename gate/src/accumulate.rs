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

impl Plan {
    /// An empty group.
    pub fn group(&self, key: Vec<Key>) -> GroupSums {
        GroupSums { key, units: 0, lanes: vec![0; self.lanes.len()] }
    }

    /// Adds one row's `value` of column `column` to a unit's `tally` (one integer a lane). `None` is NULL and adds nothing,
    /// as does NaN. For [`Measure::Units`] call it with any value; for [`Measure::Count`] with `Some` where the row counts.
    pub fn add_row(&self, tally: &mut [i64], column: usize, value: Option<f64>) {
        let Some(value) = value.filter(|v| !v.is_nan()) else { return };
        let lane = self.first[column];
        let add = |tally: &mut [i64], lane: usize, by: i64| tally[lane] = tally[lane].saturating_add(by);
        match self.shape.columns[column].measure {
            Measure::Units => tally[lane] = 1,
            Measure::Count => add(tally, lane, 1),
            Measure::Sum { lo, hi } => add(tally, lane, quantise(value.clamp(lo, hi), self.lanes[lane].step)),
            Measure::Mean { lo, hi } => {
                let centred = value.clamp(lo, hi) - (lo + hi) / 2.0;
                add(tally, lane, quantise(centred, self.lanes[lane].step));
                if self.shape.blocks.is_none() {
                    add(tally, lane + 1, 1);
                }
            }
            Measure::Histogram { lo, hi, bins } => {
                let position = (value.clamp(lo, hi) - lo) / (hi - lo) * f64::from(bins);
                let bin = (position as usize).min(bins as usize - 1);
                tally[lane..lane + bins as usize].fill(0);
                tally[lane + bin] = 1;
            }
        }
    }

    /// Clips one unit's (or block's) tally and adds it to its group, then clears the tally.
    pub fn close(&self, group: &mut GroupSums, tally: &mut [i64]) {
        group.units += 1;
        for ((sum, part), lane) in group.lanes.iter_mut().zip(tally.iter_mut()).zip(&self.lanes) {
            *sum += i128::from((*part).clamp(lane.clip_lo, lane.clip_hi));
            *part = 0;
        }
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
            self.add_row(&mut tally, i, Some(if value.is_nan() { *default } else { *value }));
        }
        self.close(group, &mut tally);
        Ok(())
    }

    /// Checks that `sums` could have come from this plan: right lengths, no duplicate key, no sum beyond its units' clip range.
    ///
    /// # Errors
    /// [`GateError::Misfit`].
    pub fn check(&self, sums: &Sums) -> Result<(), GateError> {
        let misfit = |what: &str| Err(GateError::Misfit(what.to_owned()));
        for group in &sums.groups {
            if group.key.len() != self.shape.key_names.len() || group.lanes.len() != self.lanes.len() || group.units < 0 {
                return misfit("a group has the wrong shape");
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
