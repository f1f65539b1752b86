//! Public shape of a job's release, and the plan laid out from the shape.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tidegate_protocol::{job::Blocks, limits};

use crate::{GateError, Kind, Measure, Part, part::Frame, reduce::Reduce as _};

/// A result column, or several released together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Name in the result.
    pub name: String,
    /// Names of its result columns, if different from the measure's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub titles: Vec<String>,
    /// Measure of the column.
    pub measure: Measure,
    /// Part of the job's ρ, relative to the other columns' weights; within [`WEIGHTS`](limits::WEIGHTS).
    pub weight: f64,
}

impl Column {
    /// Builds a column of weight 1.
    pub fn new(name: impl Into<String>, measure: Measure) -> Self {
        Self { name: name.into(), titles: vec![], measure, weight: 1.0 }
    }
}

/// Key mode: which groups appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Keys {
    /// A single group, always.
    None,
    /// This number of declared groups, always all of them.
    Declared(u32),
    /// Groups whose noisy number of units passes a threshold, no lower than this floor.
    Undeclared {
        /// Floor on the threshold.
        min_units: u32,
        /// Whether the others are added up and released as a single row.
        remainder: bool,
    },
}

/// Shape of a release: all public numbers on which its sensitivity depends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// Names of the key columns.
    pub key_names: Vec<String>,
    /// Key mode: which groups appear.
    pub keys: Keys,
    /// Result columns.
    pub columns: Vec<Column>,
    /// κ: maximum number of groups in which a unit counts.
    pub max_groups: u32,
    /// Maximum number of a unit's rows counted in a group.
    pub max_rows: u32,
    /// Blocks of sample and aggregate; `None` for per-unit contributions.
    pub blocks: Option<Blocks>,
}

impl Shape {
    pub(crate) fn frame(&self) -> Frame {
        Frame { rows: i64::from(self.max_rows), blocks: self.blocks.map(|blocks| blocks.number) }
    }
}

/// Checked shape with its parts.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) shape: Shape,
    pub(crate) parts: Vec<Part>,
    /// First part of each column.
    pub(crate) first: Vec<usize>,
    /// Clip range of each summed lane: the lanes of the tally.
    pub(crate) clips: Vec<Clip>,
    /// Lanes of the tally to be thinned together ([`Plan::close`]).
    pub(crate) per_row: Vec<PerRow>,
    lanes: usize,
}

/// Tally lanes of a measure dividing sums over rows by the number of these rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PerRow {
    /// Lanes of the sums.
    pub(crate) sums: Range<usize>,
    /// Lane of the number of rows.
    pub(crate) rows: usize,
}

/// Clip range of a summed lane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clip {
    pub(crate) lo: i64,
    pub(crate) hi: i64,
}

