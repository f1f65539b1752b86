//! Grouping of each unit's rows for a program.

use datafusion::arrow::{
    array::{ArrayRef, RecordBatch, UInt32Array},
    compute::take_record_batch,
    datatypes::SchemaRef,
};
use tidegate_protocol::limits;

use super::{
    batch::width,
    runs::{Unit, UnitRef},
    scan::{Chunk, Scan},
    text::shorten,
};
use crate::{Extent, RunError, sql::Select};

/// Returns the maximum number of rows of a unit passed to a program.
///
/// It follows from the columns' types alone, so that no unit, however many rows it has and however long their texts, can make a
/// worker outgrow its memory. A crash would show in everybody's result.
fn most_rows(columns: &[ArrayRef]) -> usize {
    limits::UNIT_BYTES / width(&columns.iter().map(|c| c.data_type().clone()).collect::<Vec<_>>())
}

/// Unit with its rows so far.
struct Gathered {
    unit: Unit,
    parts: Vec<RecordBatch>,
    rows: usize,
}

/// Calls `visit(unit, rows)` once for each unit, with its rows as a single batch of the selected columns.
///
/// Of a unit with more than [`limits::UNIT_BYTES`] the batch holds only the first rows, up to this limit. Texts have at most
/// [`limits::TEXT_CHARS`] characters.
///
/// # Errors
/// As for [`Scan::run`].
pub fn each_unit<'a>(
    files: impl Into<Extent<'a>>,
    select: &Select,
    visit: impl FnMut(UnitRef<'_>, RecordBatch) -> Result<(), RunError>,
) -> Result<(), RunError> {
    each_unit_as(files.into(), select, |column| Ok(column.clone()), visit)
}

/// Acts as [`each_unit`], with each column converted by `of` for the program, for many units at once.
///
/// # Errors
/// As for [`Scan::run`]; also errors of `of`.
pub(crate) fn each_unit_as(
    files: Extent<'_>,
    select: &Select,
    of: impl Fn(&ArrayRef) -> Result<ArrayRef, RunError>,
    mut visit: impl FnMut(UnitRef<'_>, RecordBatch) -> Result<(), RunError>,
) -> Result<(), RunError> {
    let mut schema: Option<SchemaRef> = None;
    let mut open: Option<Gathered> = None;
    let mut finish = |schema: &SchemaRef, gathered: &Gathered| {
        let rows = match gathered.parts.as_slice() {
            [one] => one.clone(),
            parts => arrow::compute::concat_batches(schema, parts)?,
        };
        visit(gathered.unit.as_ref(), rows)
    };
    let selects = [select];
    let scan = Scan::open(files, &selects, 0)?;
    scan.run(|runs, columns| {
        let columns = columns.iter().map(|c| of(&shorten(c, limits::TEXT_CHARS)?)).collect::<Result<Vec<_>, _>>()?;
        let most = most_rows(&columns);
        let schema = schema.get_or_insert_with(|| scan.schema(&columns));
        let rows = runs.rows.last().map_or(0, |run| run.end);
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options)?;
        for (unit, run) in runs.units().zip(&runs.rows) {
            let goes_on = open.as_ref().is_some_and(|gathered| gathered.unit.as_ref() == unit);
            if !goes_on && let Some(done) = open.replace(Gathered { unit: unit.to_owned(), parts: vec![], rows: 0 }) {
                finish(schema, &done)?;
            }
            if let Some(gathered) = &mut open {
                let kept = run.len().min(most - gathered.rows);
                if kept > 0 || gathered.parts.is_empty() {
                    gathered.parts.push(batch.slice(run.start, kept));
                }
                gathered.rows += kept;
            }
        }
        Ok(())
    })?;
    match (schema, open) {
        (Some(schema), Some(gathered)) => finish(&schema, &gathered),
        _ => Ok(()),
    }
}

