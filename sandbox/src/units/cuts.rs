//! Boundaries between privacy units, where rows can be cut into pieces with no unit in common.

use arrow::{
    array::Array as _,
    compute::{cast, filter, is_not_null},
    datatypes::SchemaRef,
};
use serde::{Deserialize, Serialize};

use super::{
    batch::BATCH,
    part::Layout,
    runs::{Encoder, Unit},
    text,
};
use crate::{Extent, RunError};

/// Rows at which a range can be cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cuts {
    /// First of the rows examined.
    pub from: u64,
    /// First row after them.
    pub to: u64,
    /// Rows in between at which a unit begins, ascending.
    pub at: Vec<u64>,
    /// Whether `at` lists all such rows.
    pub all: bool,
}

/// Finds the rows at which a unit other than the first begins: all of them, or about `most` at roughly equal distances.
///
/// Reads the column `unit` and nothing else.
///
/// # Errors
/// Returns [`RunError::Data`] if a file is unreadable, and [`RunError::Unordered`] if a unit comes back after another: it could
/// then be in two pieces and count twice.
pub fn cuts<'a>(files: impl Into<Extent<'a>>, schema: &SchemaRef, unit: &str, most: usize) -> Result<Cuts, RunError> {
    let layout = Layout::open(files.into())?;
    let field = schema.field_with_name(unit)?;
    let encode = Encoder::new(field.data_type())?;
    let (from, to) = layout.bounds();
    let apart = (to - from) / most.max(1) as u64;
    let mut found = Cuts { from, to, at: vec![], all: true };
    let (mut last, mut start, mut next): (Option<Unit>, u64, u64) = (None, from, from + apart.max(1));
    for group in 0..layout.len() {
        for batch in layout.read(group, std::iter::once(unit), BATCH)? {
            let batch = batch?;
            let column = batch.column_by_name(unit).ok_or_else(|| RunError::Data("no unit column".into()))?;
            let whose = cast(&text::named(column)?, field.data_type())?;
            // A row without a unit is nobody's and may fall into either piece.
            let named: Vec<usize> = (0..whose.len()).filter(|row| whose.is_valid(*row)).collect();
            let runs =
                encode.runs(&if named.len() < whose.len() { filter(&whose, &is_not_null(&whose)?)? } else { whose.clone() })?;
            for (unit, rows) in runs.units().zip(&runs.rows) {
                match last.as_ref().map(Unit::as_ref) {
                    Some(last) if last == unit => continue,
                    Some(last) if last > unit => return Err(RunError::Unordered),
                    None => {}
                    Some(_) => {
                        let row = start + named[rows.start] as u64;
                        if row >= next {
                            found.at.push(row);
                            next = row + apart;
                        } else {
                            found.all = false;
                        }
                    }
                }
                last = Some(unit.to_owned());
            }
            start += whose.len() as u64;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, sync::Arc};

    use arrow::{
        array::{ArrayRef, Int64Array, RecordBatch},
        datatypes::SchemaRef,
    };
    use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};

    use super::*;
    use crate::Piece;

    fn file(units: &[Option<i64>], group: usize) -> (File, SchemaRef) {
        let column = Arc::new(Int64Array::from(units.to_vec())) as ArrayRef;
        let batch = RecordBatch::try_from_iter_with_nullable([("who", column, true)]).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
        let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        (file, batch.schema())
    }

    /// Cuts are where a unit begins, wherever row groups end; pieces between any two of them have no unit in common, and all rows are in one.
    #[test]
    fn rows_are_cut_where_a_unit_begins() {
        let units: Vec<Option<i64>> =
            (0..400i64).flat_map(|u| (0..u % 5 + 1).map(move |i| (i != 2 && u % 7 != 0).then_some(u))).collect();
        let mut begins = vec![];
        let mut last = None;
        for (row, unit) in units.iter().enumerate().filter_map(|(row, unit)| Some((row as u64, (*unit)?))) {
            if last.is_some_and(|last| last != unit) {
                begins.push(row);
            }
            last = Some(unit);
        }
        for group in [7, 100, 100_000] {
            let (file, schema) = file(&units, group);
            let files = [file];
            let all = cuts(&files, &schema, "who", usize::MAX).unwrap();
            assert_eq!((all.from, all.to, &all.at, all.all), (0, units.len() as u64, &begins, true), "{group}");
            let some = cuts(&files, &schema, "who", 10).unwrap();
            assert!(!some.all && (5..=11).contains(&some.at.len()) && some.at.iter().all(|cut| begins.contains(cut)));
            // Within a piece: its own.
            let (from, to) = (some.at[1], some.at[3]);
            let piece = Extent::of(&files, Some(Piece::Rows { from, to }));
            let within = cuts(piece, &schema, "who", usize::MAX).unwrap();
            let mine: Vec<u64> = begins.iter().copied().filter(|row| (from + 1..to).contains(row)).collect();
            assert_eq!((within.from, within.to, within.at, within.all), (from, to, mine, true), "{group}");
        }
        let (back, schema) = file(&[Some(1), Some(2), None, Some(1)], 2);
        assert!(matches!(cuts(&[back], &schema, "who", 9), Err(RunError::Unordered)));
        let (nobody, schema) = file(&[None, None], 2);
        assert!(cuts(&[nobody], &schema, "who", 9).unwrap().at.is_empty());
    }
}
