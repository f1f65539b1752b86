//! Splits files into parts for several threads, with each privacy unit wholly in a single part.
//!
//! A part owns the units above its own bound and up to the next part's. Bounds are the units in which row groups begin, so the
//! intervals are disjoint whatever the files hold, and no unit can be counted by two threads.

use std::ops::Range;

use arrow::{array::Array, compute::cast, datatypes::SchemaRef};
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector},
};

use tidegate_protocol::limits;

use super::{
    runs::{Encoder, Unit},
    source::Source,
    text,
};
use crate::{Extent, RunError};

/// Minimum number of rows worth a thread.
const MIN_ROWS: i64 = 100_000;

/// Maximum bytes of a column's pages of a row group in memory together.
const PAGES: usize = 32 << 20;
/// Minimum number of rows in a batch reduced because of `PAGES`.
const LEAST: usize = 256;

/// Files, or a piece of them, as a sequence of row groups.
pub(super) struct Layout {
    sources: Vec<Source>,
    groups: Vec<Place>,
    /// Number of the piece's first row among all files' rows, and of the first row after the piece.
    from: u64,
    to: u64,
    /// Number of rows in all files.
    all: i64,
}

/// Row group, or its rows within the piece.
struct Place {
    source: usize,
    group: usize,
    rows: i64,
    /// Selected rows of the group; `None` for all.
    selected: Option<RowSelection>,
}

/// Selects from the rows `all` the rows in `wanted` and in none of `without`, which must be in order.
fn select(all: Range<u64>, wanted: &Range<u64>, without: &[Range<u64>]) -> RowSelection {
    let within = |row: u64| row.clamp(all.start, all.end);
    let begin = within(wanted.start);
    let (mut selectors, mut at) = (vec![RowSelector::skip((begin - all.start) as usize)], begin);
    let end = within(wanted.end).max(begin);
    for gap in without {
        let (from, to) = (gap.start.clamp(at, end), gap.end.clamp(at, end));
        selectors.extend([RowSelector::select((from - at) as usize), RowSelector::skip((to - from) as usize)]);
        at = to;
    }
    selectors.push(RowSelector::select((end - at) as usize));
    RowSelection::from(selectors)
}

/// Units `above < unit ≤ up_to` (encoded, `None` is no bound), which begin in the row groups `start..end`.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) above: Option<Unit>,
    pub(super) up_to: Option<Unit>,
}

impl Layout {
    pub(super) fn open(extent: Extent<'_>) -> Result<Self, RunError> {
        let sources = extent.files.iter().map(Source::open).collect::<Result<Vec<_>, _>>()?;
        let (wanted, mut groups, mut start) = (extent.rows(), vec![], 0u64);
        for (source, s) in sources.iter().enumerate() {
            for (group, g) in s.footer.metadata().row_groups().iter().enumerate() {
                let end = start + g.num_rows().max(0) as u64;
                let selected = select(start..end, &wanted, extent.without);
                let rows = selected.row_count() as i64;
                if rows == g.num_rows() {
                    groups.push(Place { source, group, rows, selected: None });
                } else if rows > 0 {
                    groups.push(Place { source, group, rows, selected: Some(selected) });
                }
                start = end;
            }
        }
        Ok(Self { sources, groups, from: wanted.start.min(start), to: wanted.end.min(start), all: start as i64 })
    }

    /// Returns the number of the first row and of the row after the last.
    pub(super) fn bounds(&self) -> (u64, u64) {
        (self.from, self.to)
    }

    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    fn rows(&self) -> i64 {
        self.groups.iter().map(|g| g.rows).sum()
    }

    /// Returns how many threads are worth starting for all files, even if this is a piece of them: threads share the memory, and
    /// a unit's part of it must not be larger when run with all others than when run alone.
    pub(super) fn ways(&self) -> usize {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        processors.min((self.all / MIN_ROWS) as usize).max(1)
    }

