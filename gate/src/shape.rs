//! What a job releases, in public numbers, and the plan that is laid out from it.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tidegate_protocol::{job::Blocks, limits};

use crate::{GateError, Kind, Measure, Part, part::Frame, reduce::Reduce as _};

/// One result column, or a few that are released together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Name in the result.
    pub name: String,
    /// Names of its result columns, where they have others than the measure gives them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub titles: Vec<String>,
    /// What is measured.
    pub measure: Measure,
    /// Its part of the job's ρ, relative to the other columns' weights; one of [`WEIGHTS`](limits::WEIGHTS).
    pub weight: f64,
}

impl Column {
    /// A column of weight 1.
    pub fn new(name: impl Into<String>, measure: Measure) -> Self {
        Self { name: name.into(), titles: vec![], measure, weight: 1.0 }
    }
}

/// Which groups appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Keys {
    /// One group, always.
    None,
    /// So many declared groups, always all of them.
    Declared(u32),
    /// Those whose noisy number of units passes a threshold, no lower than this floor.
    Undeclared {
        /// Floor on the threshold.
        min_units: u32,
        /// The others are added up and released as one row.
        remainder: bool,
    },
}

/// A release in public numbers: everything its sensitivity depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// Names of the key columns.
    pub key_names: Vec<String>,
    /// Which groups appear.
    pub keys: Keys,
    /// Result columns.
    pub columns: Vec<Column>,
    /// κ: most groups one unit counts in.
    pub max_groups: u32,
    /// Most rows of one unit that count in one group.
    pub max_rows: u32,
    /// For sample and aggregate; `None` for per-unit contributions.
    pub blocks: Option<Blocks>,
}

impl Shape {
    pub(crate) fn frame(&self) -> Frame {
        Frame { rows: i64::from(self.max_rows), blocks: self.blocks.map(|blocks| blocks.number) }
    }
}

/// A checked shape with its parts.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) shape: Shape,
    pub(crate) parts: Vec<Part>,
    /// First part of each column.
    pub(crate) first: Vec<usize>,
    /// Clip range of each lane that is a sum: those a tally is kept of.
    pub(crate) clips: Vec<Clip>,
    /// Which of those lanes are thinned together ([`Plan::close`]).
    pub(crate) per_row: Vec<PerRow>,
    lanes: usize,
}

/// The tally's lanes of one measure that divides sums over rows by the number of those rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PerRow {
    /// The sums.
    pub(crate) sums: Range<usize>,
    /// The number of rows.
    pub(crate) rows: usize,
}

/// A summed lane's clip range.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clip {
    pub(crate) lo: i64,
    pub(crate) hi: i64,
}

impl Plan {
    /// Checks `shape` and lays out its parts.
    ///
    /// # Errors
    /// [`GateError::Shape`] for bounds, counts, weights or κ out of range.
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
            return Err(bad("", "blocks take neither keys nor several rows".into()));
        }
        if shape.blocks.is_some_and(|b| b.number < 2 || !(1..b.number).contains(&b.resample)) {
            return Err(bad("", "at least two blocks are needed, and no unit may be in all of them".into()));
        }
        // A unit that comes or goes changes each block that it is in, and each of them moves the sums by as much.
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
                let sensitivity = sensitivity.ok_or_else(|| bad(&column.name, "a unit is in too many blocks".into()))?;
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

    /// Which lanes of the tally are thinned together. Over blocks the number of them is public, and none are.
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

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The parts, in column order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// How many integers a group has.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// The parts of column `column`.
    pub fn parts_of(&self, column: usize) -> Range<usize> {
        self.first[column]..self.first.get(column + 1).copied().unwrap_or(self.parts.len())
    }

    /// How many vectors of one integer a row lay column `column` ([`Plan::lay`]).
    pub fn fields_of(&self, column: usize) -> usize {
        self.parts[self.parts_of(column)].iter().map(Part::fields).sum()
    }

    /// So many rows of a unit cannot leave the clip range of any part but those that count [once](Kind::Once): each row lies within the column's
    /// bounds, and the range is `max_rows` times as wide. They may be added without a tally.
    pub fn rows_within_clip(&self) -> usize {
        self.shape.max_rows as usize
    }

    /// κ in force: a unit cannot count in more groups than there are.
    pub fn kappa(&self) -> u32 {
        match self.shape.keys {
            Keys::None => 1,
            Keys::Declared(n) => self.shape.max_groups.min(n.max(1)),
            Keys::Undeclared { .. } => self.shape.max_groups,
        }
    }

    /// The neighbouring relation, as receipts name it.
    pub fn adjacency(&self) -> &'static str {
        match self.shape.blocks {
            None => "add-remove-one-unit",
            Some(Blocks { resample: 1, .. }) => "change-one-block",
            Some(_) => "change-resampled-blocks",
        }
    }

    /// Names of the result's columns, in the order of a row's cells.
    pub fn result_names(&self) -> Vec<String> {
        let names = |c: &Column| match c.measure.names(&c.name) {
            names if names.len() == c.titles.len() => c.titles.clone(),
            names => names,
        };
        self.shape.columns.iter().flat_map(names).collect()
    }
}
