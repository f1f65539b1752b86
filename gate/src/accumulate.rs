//! The streaming half: rows of one unit in one group → clipped integers → sums.

use serde::{Deserialize, Serialize};
use tidegate_protocol::job::Key;

use crate::{GateError, Kind, Kinds, Plan, part, reduce::Reduce as _};

/// Sums of one group.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupSums {
    /// The key's values.
    pub key: Vec<Key>,
    /// Units counted.
    pub units: i64,
    /// One sum a lane, in grid steps. 2^21 steps × rows × units stays far below 2^127.
    pub lanes: Vec<i128>,
    /// For an exact result, its units by kind. Empty otherwise.
    #[serde(default)]
    pub kinds: Kinds,
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

/// How one vector of integers a row goes into a group's sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Into the tally's lane of this number ([`Plan::close`]); `once` for those that count a unit once.
    Sum {
        /// Position in the tally.
        tally: usize,
        /// Lane of the plan.
        lane: usize,
        /// A unit counts once, however many rows it has.
        once: bool,
    },
    /// Each row's integer says which of these lanes gains 1, from the first; −1 is none. At most `max_rows` rows of a unit count.
    Bins {
        /// First of the lanes.
        first: usize,
        /// How many there are.
        lanes: usize,
    },
}

impl Plan {
    /// An empty group.
    pub fn group(&self, key: Vec<Key>) -> GroupSums {
        GroupSums { key, units: 0, lanes: vec![0; self.lanes()], kinds: Kinds::default() }
    }

    /// What the vectors that [`Plan::lay`] fills are, column by column.
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

    /// Lays a column's values on its grid: into each of its fields ([`Plan::fields`]) one integer a row. A row that is not `valid`, or has NaN, adds
    /// nothing: it is 0 in a sum and −1 as a bin.
    ///
    /// Whatever a reducer's arithmetic made of a row, its integers lie in the part's [`row`](crate::Part::row): they are clamped where they are laid (`part::Laid`).
    ///
    /// `values` has as many slices as the column's measure takes values ([`Measure::values`](crate::Measure::values)). Grid steps have at most 21 bits.
    pub fn lay(&self, column: usize, rows: usize, values: &[&[f64]], valid: Option<&[bool]>, fields: &mut [Vec<i32>]) {
        let parts = &self.parts[self.parts_of(column)];
        let of_each = parts.iter().flat_map(|part| std::iter::repeat_n(part, part.fields()));
        let mut fields: Vec<_> = of_each.zip(fields).map(|(part, laid)| part::Laid::new(part, laid)).collect();
        self.shape.columns[column].measure.lay(rows, values, parts, &mut fields);
        if let Some(valid) = valid {
            fields.iter_mut().for_each(|field| field.leave_out(valid));
        }
    }

    /// Where a unit has more rows than count, scales the sums over those rows as their number is about to be clipped, toward zero: a mean is then the one
    /// over all its rows, with the weight of those that count. What comes out is clipped like any other tally, so sensitivity does not rest on this.
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

    /// Thins and clips one unit's tally, adds it to `lanes` (in the tally's order), and clears it. Good for [`Plan::closes`] units, then the sums must be moved
    /// on to more bits.
    #[inline]
    pub fn close(&self, units: &mut i64, lanes: &mut [i64], tally: &mut [i64]) {
        *units += 1;
        self.thin(tally);
        for ((sum, part), clip) in lanes.iter_mut().zip(tally.iter_mut()).zip(&self.clips) {
            *sum += (*part).clamp(clip.lo, clip.hi);
            *part = 0;
        }
    }

    /// After so many calls no sum of [`Plan::close`] can have left 64 bits.
    pub fn closes(&self) -> u64 {
        let largest = self.parts.iter().map(|p| p.clip_lo.unsigned_abs().max(p.clip_hi.unsigned_abs())).max().unwrap_or(0);
        i64::MAX as u64 / largest.max(1)
    }

    /// Adds one unit's rows to its group, whole: what a fold over many units does in steps. `values` has a slice for each value of each column.
    ///
    /// # Errors
    /// [`GateError::Misfit`] when the number of slices or their lengths differ, or a vector comes in several rows.
    pub fn close_rows(&self, group: &mut GroupSums, values: &[&[f64]]) -> Result<(), GateError> {
        let wanted: usize = self.shape.columns.iter().map(|c| c.measure.values()).sum();
        let rows = values.first().map_or(1, |v| v.len());
        if values.len() != wanted || values.iter().any(|v| v.len() != rows) {
            return Err(GateError::Misfit(format!("{} values for {wanted}", values.len())));
        }
        if rows > 1 && self.parts.iter().any(|part| part.kind == Kind::Sum && part.lanes > 1) {
            // Each is within its norm, and their sum might not be.
            return Err(GateError::Misfit("several vectors of one unit".into()));
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

    /// Adds one program's contribution vector as a unit or block. What is not finite counts as the default in its place.
    ///
    /// # Errors
    /// [`GateError::Misfit`] when the lengths differ from the number of values that the columns take.
    pub fn close_vector(&self, group: &mut GroupSums, values: &[f64], defaults: &[f64]) -> Result<(), GateError> {
        self.close_vectors(group, &values.iter().map(std::slice::from_ref).collect::<Vec<_>>(), defaults)
    }

    /// [`Plan::close_vector`] for many units or blocks: `values` has a slice for each number of the vector, with a number for each of them.
    ///
    /// # Errors
    /// [`GateError::Misfit`] when the number of slices or their lengths differ.
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
                        // 32 bits each: 64 hold more of them than there can be.
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

    /// Checks that `sums` could have come from this plan: right lengths, no duplicate key, no sum beyond its units' clip range.
    ///
    /// # Errors
    /// [`GateError::Misfit`].
    pub fn check(&self, sums: &Sums) -> Result<(), GateError> {
        self.check_groups(&sums.groups)
    }

    /// [`Plan::check`] of some of the groups. Within them no key may come twice: it would be noised twice, and a unit would be in more groups than it
    /// pays for.
    ///
    /// # Errors
    /// [`GateError::Misfit`].
    pub fn check_groups(&self, groups: &[GroupSums]) -> Result<(), GateError> {
        let misfit = |what: &str| Err(GateError::Misfit(what.to_owned()));
        let mut seen = std::collections::HashSet::with_capacity(groups.len());
        for group in groups {
            if group.key.len() != self.shape.key_names.len() || group.lanes.len() != self.lanes() || group.units < 0 {
                return misfit("a group has the wrong shape");
            }
            if !seen.insert(format!("{:?}", group.key)) {
                return misfit("a key comes twice");
            }
            let units = i128::from(group.units);
            for part in &self.parts {
                let (lo, hi) = (units * i128::from(part.clip_lo), units * i128::from(part.clip_hi));
                let lanes = &group.lanes[part.range()];
                let all: i128 = lanes.iter().sum();
                if lanes.iter().any(|sum| !(lo..=hi).contains(sum)) || part.kind == Kind::Bins && all > hi {
                    return misfit("a sum lies beyond what its units can add");
                }
            }
        }
        Ok(())
    }
}
