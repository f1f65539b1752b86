//! The streaming half of the gate: clips the rows of a privacy unit in a group to integers and sums these.

use serde::{Deserialize, Serialize};
use tidegate_protocol::job::Key;

use crate::{GateError, Kind, Kinds, Plan, part, reduce::Reduce as _};

/// Sums of a group.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupSums {
    /// The key's values.
    pub key: Vec<Key>,
    /// Units counted.
    pub units: i64,
    /// Sum of each lane, in grid steps. 2^21 steps × rows × units stays far below 2^127.
    pub lanes: Vec<i128>,
    /// For an exact result, the units by kind. Empty otherwise.
    #[serde(default)]
    pub kinds: Kinds,
}

/// Sums of all groups: exact and secret, never shown. `Debug` withholds the contents.
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

/// Way in which a field (a vector with an integer per row) is added to a group's sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Added to the tally's lane of this number ([`Plan::close`]); `once` for fields counting a unit once.
    Sum {
        /// Position in the tally.
        tally: usize,
        /// Lane of the plan.
        lane: usize,
        /// A unit counts once, however many rows it has.
        once: bool,
    },
    /// Each row's integer, counted from `first`, selects the lane to gain 1; −1 selects none. At most `max_rows` rows of a unit
    /// count.
    Bins {
        /// First lane.
        first: usize,
        /// Number of lanes.
        lanes: usize,
    },
}

impl Plan {
    /// Returns an empty group.
    pub fn group(&self, key: Vec<Key>) -> GroupSums {
        GroupSums { key, units: 0, lanes: vec![0; self.lanes()], kinds: Kinds::default() }
    }

    /// Returns the kinds of fields filled by [`Plan::lay`], column by column.
    pub fn fields(&self) -> Vec<Field> {
        let mut tally = 0;
        let mut fields = Vec::new();
        for part in &self.parts {
            if part.kind == Kind::Bins {
                fields.push(Field::Bins { first: part.first, lanes: part.lanes });
                continue;
            }
            for lane in part.range() {
                fields.push(Field::Sum { tally, lane, once: part.kind == Kind::Once });
                tally += 1;
            }
        }
        fields
    }

    /// Lays a column's values on its grid: writes an integer per row into each of the column's fields ([`Plan::fields`]).
    ///
    /// A row that is not `valid`, or that has NaN, adds nothing: it is 0 in a sum and −1 as a bin.
    ///
    /// Whatever a reducer's arithmetic made of a row, its integers lie in the part's [`row`](crate::Part::row): they are clamped
    /// as they are laid (`part::Laid`).
    ///
    /// `values` has as many slices as the column's measure takes values ([`Measure::values`](crate::Measure::values)). Grid steps
    /// have at most 21 bits.
    pub fn lay(&self, column: usize, rows: usize, values: &[&[f64]], valid: Option<&[bool]>, fields: &mut [Vec<i32>]) {
        let parts = &self.parts[self.parts_of(column)];
        let of_each = parts.iter().flat_map(|part| std::iter::repeat_n(part, part.fields()));
        let mut fields: Vec<_> = of_each.zip(fields).map(|(part, laid)| part::Laid::new(part, laid)).collect();
        self.shape.columns[column].measure.lay(rows, values, parts, &mut fields);
        if let Some(valid) = valid {
            fields.iter_mut().for_each(|field| field.leave_out(valid));
        }
    }

    /// Scales a unit's sums over rows toward zero when the unit has more rows than count, in proportion to the coming clip of its
    /// row count.
    ///
    /// A mean is then the mean over all its rows, with the weight of the rows that count. The result is clipped like any other
    /// tally, so sensitivity does not depend on this step.
    #[inline]
    fn thin(&self, tally: &mut [i64]) {
        for per_row in &self.per_row {
            let (rows, most) = (tally[per_row.rows], self.clips[per_row.rows].hi);
            if rows > most {
                for sum in &mut tally[per_row.sums.clone()] {
                    *sum = (i128::from(*sum) * i128::from(most) / i128::from(rows)) as i64;
                }
            }
        }
    }

    /// Thins and clips a unit's tally, adds the result to `lanes` (in the tally's order), and clears it.
    ///
    /// May be called [`Plan::closes`] times; then the sums must be moved to wider integers.
    #[inline]
    pub fn close(&self, units: &mut i64, lanes: &mut [i64], tally: &mut [i64]) {
        *units += 1;
        self.thin(tally);
        for ((sum, part), clip) in lanes.iter_mut().zip(tally.iter_mut()).zip(&self.clips) {
            *sum += (*part).clamp(clip.lo, clip.hi);
            *part = 0;
        }
    }

    /// Returns the maximum number of [`Plan::close`] calls for which no sum can overflow 64 bits.
    pub fn closes(&self) -> u64 {
        let largest = self.parts.iter().map(|p| p.clip_lo.unsigned_abs().max(p.clip_hi.unsigned_abs())).max().unwrap_or(0);
        i64::MAX as u64 / largest.max(1)
    }

