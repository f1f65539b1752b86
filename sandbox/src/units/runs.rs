//! Runs of a batch: adjacent rows of a privacy unit form a run.

use std::ops::Range;

use arrow::{
    array::{Array, ArrayRef, AsArray, UInt64Array},
    compute::{cast, partition, take},
    datatypes::{DataType, Int64Type, UInt64Type},
    row::{RowConverter, Rows, SortField},
};

use crate::RunError;

/// Borrowed unit in a form with the sort order of units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnitRef<'a> {
    /// Integer; unsigned 64-bit integers are shifted to keep their order.
    Int(i64),
    /// Any other type, in Arrow's row format.
    Bytes(&'a [u8]),
}

/// Owned unit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// Owned form of [`UnitRef::Int`].
    Int(i64),
    /// Owned form of [`UnitRef::Bytes`].
    Bytes(Box<[u8]>),
}

impl UnitRef<'_> {
    /// Calls `use_` with bytes unique to this unit within its column.
    pub fn with_bytes<T>(self, use_: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Self::Int(value) => use_(&value.to_le_bytes()),
            Self::Bytes(bytes) => use_(bytes),
        }
    }

    /// Returns a copy independent of the batch.
    pub fn to_owned(self) -> Unit {
        match self {
            Self::Int(value) => Unit::Int(value),
            Self::Bytes(bytes) => Unit::Bytes(bytes.into()),
        }
    }
}

impl Unit {
    /// Borrows the unit.
    pub fn as_ref(&self) -> UnitRef<'_> {
        match self {
            Self::Int(value) => UnitRef::Int(*value),
            Self::Bytes(bytes) => UnitRef::Bytes(bytes),
        }
    }
}

/// Runs of a batch.
pub struct Runs {
    units: Units,
    /// Row range of each run.
    pub rows: Vec<Range<usize>>,
}

enum Units {
    Int(Vec<i64>),
    Rows(Rows),
    Owned(Vec<Unit>),
}

impl Runs {
    /// Builds runs from units and their row ranges, in order.
    pub(crate) fn of(units: Vec<Unit>, rows: Vec<Range<usize>>) -> Self {
        Self { units: Units::Owned(units), rows }
    }

    /// Returns the runs of chosen rows, where `of` is the source row of each, ascending.
    pub(crate) fn chosen(&self, of: &[u64]) -> Self {
        let (mut units, mut rows, mut start) = (Vec::new(), Vec::new(), 0);
        for (i, run) in self.rows.iter().enumerate() {
            let end = start + of[start..].partition_point(|row| (*row as usize) < run.end);
            if end > start {
                units.push(self.unit(i).to_owned());
                rows.push(start..end);
                start = end;
            }
        }
        Self::of(units, rows)
    }

    /// Returns the runs of the `rows` rows from row `from` on.
    pub(crate) fn slice(&self, from: usize, rows: usize) -> Self {
        let first = self.rows.partition_point(|run| run.end <= from);
        let mine = self.rows[first..].iter().take_while(|run| run.start < from + rows);
        let mine: Vec<_> = mine.map(|run| run.start.max(from) - from..run.end.min(from + rows) - from).collect();
        Self::of((first..first + mine.len()).map(|i| self.unit(i).to_owned()).collect(), mine)
    }

    /// Returns the number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.last().map_or(0, |last| last.end)
    }

    /// Returns the runs' units, in the order of [`Runs::rows`].
    pub fn units(&self) -> impl Iterator<Item = UnitRef<'_>> {
        (0..self.rows.len()).map(|i| self.unit(i))
    }

    /// Returns whether each unit is less than the next.
    pub(super) fn ascend(&self) -> bool {
        match &self.units {
            Units::Int(values) => values.is_sorted_by(|a, b| a < b),
            Units::Rows(_) | Units::Owned(_) => self.units().is_sorted_by(|a, b| a < b),
        }
    }

    /// Returns the unit of run `i`.
    #[inline]
    pub fn unit(&self, i: usize) -> UnitRef<'_> {
        match &self.units {
            Units::Int(values) => UnitRef::Int(values[i]),
            Units::Rows(rows) => UnitRef::Bytes(rows.row(i).data()),
            Units::Owned(units) => units[i].as_ref(),
        }
    }

    /// Returns the first row after the leading runs for which `holds` is true.
    pub(super) fn end_of(&self, holds: impl Fn(UnitRef<'_>) -> bool) -> usize {
        let runs = self.units().take_while(|unit| holds(*unit)).count();
        runs.checked_sub(1).map_or(0, |last| self.rows[last].end)
    }
}

/// Run finder for unit columns of a given type.
pub(super) enum Encoder {
    Int,
    Unsigned,
    Rows(RowConverter),
}

impl Encoder {
    pub(super) fn new(kind: &DataType) -> Result<Self, RunError> {
        Ok(match kind {
            DataType::UInt64 => Self::Unsigned,
            kind if kind.is_integer() => Self::Int,
            other => Self::Rows(RowConverter::new(vec![SortField::new(other.clone())])?),
        })
    }

    /// Finds the runs of a column without NULL.
    pub(super) fn runs(&self, column: &ArrayRef) -> Result<Runs, RunError> {
        match self {
            Self::Int => {
                let column =
                    if *column.data_type() == DataType::Int64 { column.clone() } else { cast(column, &DataType::Int64)? };
                Ok(int_runs(column.as_primitive::<Int64Type>().values()))
            }
            Self::Unsigned => {
                let shifted = column.as_primitive::<UInt64Type>().values().iter().map(|v| (v ^ (1 << 63)) as i64);
                Ok(int_runs(&shifted.collect::<Vec<_>>()))
            }
            Self::Rows(encode) => {
                let rows = if column.is_empty() { vec![] } else { partition(std::slice::from_ref(column))?.ranges() };
                let first = rows.iter().map(|run| run.start as u64).collect::<UInt64Array>();
                Ok(Runs { units: Units::Rows(encode.convert_columns(&[take(column, &first, None)?])?), rows })
            }
        }
    }
}

fn int_runs(values: &[i64]) -> Runs {
    let (mut units, mut rows, mut start) = (Vec::new(), Vec::new(), 0);
    for run in values.chunk_by(|a, b| a == b) {
        units.push(run[0]);
        rows.push(start..start + run.len());
        start += run.len();
    }
    Runs { units: Units::Int(units), rows }
}
