//! A single pass over rows ordered by privacy unit: filter, project, and report where each unit ends.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, RecordBatch},
        compute::{cast, filter_record_batch, is_not_null},
        datatypes::{Field, Schema, SchemaRef},
    },
    common::DFSchema,
};

use super::{
    batch::{BATCH, BATCH_BYTES, width},
    eval::{Of, Physical, Selected},
    memory::on_the_way,
    part::{Layout, Part},
    runs::{Encoder, Runs, Unit, UnitRef},
    text,
};
use crate::{
    Extent, RunError,
    deep::EVALUATING,
    sql::{SOURCE, Select},
};

/// Returns the source columns read by `selects`, including the unit's.
pub(crate) fn reads(selects: &[&Select]) -> BTreeSet<String> {
    let Some(first) = selects.first() else { return BTreeSet::new() };
    let read: BTreeSet<&str> = selects.iter().flat_map(|select| select.read()).chain([first.unit.as_str()]).collect();
    first.schema.fields().iter().map(|field| field.name()).filter(|name| read.contains(name.as_str())).cloned().collect()
}

/// Open scan, with expressions ready and footers read.
pub struct Scan<'a> {
    selects: &'a [&'a Select],
    /// Source columns read by the selects, and the unit's.
    pub(super) wanted: SchemaRef,
    unit: usize,
    pub(super) physical: Vec<Physical>,
    layout: Layout,
    /// Rows per batch.
    pub(crate) batch: usize,
}

/// Rows of a select.
pub(crate) struct Chunk {
    /// Units of the rows.
    pub(crate) runs: Runs,
    /// Selected columns.
    pub(crate) columns: Vec<ArrayRef>,
}

impl<'a> Scan<'a> {
    /// Opens `files` and prepares the expressions of a select, or of several over the same columns.
    ///
    /// `state` is the maximum number of bytes a row may occupy after it was visited.
    ///
    /// # Errors
    /// Returns [`RunError::Data`] if a file is unreadable.
    pub fn open<'f>(files: impl Into<Extent<'f>>, selects: &'a [&'a Select], state: usize) -> Result<Self, RunError> {
        let first = selects.first().ok_or_else(|| RunError::Engine("nothing is selected".into()))?;
        let read = reads(selects);
        let wanted = first.schema.fields().iter().filter(|f| read.contains(f.name())).cloned().collect::<Vec<_>>();
        let wanted: SchemaRef = Arc::new(Schema::new(wanted));
        let unit = wanted.index_of(&first.unit)?;
        let over = DFSchema::try_from_qualified_schema(SOURCE, &wanted)?;
        let physical = selects.iter().map(|select| Physical::over(select, &over)).collect::<Result<Vec<_>, _>>()?;
        let layout = Layout::open(files.into())?;
        // Columns read, columns made of them, and intermediate results.
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

    /// Returns how many threads are worth starting for these files on this machine.
    pub fn ways(&self) -> usize {
        self.layout.ways()
    }

    /// Runs `visit(runs, columns)` over batches of rows of the first select.
    ///
    /// The rows pass its filter and have a unit, and units ascend over the whole scan.
    ///
    /// # Errors
    /// Returns [`RunError::Unordered`] if a unit comes back after another, [`RunError::Data`] if a file is unreadable, and any
    /// error of `visit`.
    pub fn run(&self, mut visit: impl FnMut(&Runs, &[ArrayRef]) -> Result<(), RunError>) -> Result<(), RunError> {
        self.part(&self.layout.whole(), |chunks, _| chunks.iter().try_for_each(|chunk| visit(&chunk.runs, &chunk.columns)))
    }

    /// Acts as [`Scan::run`], over at most `ways` threads.
    ///
    /// Each thread has a state of its own, made by `start`, and sees all rows of every unit it sees at all. `visit(state, chunks,
    /// unit)` gets each select's rows of a batch whose last row belongs to `unit`. Returns the states in the units' order.
    ///
    /// # Errors
    /// As for [`Scan::run`].
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
                    // The unit with which this part begins belongs to the previous part.
                    let theirs = encode.runs(batch.column(self.unit))?.end_of(|unit| unit == above.as_ref());
                    batch = batch.slice(theirs, batch.num_rows() - theirs);
                }
                if group >= part.end {
                    // Beyond its own row groups, a part only finishes its last unit.
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

    /// Puts columns into the admitted order and types: a different file is cast or refused, never trusted.
    ///
    /// Texts are cut here, before any expression sees them; only the unit's name stays whole, or becomes NULL ([`text::named`]).
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

    /// Drops rows of units beyond the row limit.
    ///
    /// `seen` counts the rows of the unit that the last batch ended with. Also returns the batch's runs if they were computed and
    /// nothing was dropped.
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
        // Order is checked once, over all rows, even those that a filter hides.
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

    /// Returns the selected columns' names, with the types of `columns`.
    pub(super) fn schema(&self, columns: &[ArrayRef]) -> SchemaRef {
        let fields = self.selects[0].names.iter().zip(columns).map(|(name, a)| Field::new(name, a.data_type().clone(), true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// Drops rows without a unit: they belong to nobody whom the privacy budget could protect, and never count.
fn with_unit(batch: &RecordBatch, unit: usize) -> Result<RecordBatch, RunError> {
    if batch.column(unit).null_count() == 0 {
        return Ok(batch.clone());
    }
    Ok(filter_record_batch(batch, &is_not_null(batch.column(unit))?)?)
}

/// Checks whether units ascend, lie within the part's bounds and come after all previous ones.
fn check_order(runs: &Runs, part: &Part, last: &mut Option<Unit>) -> Result<(), RunError> {
    // A batch may continue the previous unit; a part may not begin with the unit that bounds it.
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
