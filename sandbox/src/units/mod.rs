//! One pass over rows ordered by unit: filter, project, and say where one unit ends.

use std::{collections::BTreeSet, fs::File, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, RecordBatch},
        compute::{cast, filter_record_batch, is_not_null},
        datatypes::{DataType, Field, Schema, SchemaRef},
    },
    common::DFSchema,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tidegate_protocol::limits;

pub(crate) use self::{
    blocks::{Room, each_block, read, size},
    eval::{Of, Physical, Selected, prove},
    gather::{By, each_unit_as, split_by},
    memory::on_the_way,
    plain::{PLAIN_TEXT, plain, plain_width},
};
pub use self::{
    cuts::{Cuts, cuts},
    gather::each_unit,
    runs::{Runs, Unit, UnitRef},
};
use self::{
    part::{Layout, Part},
    runs::Encoder,
};
use crate::{
    Extent, RunError,
    deep::EVALUATING,
    sql::{SOURCE, Select},
};

mod blocks;
mod cuts;
mod eval;
mod gather;
mod memory;
mod part;
mod plain;
mod runs;
mod source;
mod text;

pub(crate) use self::text::shorten;

/// Most rows of a batch.
const BATCH: usize = 8192;
/// Bytes that the selected columns of all threads' batches may take, each text counted at its longest: public numbers decide how many rows lie in memory,
/// so that no text in them can make a worker outgrow it.
const BATCH_BYTES: usize = 256 << 20;

/// Reads the files' schema: what admission needs, no rows.
///
/// # Errors
/// [`RunError::Data`].
pub fn schema(file: &File) -> Result<SchemaRef, RunError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file.try_clone().map_err(|e| RunError::Data(e.to_string()))?)?;
    // As a manifest has them: dictionaries are a way to write values.
    let plain = |field: &Arc<Field>| match field.data_type() {
        DataType::Dictionary(_, value) => field.as_ref().clone().with_data_type(value.as_ref().clone()),
        _ => field.as_ref().clone(),
    };
    Ok(Arc::new(Schema::new(builder.schema().fields().iter().map(plain).collect::<Vec<_>>())))
}

/// Which of the source's columns `selects` read, the unit's among them.
pub(crate) fn reads(selects: &[&Select]) -> BTreeSet<String> {
    let Some(first) = selects.first() else { return BTreeSet::new() };
    let read: BTreeSet<&str> = selects.iter().flat_map(|select| select.read()).chain([first.unit.as_str()]).collect();
    first.schema.fields().iter().map(|field| field.name()).filter(|name| read.contains(name.as_str())).cloned().collect()
}

/// An open scan: expressions ready, footers read.
pub struct Scan<'a> {
    selects: &'a [&'a Select],
    /// Those of the source's columns that the selects read, and the unit's.
    wanted: SchemaRef,
    unit: usize,
    physical: Vec<Physical>,
    layout: Layout,
    /// Rows a batch.
    pub(crate) batch: usize,
}

/// Some rows, of one select.
pub(crate) struct Chunk {
    /// Whose they are.
    pub(crate) runs: Runs,
    /// The selected columns.
    pub(crate) columns: Vec<ArrayRef>,
}

