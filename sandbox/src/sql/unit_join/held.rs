//! Buffer of an input's rows until all rows of their units are present.

use std::ops::Range;

use arrow::{
    array::{Array as _, ArrayRef, new_empty_array},
    compute::{cast, concat},
    datatypes::DataType,
};
use tidegate_protocol::limits;

use crate::{
    RunError,
    units::{Chunk, Unit, UnitRef, shorten, width},
};

/// Buffered rows.
pub(in crate::sql) struct Held {
    kinds: Vec<DataType>,
    /// Maximum number of rows per unit; rows beyond are treated as absent.
    most: usize,
    /// Units, ascending, with their numbers of rows.
    units: Vec<(Unit, usize)>,
    pieces: Vec<Vec<ArrayRef>>,
}

/// All rows of some units.
pub(super) struct Side {
    pub(super) units: Vec<Unit>,
    pub(super) rows: Vec<Range<usize>>,
    pub(super) columns: Vec<ArrayRef>,
}

impl Held {
    /// Creates a buffer for columns of these types.
    pub(super) fn new(kinds: Vec<DataType>) -> Self {
        let most = (limits::JOIN_BYTES / width(&kinds)).max(1);
        Self { kinds, most, units: vec![], pieces: vec![] }
    }

    /// Returns the number of buffered rows.
    pub(in crate::sql) fn len(&self) -> usize {
        self.units.iter().map(|(_, rows)| rows).sum()
    }

    /// Adds rows of units not before the buffered units.
    pub(in crate::sql) fn add(&mut self, chunk: &Chunk) -> Result<(), RunError> {
        // Ranges of adjacent rows that are kept.
        let mut kept: Vec<Range<usize>> = Vec::new();
        for (i, run) in chunk.runs.rows.iter().enumerate() {
            let unit = chunk.runs.unit(i);
            if self.units.last().map(|(last, _)| last.as_ref()) != Some(unit) {
                self.units.push((unit.to_owned(), 0));
            }
            let Some((_, rows)) = self.units.last_mut() else { continue };
            let more = run.len().min(self.most - *rows);
            *rows += more;
            match kept.last_mut() {
                Some(last) if last.end == run.start => last.end += more,
                _ => kept.push(run.start..run.start + more),
            }
        }
        if kept.iter().all(Range::is_empty) {
            return Ok(());
        }
        let column = |(column, kind): (&ArrayRef, &DataType)| {
            let column = shorten(column, limits::TEXT_CHARS)?;
            Ok(if column.data_type() == kind { column } else { cast(&column, kind)? })
        };
        let columns = chunk.columns.iter().zip(&self.kinds).map(column).collect::<Result<Vec<_>, RunError>>()?;
        let piece = |kept: &Range<usize>| columns.iter().map(|c| c.slice(kept.start, kept.len())).collect();
        self.pieces.extend(kept.iter().filter(|kept| !kept.is_empty()).map(piece));
        Ok(())
    }

    /// Takes the rows of units below `below`, or of all units if `None`.
    pub(super) fn take(&mut self, below: Option<UnitRef<'_>>) -> Result<Side, RunError> {
        let done = below.map_or(self.units.len(), |below| self.units.partition_point(|(unit, _)| unit.as_ref() < below));
        let mut side = Side { units: Vec::with_capacity(done), rows: Vec::with_capacity(done), columns: vec![] };
        if done == 0 {
            side.columns = self.kinds.iter().map(new_empty_array).collect();
            return Ok(side);
        }
        let mut rows = 0;
        for (unit, of_unit) in self.units.drain(..done) {
            side.units.push(unit);
            side.rows.push(rows..rows + of_unit);
            rows += of_unit;
        }
        let left: usize = self.units.iter().map(|(_, rows)| rows).sum();
        let mut rest = Vec::with_capacity(self.kinds.len());
        for i in 0..self.kinds.len() {
            let pieces: Vec<_> = self.pieces.iter().map(|piece| piece[i].as_ref()).collect();
            let all = concat(&pieces)?;
            side.columns.push(all.slice(0, rows));
            rest.push(all.slice(rows, left));
        }
        self.pieces = if left > 0 { vec![rest] } else { vec![] };
        Ok(side)
    }
}