    /// Adds all rows of a unit to its group at once, where a fold over many units works in steps.
    ///
    /// `values` has a slice for each value of each column.
    ///
    /// # Errors
    /// Returns [`GateError::Misfit`] if the number of slices or their lengths differ, or a unit has a vector in several rows.
    pub fn close_rows(&self, group: &mut GroupSums, values: &[&[f64]]) -> Result<(), GateError> {
        let wanted: usize = self.shape.columns.iter().map(|c| c.measure.values()).sum();
        let rows = values.first().map_or(1, |v| v.len());
        if values.len() != wanted || values.iter().any(|v| v.len() != rows) {
            return Err(GateError::Misfit(format!("{} values for {wanted}", values.len())));
        }
        if rows > 1 && self.parts.iter().any(|part| part.kind == Kind::Sum && part.lanes > 1) {
            // Each vector is within its norm, but their sum might not be.
            return Err(GateError::Misfit("several vectors for one privacy unit".into()));
        }
        let mut laid = Vec::new();
        let mut rest = values;
        for (i, column) in self.shape.columns.iter().enumerate() {
            let (mine, others) = rest.split_at(column.measure.values());
            rest = others;
            let mut fields = vec![Vec::new(); self.fields_of(i)];
            self.lay(i, rows, mine, None, &mut fields);
            laid.extend(fields);
        }
        group.units += 1;
        let fields = self.fields();
        let summed = fields.iter().zip(&laid).filter(|(field, _)| matches!(field, Field::Sum { .. }));
        let mut tallied: Vec<i64> = summed.map(|(_, laid)| laid.iter().map(|v| i64::from(*v)).sum()).collect();
        self.thin(&mut tallied);
        for (field, laid) in fields.into_iter().zip(laid) {
            match field {
                Field::Sum { tally, lane, .. } => {
                    let clip = self.clips[tally];
                    group.lanes[lane] += i128::from(tallied[tally].clamp(clip.lo, clip.hi));
                }
                Field::Bins { first, .. } => {
                    for bin in laid.iter().filter(|bin| **bin >= 0).take(self.shape.max_rows as usize) {
                        group.lanes[first + *bin as usize] += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds a program's contribution vector as a unit or block. Each non-finite number is replaced by the fallback value in
    /// `defaults`.
    ///
    /// # Errors
    /// Returns [`GateError::Misfit`] if the lengths differ from the number of values that the columns take.
    pub fn close_vector(&self, group: &mut GroupSums, values: &[f64], defaults: &[f64]) -> Result<(), GateError> {
        self.close_vectors(group, &values.iter().map(std::slice::from_ref).collect::<Vec<_>>(), defaults)
    }

    /// Adds many units or blocks like [`Plan::close_vector`]: `values` has a slice for each position of the vector, with a number
    /// per unit or block.
    ///
    /// # Errors
    /// Returns [`GateError::Misfit`] if the number of slices or their lengths differ.
    pub fn close_vectors(&self, group: &mut GroupSums, values: &[&[f64]], defaults: &[f64]) -> Result<(), GateError> {
        let wanted: usize = self.shape.columns.iter().map(|c| c.measure.values()).sum();
        let units = values.first().map_or(0, |v| v.len());
        if values.len() != wanted || values.len() != defaults.len() || values.iter().any(|v| v.len() != units) {
            return Err(GateError::Misfit(format!("{} values, {} defaults for {wanted}", values.len(), defaults.len())));
        }
        let finite = |(v, d): (&&[f64], &f64)| v.iter().map(|v| if v.is_finite() { *v } else { *d }).collect::<Vec<_>>();
        let values: Vec<Vec<f64>> = values.iter().zip(defaults).map(finite).collect();
        let mut rest = values.as_slice();
        let mut kinds = self.fields().into_iter();
        for (i, column) in self.shape.columns.iter().enumerate() {
            let (mine, others) = rest.split_at(column.measure.values());
            rest = others;
            let mut fields = vec![Vec::new(); self.fields_of(i)];
            self.lay(i, units, &mine.iter().map(Vec::as_slice).collect::<Vec<_>>(), None, &mut fields);
            for (laid, kind) in fields.iter().zip(kinds.by_ref()) {
                match kind {
                    Field::Sum { tally, lane, .. } => {
                        let clip = self.clips[tally];
                        let clipped = laid.iter().map(|v| i64::from(*v).clamp(clip.lo, clip.hi));
                        // Each has 32 bits: 64 bits hold the sum of more of them than there can be.
                        group.lanes[lane] += i128::from(clipped.sum::<i64>());
                    }
                    Field::Bins { first, .. } => {
                        laid.iter().filter(|bin| **bin >= 0).for_each(|bin| group.lanes[first + *bin as usize] += 1);
                    }
                }
            }
        }
        group.units += units as i64;
        Ok(())
    }

    /// Checks whether `sums` could have come from this plan: right lengths, no duplicate key, no sum beyond the clip range times
    /// its units.
    ///
    /// # Errors
    /// Returns [`GateError::Misfit`] otherwise.
    pub fn check(&self, sums: &Sums) -> Result<(), GateError> {
        self.check_groups(&sums.groups)
    }

    /// Applies [`Plan::check`] to some of the groups.
    ///
    /// No key may occur twice among them: it would be noised twice, and a unit would be in more groups than it pays for.
    ///
    /// # Errors
    /// Returns [`GateError::Misfit`] otherwise.
    pub fn check_groups(&self, groups: &[GroupSums]) -> Result<(), GateError> {
        let misfit = |what: &str| Err(GateError::Misfit(what.to_owned()));
        let mut seen = std::collections::HashSet::with_capacity(groups.len());
        for group in groups {
            if group.key.len() != self.shape.key_names.len() || group.lanes.len() != self.lanes() || group.units < 0 {
                return misfit("a group has the wrong shape");
            }
            if !seen.insert(format!("{:?}", group.key)) {
                return misfit("a key occurs twice");
            }
            let units = i128::from(group.units);
            for part in &self.parts {
                let (lo, hi) = (units * i128::from(part.clip_lo), units * i128::from(part.clip_hi));
                let lanes = &group.lanes[part.range()];
                let all: i128 = lanes.iter().sum();
                if lanes.iter().any(|sum| !(lo..=hi).contains(sum)) || part.kind == Kind::Bins && all > hi {
                    return misfit("a sum exceeds the total that its privacy units can contribute");
                }
            }
        }
        Ok(())
    }
}