impl<'a> Scan<'a> {
    /// Opens `files` and makes the expressions ready, of several selects over the same columns where there are several. `state` is what a row may take in
    /// memory, in bytes, once it was visited.
    ///
    /// # Errors
    /// [`RunError::Data`] for unreadable files.
    pub fn open<'f>(files: impl Into<Extent<'f>>, selects: &'a [&'a Select], state: usize) -> Result<Self, RunError> {
        let first = selects.first().ok_or_else(|| RunError::Engine("nothing is selected".into()))?;
        let read = reads(selects);
        let wanted = first.schema.fields().iter().filter(|f| read.contains(f.name())).cloned().collect::<Vec<_>>();
        let wanted: SchemaRef = Arc::new(Schema::new(wanted));
        let unit = wanted.index_of(&first.unit)?;
        let over = DFSchema::try_from_qualified_schema(SOURCE, &wanted)?;
        let physical = selects.iter().map(|select| Physical::over(select, &over)).collect::<Result<Vec<_>, _>>()?;
        let layout = Layout::open(files.into())?;
        // What is read, what is made of it, and what is held on the way.
        let way =
            selects.iter().map(|select| on_the_way(select, &over)).try_fold(0, |most, one| Ok::<_, RunError>(most.max(one?)))?;
        let read = width(&wanted.fields().iter().map(|f| f.data_type().clone()).collect::<Vec<_>>()) + way;
        let bytes = |physical: &Physical| {
            Ok::<_, RunError>(read + (width(&physical.kinds(&wanted)?) + state) * physical.branches().max(1))
        };
        let bytes = physical.iter().map(bytes).sum::<Result<usize, _>>()?;
        let batch = (BATCH_BYTES / layout.ways() / bytes).clamp(1, BATCH);
        Ok(Self { selects, wanted, unit, physical, layout, batch })
    }

    /// How many threads are worth starting for these files here.
    pub fn ways(&self) -> usize {
        self.layout.ways()
    }

    /// Runs `visit(runs, columns)` over batches of rows of the first select that pass its filter and have a unit, ascending over the whole scan.
    ///
    /// # Errors
    /// [`RunError::Unordered`] when a unit comes back after another; [`RunError::Data`] for unreadable files; `visit`'s own.
    pub fn run(&self, mut visit: impl FnMut(&Runs, &[ArrayRef]) -> Result<(), RunError>) -> Result<(), RunError> {
        self.part(&self.layout.whole(), |chunks, _| chunks.iter().try_for_each(|chunk| visit(&chunk.runs, &chunk.columns)))
    }

    /// As [`Scan::run`], over at most `ways` threads. Each thread has a state of its own, made by `start`, and sees every row of the units it
    /// sees at all: `visit(state, chunks, unit)` gets what each select makes of a batch whose last row is `unit`'s. The states come back in the units'
    /// order.
    ///
    /// # Errors
    /// As [`Scan::run`].
    pub(crate) fn run_split<S: Send>(
        &self,
        ways: usize,
        start: impl Fn() -> Result<S, RunError> + Sync,
        visit: impl Fn(&mut S, Vec<Chunk>, UnitRef<'_>) -> Result<(), RunError> + Sync,
    ) -> Result<Vec<S>, RunError> {
        let parts = self.layout.split(&self.wanted, self.unit, ways)?;
        let one = &|part: &Part| {
            let mut state = start()?;
            self.part(part, |chunks, unit| visit(&mut state, chunks, unit))?;
            Ok(state)
        };
        if let [part] = parts.as_slice() {
            return Ok(vec![one(part)?]);
        }
        std::thread::scope(|scope| {
            let spawn = |part| std::thread::Builder::new().stack_size(EVALUATING).spawn_scoped(scope, move || one(part));
            let threads: Vec<_> = parts.iter().map(spawn).collect();
            let join = |thread: std::io::Result<std::thread::ScopedJoinHandle<'_, _>>| match thread.map(|t| t.join()) {
                Ok(Ok(state)) => state,
                Ok(Err(_)) => Err(RunError::Engine("a thread died".into())),
                Err(e) => Err(RunError::Engine(format!("no thread: {e}"))),
            };
            threads.into_iter().map(join).collect()
        })
    }

    fn part(&self, part: &Part, mut visit: impl FnMut(Vec<Chunk>, UnitRef<'_>) -> Result<(), RunError>) -> Result<(), RunError> {
        let encode = Encoder::new(self.wanted.field(self.unit).data_type())?;
        let mut last: Option<Unit> = None;
        let mut seen = 0;
        for group in part.start..self.layout.len() {
            let names = self.wanted.fields().iter().map(|f| f.name().as_str());
            for batch in self.layout.read(group, names, self.batch)? {
                let mut batch = with_unit(&self.arrange(&batch?)?, self.unit)?;
                if let (Some(above), None) = (&part.above, &last) {
                    // The unit in which this part begins is the part before's.
                    let theirs = encode.runs(batch.column(self.unit))?.end_of(|unit| unit == above.as_ref());
                    batch = batch.slice(theirs, batch.num_rows() - theirs);
                }
                if group >= part.end {
                    // Beyond its own row groups it only finishes its last unit.
                    let runs = encode.runs(batch.column(self.unit))?;
                    let mine = runs.end_of(|unit| part.up_to.as_ref().is_none_or(|bound| unit <= bound.as_ref()));
                    if mine < batch.num_rows() {
                        let mine = self.within_reach(batch.slice(0, mine), &encode, last.as_ref(), &mut seen)?;
                        self.batch(mine, part, &encode, &mut last, &mut visit)?;
                        return Ok(());
                    }
                }
                let batch = self.within_reach(batch, &encode, last.as_ref(), &mut seen)?;
                self.batch(batch, part, &encode, &mut last, &mut visit)?;
            }
        }
        Ok(())
    }

    /// Columns in the order and types that were admitted: a file that differs is cast or refused, never trusted. Texts are cut here, before any expression
    /// is over them; the unit's name alone is whole, or none ([`text::named`]).
    fn arrange(&self, batch: &RecordBatch) -> Result<RecordBatch, RunError> {
        let column = |(i, field): (usize, &Arc<Field>)| {
            let column = batch
                .column_by_name(field.name())
                .ok_or_else(|| RunError::Data(format!("column {} is missing", field.name())))?;
            if i == self.unit {
                return Ok(cast(&text::named(column)?, field.data_type())?);
            }
            text::taken(column, field.data_type(), self.selects[0].reach.chars(field.name()))
        };
        let columns = self.wanted.fields().iter().enumerate().map(column).collect::<Result<Vec<_>, RunError>>()?;
        let fields: Vec<Field> = self.wanted.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }

    /// The batch without rows of units of which enough were seen: `seen` of the unit that the last batch ended with. With its units, where they had to be found.
    fn within_reach(
        &self,
        batch: RecordBatch,
        encode: &Encoder,
        last: Option<&Unit>,
        seen: &mut u64,
    ) -> Result<(RecordBatch, Option<Runs>), RunError> {
        let Some(most) = self.selects[0].reach.rows else { return Ok((batch, None)) };
        let runs = encode.runs(batch.column(self.unit))?;
        let Some(end) = runs.rows.len().checked_sub(1) else { return Ok((batch, None)) };
        let before = |i: usize| if i == 0 && last.is_some_and(|last| last.as_ref() == runs.unit(0)) { *seen } else { 0 };
        let kept = |(i, rows): (usize, &std::ops::Range<usize>)| {
            let left = usize::try_from(most.saturating_sub(before(i))).unwrap_or(usize::MAX);
            rows.start..rows.start + rows.len().min(left)
        };
        let in_reach = runs.rows.iter().enumerate().all(|one| kept(one) == *one.1);
        let seen_of_last = before(end) + runs.rows[end].len() as u64;
        let mask = (!in_reach).then(|| {
            let mut mask = vec![false; batch.num_rows()];
            runs.rows.iter().enumerate().map(kept).for_each(|kept| mask[kept].fill(true));
            mask
        });
        *seen = seen_of_last;
        match mask {
            None => Ok((batch, Some(runs))),
            Some(mask) => Ok((filter_record_batch(&batch, &mask.into())?, None)),
        }
    }

    fn batch(
        &self,
        (batch, mut found): (RecordBatch, Option<Runs>),
        part: &Part,
        encode: &Encoder,
        last: &mut Option<Unit>,
        visit: &mut impl FnMut(Vec<Chunk>, UnitRef<'_>) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let units = batch.column(self.unit);
        // Of all rows, once, where a filter keeps some from view.
        let mut ordered = false;
        if let Some(runs) = &found {
            check_order(runs, part, last)?;
            ordered = true;
        }
        let mut chunks = Vec::with_capacity(self.physical.len());
        for physical in &self.physical {
            let Selected { of, columns } = physical.select(&batch)?;
            let all = matches!(of, Of::All);
            let runs = match found.take_if(|_| all) {
                Some(runs) => runs,
                None => encode.runs(&of.apply(units)?)?,
            };
            if all && !ordered {
                check_order(&runs, part, last)?;
                ordered = true;
            }
            chunks.push(Chunk { runs, columns });
        }
        if !ordered {
            check_order(&encode.runs(units)?, part, last)?;
        }
        match &last {
            Some(unit) => visit(chunks, unit.as_ref()),
            None => Ok(()),
        }
    }

    /// The selected columns' names and types, as `columns` came.
    fn schema(&self, columns: &[ArrayRef]) -> SchemaRef {
        let fields = self.selects[0].names.iter().zip(columns).map(|(name, a)| Field::new(name, a.data_type().clone(), true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// A row without a unit belongs to nobody whom the budget could protect: it never counts.
fn with_unit(batch: &RecordBatch, unit: usize) -> Result<RecordBatch, RunError> {
    if batch.column(unit).null_count() == 0 {
        return Ok(batch.clone());
    }
    Ok(filter_record_batch(batch, &is_not_null(batch.column(unit))?)?)
}

/// Ascending, within the part's bounds, and after all that came before.
fn check_order(runs: &Runs, part: &Part, last: &mut Option<Unit>) -> Result<(), RunError> {
    // A batch may go on with the unit before it; a part may not begin with the unit that bounds it.
    let begins = last.is_none();
    let mut previous = last.as_ref().or(part.above.as_ref()).map(Unit::as_ref);
    if let Some(first) = runs.units().next() {
        let repeats = previous == Some(first) && begins;
        if previous.is_some_and(|previous| first < previous) || repeats || !runs.ascend() {
            return Err(RunError::Unordered);
        }
        previous = Some(runs.unit(runs.rows.len() - 1));
    }
    if part.up_to.as_ref().is_some_and(|bound| previous > Some(bound.as_ref())) {
        return Err(RunError::Unordered);
    }
    *last = previous.map(UnitRef::to_owned);
    Ok(())
}

/// Most bytes of a row of columns of these types.
pub(crate) fn width(kinds: &[DataType]) -> usize {
    let one = |kind: &DataType| match kind {
        DataType::Boolean => 1,
        kind => kind.primitive_width().unwrap_or(4 * limits::TEXT_CHARS),
    };
    kinds.iter().map(one).sum::<usize>().max(1)
}