/// Grouping of units by the numbers of each.
pub(crate) struct By<F, N> {
    /// Conversion of a column for the program.
    pub(crate) of: F,
    /// Function pushing a unit's numbers, no two the same.
    pub(crate) numbers: N,
}

/// Groups the rows of units with a number in common, over at most `ways` threads.
///
/// Each thread has a state of its own, made by `start`, and `visit(state, number, rows)` gets the rows of a batch whose units
/// have that number, with units in order and each unit's rows in order. Returns the states in the units' order, and an empty
/// batch with the columns, whatever the files hold.
///
/// # Errors
/// As for [`Scan::run`]; also errors of `by` and `visit`.
pub(crate) fn split_by<S: Send>(
    files: Extent<'_>,
    select: &Select,
    ways: usize,
    by: &By<impl Fn(&ArrayRef) -> Result<ArrayRef, RunError> + Sync, impl Fn(UnitRef<'_>, &mut Vec<u32>) + Sync>,
    start: impl Fn() -> S + Sync,
    visit: impl Fn(&mut S, u32, RecordBatch) -> Result<(), RunError> + Sync,
) -> Result<(Vec<S>, RecordBatch), RunError> {
    let selects = [select];
    let scan = Scan::open(files, &selects, 0)?;
    let taken = |columns: Vec<ArrayRef>| {
        let columns = columns.iter().map(|c| (by.of)(&shorten(c, limits::TEXT_CHARS)?)).collect::<Result<Vec<_>, RunError>>()?;
        Ok::<_, RunError>((scan.schema(&columns), columns))
    };
    let begin = || Ok((start(), None::<(Unit, usize)>));
    let states = scan.run_split(ways, begin, |(state, open), chunks, _| {
        chunks.into_iter().filter(|chunk| !chunk.runs.rows.is_empty()).try_for_each(|Chunk { runs, columns }| {
            let (schema, columns) = taken(columns)?;
            let most = most_rows(&columns);
            let rows = runs.rows.last().map_or(0, |run| run.end);
            let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
            let batch = RecordBatch::try_new_with_options(schema, columns, &options)?;
            // Each unit's numbers and its rows, up to the maximum per unit. A number and a place packed into one integer sort
            // quickly.
            let (mut numbered, mut numbers) = (Vec::with_capacity(runs.rows.len()), Vec::new());
            let mut spans = Vec::with_capacity(runs.rows.len());
            for (place, (unit, run)) in (0u64..).zip(runs.units().zip(&runs.rows)) {
                let before = open.as_ref().filter(|(open, _)| open.as_ref() == unit).map_or(0, |(_, rows)| *rows);
                let kept = run.len().min(most - before);
                if run.end == rows {
                    *open = Some((unit.to_owned(), before + kept));
                }
                (by.numbers)(unit, &mut numbers);
                numbered.extend(numbers.drain(..).map(|number| u64::from(number) << 32 | place));
                spans.push(run.start as u32..(run.start + kept) as u32);
            }
            numbered.sort_unstable();
            let rows_of = |one: &u64| spans[*one as u32 as usize].clone();
            let mut order = Vec::with_capacity(rows * numbered.len() / spans.len().max(1));
            numbered.iter().for_each(|one| order.extend(rows_of(one)));
            let sorted = take_record_batch(&batch, &UInt32Array::from(order))?;
            let mut from = 0;
            for same in numbered.chunk_by(|a, b| a >> 32 == b >> 32) {
                let rows = same.iter().map(|one| rows_of(one).len()).sum();
                visit(state, (same[0] >> 32) as u32, sorted.slice(from, rows))?;
                from += rows;
            }
            Ok(())
        })
    })?;
    let (nobody, _) = taken(scan.physical[0].select(&RecordBatch::new_empty(scan.wanted.clone()))?.columns)?;
    Ok((states.into_iter().map(|(state, _)| state).collect(), RecordBatch::new_empty(nobody)))
}