impl Plan {
    /// Checks `shape` and lays out its parts.
    ///
    /// # Errors
    /// Returns [`GateError::Shape`] if a bound, a count, a weight or κ is out of range.
    pub fn new(shape: Shape) -> Result<Self, GateError> {
        let bad = |column: &str, problem: String| GateError::Shape { column: column.into(), problem };
        if shape.columns.is_empty() {
            return Err(bad("", "nothing is measured".into()));
        }
        if shape.keys == Keys::None && !shape.key_names.is_empty() {
            return Err(bad("", "key columns without keys".into()));
        }
        if shape.max_groups == 0 || shape.max_rows == 0 {
            return Err(bad("", "max_groups and max_rows must be positive".into()));
        }
        if shape.blocks.is_some() && (shape.keys != Keys::None || shape.max_rows != 1) {
            return Err(bad("", "blocks cannot be combined with keys, or with several rows".into()));
        }
        if shape.blocks.is_some_and(|b| b.number < 2 || !(1..b.number).contains(&b.resample)) {
            return Err(bad("", "at least two blocks are needed, and no privacy unit may be in all of them".into()));
        }
        // A unit that comes or goes changes each block that it is in, and each of those changes moves the sums by as much.
        let changes = shape.blocks.map_or(1, |blocks| i64::from(blocks.resample));
        let (mut parts, mut first, mut lanes) = (Vec::<Part>::new(), Vec::new(), 0);
        for column in &shape.columns {
            if !limits::WEIGHTS.contains(&column.weight) {
                let (least, most) = (limits::WEIGHTS.start(), limits::WEIGHTS.end());
                return Err(bad(&column.name, format!("its weight {:e} is not between {least} and {most}", column.weight)));
            }
            first.push(parts.len());
            for part in column.measure.parts(shape.frame()).map_err(|problem| bad(&column.name, problem))? {
                let sensitivity = part.sensitivity.checked_mul(changes);
                let sensitivity = sensitivity.ok_or_else(|| bad(&column.name, "a privacy unit is in too many blocks".into()))?;
                parts.push(Part { first: lanes, sensitivity, ..part });
                lanes += part.lanes;
            }
        }
        let summed = parts.iter().filter(|p| p.kind != Kind::Bins);
        let clips = summed.flat_map(|p| p.range().map(|_| Clip { lo: p.clip_lo, hi: p.clip_hi })).collect();
        let mut plan = Self { shape, parts, first, clips, per_row: vec![], lanes };
        plan.per_row = plan.thinned();
        Ok(plan)
    }

    /// Returns the lanes of the tally to be thinned together. Over blocks their number is public, and none are thinned.
    fn thinned(&self) -> Vec<PerRow> {
        let (mut tally, mut found) = (0, Vec::new());
        for (i, column) in self.shape.columns.iter().enumerate() {
            let parts = self.parts[self.parts_of(i)].iter().filter(|part| part.kind != Kind::Bins);
            let end = tally + parts.map(|part| part.lanes).sum::<usize>();
            if column.measure.is_per_row() && self.shape.blocks.is_none() && end > tally + 1 {
                found.push(PerRow { sums: tally..end - 1, rows: end - 1 });
            }
            tally = end;
        }
        found
    }

    /// Returns the shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Returns the parts, in column order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Returns the number of integers of a group.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// Returns the parts of column `column`.
    pub fn parts_of(&self, column: usize) -> Range<usize> {
        self.first[column]..self.first.get(column + 1).copied().unwrap_or(self.parts.len())
    }

    /// Returns how many fields (vectors of an integer per row) column `column` has ([`Plan::lay`]).
    pub fn fields_of(&self, column: usize) -> usize {
        self.parts[self.parts_of(column)].iter().map(Part::fields).sum()
    }

    /// Returns the maximum number of a unit's rows sure to stay within the clip range of every part except parts counting
    /// [once](Kind::Once).
    ///
    /// Each row lies within the column's bounds, and the range is `max_rows` times as wide. These rows may be added without a
    /// tally.
    pub fn rows_within_clip(&self) -> usize {
        self.shape.max_rows as usize
    }

    /// Returns the κ in force: a unit cannot count in more groups than there are.
    pub fn kappa(&self) -> u32 {
        match self.shape.keys {
            Keys::None => 1,
            Keys::Declared(n) => self.shape.max_groups.min(n.max(1)),
            Keys::Undeclared { .. } => self.shape.max_groups,
        }
    }

    /// Returns the neighbouring relation's name in receipts.
    pub fn adjacency(&self) -> &'static str {
        match self.shape.blocks {
            None => "add-remove-one-unit",
            Some(Blocks { resample: 1, .. }) => "change-one-block",
            Some(_) => "change-resampled-blocks",
        }
    }

    /// Returns the names of the result's columns, in the order of a row's cells.
    pub fn result_names(&self) -> Vec<String> {
        let names = |c: &Column| match c.measure.names(&c.name) {
            names if names.len() == c.titles.len() => c.titles.clone(),
            names => names,
        };
        self.shape.columns.iter().flat_map(names).collect()
    }
}
