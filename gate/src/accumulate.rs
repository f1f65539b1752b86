//! The streaming half: rows of one unit in one group → clipped integers → sums.

use serde::{Deserialize, Serialize};
use tidegate_protocol::job::Key;

use crate::{GateError, Measure, Plan, shape::steps};

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

    /// Whether column `column` only counts: [`Plan::lay`] then looks at no value.
    pub fn counts(&self, column: usize) -> bool {
        matches!(self.shape.columns[column].measure, Measure::Units | Measure::Count)
    }

    /// Lays a column's values on its grid: into each of its lanes ([`Plan::lanes_of`]) one integer a row. Added up over the rows of a unit in a
    /// group they are what [`Plan::close`] clips. A row that is not `valid`, and NaN, is 0 in every lane: it adds nothing.
    ///
    /// `values` has one value a row, or none where [`Plan::counts`]. Grid steps have at most 21 bits.
    pub fn lay(&self, column: usize, rows: usize, values: &[f64], valid: Option<&[bool]>, lanes: &mut [Vec<i32>]) {
        lanes.iter_mut().for_each(Vec::clear);
        let first = self.first[column];
        // Over blocks the denominator is public: there is no lane that counts.
        let present = |count: &mut [Vec<i32>]| {
            count.iter_mut().for_each(|count| count.extend(values.iter().map(|v| i32::from(!v.is_nan()))));
        };
        match (&self.shape.columns[column].measure, &mut *lanes) {
            (Measure::Units | Measure::Count, [count]) => count.resize(rows, 1),
            (Measure::Sum { lo, hi }, [sum]) => lay_lane(values, *lo, *hi, self.lanes[first].step, |v| v, sum),
            (Measure::Mean { lo, hi }, [sum, count @ ..]) => {
                let middle = (lo + hi) / 2.0;
                lay_lane(values, *lo, *hi, self.lanes[first].step, |v| v - middle, sum);
                present(count);
            }
            (Measure::Variance { lo, hi, .. }, [sum, square, count @ ..]) => {
                let (middle, half) = ((lo + hi) / 2.0, (hi - lo) / 2.0);
                lay_lane(values, *lo, *hi, self.lanes[first].step, |v| v - middle, sum);
                let centred = |v: f64| (v - middle) * (v - middle) - half * half / 2.0;
                lay_lane(values, *lo, *hi, self.lanes[first + 1].step, centred, square);
                present(count);
            }
            (Measure::Histogram { lo, hi, bins }, lanes) => {
                lanes.iter_mut().for_each(|bin| bin.resize(rows, 0));
                for (row, v) in values.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
                    let position = (v.clamp(*lo, *hi) - lo) / (hi - lo) * f64::from(*bins);
                    lanes[(position as usize).min(*bins as usize - 1)][row] = 1;
                }
            }
            // `Plan::new` lays out these lanes and no others.
            _ => {}
        }
        if let Some(valid) = valid {
            for lane in lanes {
                lane.iter_mut().zip(valid).for_each(|(value, valid)| *value *= i32::from(*valid));
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
        let (mut tally, mut laid) = (Vec::with_capacity(self.lanes.len()), Vec::new());
        for (i, (value, default)) in values.iter().zip(defaults).enumerate() {
            laid.resize(self.lanes_of(i).len(), Vec::new());
            self.lay(i, 1, &[if value.is_nan() { *default } else { *value }], None, &mut laid);
            tally.extend(laid.iter().map(|lane| i64::from(lane[0])));
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

/// Each value clipped to [lo, hi], then `of` it in grid steps; 0 for NaN.
#[inline]
fn lay_lane(values: &[f64], lo: f64, hi: f64, step: f64, of: impl Fn(f64) -> f64, into: &mut Vec<i32>) {
    into.extend(values.iter().map(|&v| {
        let clipped = if v < lo { lo } else { v };
        let clipped = if clipped > hi { hi } else { clipped };
        if v.is_nan() { 0 } else { steps(of(clipped), step) }
    }));
}