    /// Reads a row group's named columns in batches.
    pub(super) fn read<'a>(
        &self,
        group: usize,
        names: impl Iterator<Item = &'a str>,
        batch: usize,
    ) -> Result<ParquetRecordBatchReader, RunError> {
        let place = &self.groups[group];
        let source = &self.sources[place.source];
        // Matched by column name: a dot in a name would split a path.
        let names: Vec<&str> = names.collect();
        let fields = source.footer.schema().fields().iter().enumerate();
        let roots: Vec<usize> = fields.filter(|(_, f)| names.contains(&f.name().as_str())).map(|(i, _)| i).collect();
        // A text stored once in a file may occur in every row: rows then are views of it, with fewer rows at a time if pages are
        // large.
        let (mut footer, mut batch) = (&source.footer, batch);
        for root in &roots {
            let kind = source.footer.schema().field(*root).data_type();
            if kind != source.views.schema().field(*root).data_type() {
                let texts = source.texts(place.group, *root)?;
                if texts.longest > 4 * limits::TEXT_CHARS || texts.bytes > PAGES {
                    footer = &source.views;
                    batch =
                        batch.min((batch as u128 * PAGES as u128 / texts.bytes.max(1) as u128) as usize).max(batch.min(LEAST));
                }
            }
        }
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(source.file.clone(), footer.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let builder = builder.with_projection(mask).with_row_groups(vec![place.group]).with_batch_size(batch);
        match &place.selected {
            None => Ok(builder.build()?),
            // Rows outside the piece are skipped, not decoded.
            Some(selected) => Ok(builder.with_row_selection(selected.clone()).build()?),
        }
    }

    /// Returns all rows as a single part.
    pub(super) fn whole(&self) -> Part {
        Part { start: 0, end: self.len(), above: None, up_to: None }
    }

    /// Splits the rows into at most `ways` parts of roughly equal numbers of rows.
    ///
    /// # Errors
    /// Returns [`RunError::Unordered`] if row groups do not begin with ascending units.
    pub(super) fn split(&self, wanted: &SchemaRef, unit: usize, ways: usize) -> Result<Vec<Part>, RunError> {
        let total = self.rows();
        let ways = ways as i64;
        let mut parts = vec![self.whole()];
        let mut before = 0;
        for (i, place) in self.groups.iter().enumerate() {
            if i > 0 && before * ways >= total * parts.len() as i64 && (parts.len() as i64) < ways {
                let Some(bound) = self.first_unit(i, wanted, unit)? else { break };
                if let Some(last) = parts.last_mut() {
                    if last.above.as_ref().is_some_and(|above| *above > bound) {
                        return Err(RunError::Unordered);
                    }
                    (last.end, last.up_to) = (i, Some(bound.clone()));
                }
                parts.push(Part { start: i, end: self.len(), above: Some(bound), up_to: None });
            }
            before += place.rows;
        }
        Ok(parts)
    }

    /// Returns the first unit at or after a row group's start, encoded; `None` if no row from there on has a unit.
    fn first_unit(&self, from: usize, wanted: &SchemaRef, unit: usize) -> Result<Option<Unit>, RunError> {
        let field = wanted.field(unit);
        let encode = Encoder::new(field.data_type())?;
        for group in from..self.len() {
            for batch in self.read(group, std::iter::once(field.name().as_str()), 1024)? {
                let batch = batch?;
                let column = batch.column_by_name(field.name()).ok_or_else(|| RunError::Data("no unit column".into()))?;
                let column = text::named(column)?;
                if let Some(row) = (0..column.len()).find(|&i| column.is_valid(i)) {
                    let one = cast(&column.slice(row, 1), field.data_type())?;
                    return Ok(Some(encode.runs(&one)?.unit(0).to_owned()));
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows are selected that are wanted and not passed over, whatever lies where.
    #[test]
    fn rows_are_in_the_piece_and_in_no_gap() {
        let gaps: [&[Range<u64>]; 5] = [&[], &[0..10, 11..11], &[12..13, 15..40], &[3..11, 19..21], &[60..70, 80..81]];
        for (start, end) in [(0, 20), (10, 20), (10, 10), (35, 50)] {
            for wanted in [0..u64::MAX, 0..12, 12..16, 12..12, 18..37, 40..90] {
                for without in gaps {
                    let selected = select(start..end, &wanted, without);
                    let mut at = start;
                    let mut got = vec![];
                    for one in selected.iter() {
                        let next = at + one.row_count as u64;
                        got.extend((at..next).filter(|_| !one.skip));
                        at = next;
                    }
                    let want: Vec<u64> =
                        (start..end).filter(|row| wanted.contains(row) && !without.iter().any(|gap| gap.contains(row))).collect();
                    assert_eq!(got, want, "{start}..{end} {wanted:?} {without:?}");
                }
            }
        }
    }
}
