//! One pass over rows ordered by unit: filter, project, and say where one unit ends.

use std::{fs::File, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, RecordBatch},
        compute::{cast, filter_record_batch, is_not_null},
        datatypes::{DataType, Field, Schema, SchemaRef},
        row::{RowConverter, Rows},
    },
    physical_expr::PhysicalExpr,
    prelude::SessionContext,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use self::part::{Layout, Part, encoder};
use crate::{RunError, sql::Select};

mod part;
mod source;

/// Rows a batch.
const BATCH: usize = 8192;

/// Expressions ready to evaluate on batches of the visible columns.
struct Physical {
    filter: Option<Arc<dyn PhysicalExpr>>,
    columns: Vec<Arc<dyn PhysicalExpr>>,
}

/// Reads the files' schema: what admission needs, no rows.
///
/// # Errors
/// [`RunError::Data`].
pub fn schema(file: &File) -> Result<SchemaRef, RunError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file.try_clone().map_err(|e| RunError::Data(e.to_string()))?)?;
    Ok(builder.schema().clone())
}

/// An open scan: expressions ready, footers read.
pub struct Scan<'a> {
    select: &'a Select,
    wanted: SchemaRef,
    unit: usize,
    physical: Physical,
    layout: Layout,
}

impl<'a> Scan<'a> {
    /// Opens `files` and makes the expressions ready.
    ///
    /// # Errors
    /// [`RunError::Data`] for unreadable files.
    pub fn open(files: &[File], select: &'a Select) -> Result<Self, RunError> {
        let context = SessionContext::new();
        let physical = Physical {
            filter: select.filter.clone().map(|f| context.create_physical_expr(f, &select.schema)).transpose()?,
            columns: select
                .columns
                .iter()
                .map(|(_, e)| context.create_physical_expr(e.clone(), &select.schema))
                .collect::<Result<_, _>>()?,
        };
        let wanted: SchemaRef = select.schema.inner().clone();
        let unit = wanted.index_of(&select.unit)?;
        Ok(Self { select, wanted, unit, physical, layout: Layout::open(files)? })
    }

    /// How many threads are worth starting for these files here.
    pub fn ways(&self) -> usize {
        self.layout.ways()
    }

    /// Runs `visit(units, columns)` over batches of rows that pass the filter and have a unit; `units` are comparable bytes, one a row,
    /// ascending over the whole scan.
    ///
    /// # Errors
    /// [`RunError::Unordered`] when a unit comes back after another; [`RunError::Data`] for unreadable files; `visit`'s own.
    pub fn run(&self, visit: impl FnMut(&Rows, &[ArrayRef]) -> Result<(), RunError>) -> Result<(), RunError> {
        self.part(&self.layout.whole(), visit)
    }

    /// As [`Scan::run`], over at most `ways` threads. Each thread has a state of its own, made by `start`, and sees every row of the units it
    /// sees at all. The states come back in the units' order.
    ///
    /// # Errors
    /// As [`Scan::run`].
    pub fn run_split<S: Send>(
        &self,
        ways: usize,
        start: impl Fn() -> S + Sync,
        visit: impl Fn(&mut S, &Rows, &[ArrayRef]) -> Result<(), RunError> + Sync,
    ) -> Result<Vec<S>, RunError> {
        let parts = self.layout.split(&self.wanted, self.unit, ways)?;
        let one = |part: &Part| {
            let mut state = start();
            self.part(part, |units, columns| visit(&mut state, units, columns))?;
            Ok(state)
        };
        if let [part] = parts.as_slice() {
            return Ok(vec![one(part)?]);
        }
        std::thread::scope(|scope| {
            let threads: Vec<_> = parts.iter().map(|part| scope.spawn(|| one(part))).collect();
            threads.into_iter().map(|t| t.join().unwrap_or_else(|_| Err(RunError::Engine("a thread died".into())))).collect()
        })
    }

    fn part(&self, part: &Part, mut visit: impl FnMut(&Rows, &[ArrayRef]) -> Result<(), RunError>) -> Result<(), RunError> {
        let encode = encoder(self.wanted.field(self.unit).data_type())?;
        let mut last: Option<Vec<u8>> = None;
        for group in part.start..self.layout.len() {
            let names = self.wanted.fields().iter().map(|f| f.name().as_str());
            for batch in self.layout.read(group, names, BATCH)? {
                let mut batch = arrange(&batch?, &self.wanted)?;
                if group >= part.end {
                    // Beyond its own row groups it only finishes its last unit.
                    batch = with_unit(&batch, self.unit)?;
                    let units = encode.convert_columns(&[batch.column(self.unit).clone()])?;
                    let mine = units.iter().take_while(|u| part.up_to.as_deref().is_none_or(|b| u.data() <= b)).count();
                    if mine < batch.num_rows() {
                        self.batch(&batch.slice(0, mine), part, &encode, &mut last, &mut visit)?;
                        return Ok(());
                    }
                }
                self.batch(&batch, part, &encode, &mut last, &mut visit)?;
            }
        }
        Ok(())
    }

    fn batch(
        &self,
        batch: &RecordBatch,
        part: &Part,
        encode: &RowConverter,
        last: &mut Option<Vec<u8>>,
        visit: &mut impl FnMut(&Rows, &[ArrayRef]) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let mut batch = keep(batch, self.unit, self.physical.filter.as_ref())?;
        let mut units = encode.convert_columns(&[batch.column(self.unit).clone()])?;
        if let (Some(above), None) = (&part.above, &last) {
            // The unit in which this part begins is the part before's.
            let theirs = units.iter().take_while(|u| u.data() == above).count();
            if theirs > 0 {
                batch = batch.slice(theirs, batch.num_rows() - theirs);
                units = encode.convert_columns(&[batch.column(self.unit).clone()])?;
            }
        }
        if batch.num_rows() == 0 {
            return Ok(());
        }
        check_order(&units, part, last)?;
        let columns = self
            .physical
            .columns
            .iter()
            .map(|e| Ok(e.evaluate(&batch)?.into_array(batch.num_rows())?))
            .collect::<Result<Vec<_>, RunError>>()?;
        visit(&units, &columns)
    }

    /// The selected columns' names and types, as `columns` came.
    fn schema(&self, columns: &[ArrayRef]) -> SchemaRef {
        let fields = self.select.columns.iter().zip(columns).map(|((name, _), a)| Field::new(name, a.data_type().clone(), true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// Columns in the order and types that were admitted: a file that differs is cast or refused, never trusted.
fn arrange(batch: &RecordBatch, wanted: &SchemaRef) -> Result<RecordBatch, RunError> {
    let columns = wanted
        .fields()
        .iter()
        .map(|field| {
            let column = batch
                .column_by_name(field.name())
                .ok_or_else(|| RunError::Data(format!("column {} is missing", field.name())))?;
            Ok(if column.data_type() == field.data_type() { column.clone() } else { cast(column, field.data_type())? })
        })
        .collect::<Result<Vec<_>, RunError>>()?;
    let fields: Vec<Field> = wanted.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// A row without a unit belongs to nobody whom the budget could protect: it never counts.
fn with_unit(batch: &RecordBatch, unit: usize) -> Result<RecordBatch, RunError> {
    if batch.column(unit).null_count() == 0 {
        return Ok(batch.clone());
    }
    Ok(filter_record_batch(batch, &is_not_null(batch.column(unit))?)?)
}

fn keep(batch: &RecordBatch, unit: usize, filter: Option<&Arc<dyn PhysicalExpr>>) -> Result<RecordBatch, RunError> {
    let batch = with_unit(batch, unit)?;
    let Some(filter) = filter else { return Ok(batch) };
    let mask = filter.evaluate(&batch)?.into_array(batch.num_rows())?;
    let mask = cast(&mask, &DataType::Boolean)?;
    Ok(filter_record_batch(&batch, mask.as_boolean())?)
}

/// Ascending, within the part's bounds, and after all that came before.
fn check_order(units: &Rows, part: &Part, last: &mut Option<Vec<u8>>) -> Result<(), RunError> {
    let mut previous = last.as_deref().or(part.above.as_deref()).unwrap_or_default();
    if last.is_none() && part.above.is_some() && units.num_rows() > 0 && units.row(0).data() <= previous {
        return Err(RunError::Unordered);
    }
    for unit in units {
        let unit = unit.data();
        if unit < previous {
            return Err(RunError::Unordered);
        }
        previous = unit;
    }
    if part.up_to.as_deref().is_some_and(|bound| previous > bound) {
        return Err(RunError::Unordered);
    }
    *last = Some(previous.to_vec());
    Ok(())
}

/// Calls `visit(unit, rows)` once for each unit, with all its rows as one batch of the selected columns.
///
/// # Errors
/// As [`Scan::run`].
pub fn each_unit(
    files: &[File],
    select: &Select,
    mut visit: impl FnMut(&[u8], RecordBatch) -> Result<(), RunError>,
) -> Result<(), RunError> {
    let mut schema: Option<SchemaRef> = None;
    let mut open: Option<(Vec<u8>, Vec<RecordBatch>)> = None;
    let mut finish =
        |schema: &SchemaRef, unit: &[u8], parts: &[RecordBatch]| visit(unit, arrow::compute::concat_batches(schema, parts)?);
    let scan = Scan::open(files, select)?;
    scan.run(|units, columns| {
        let schema = schema.get_or_insert_with(|| scan.schema(columns));
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(units.num_rows()));
        let batch = RecordBatch::try_new_with_options(schema.clone(), columns.to_vec(), &options)?;
        let mut start = 0;
        while start < units.num_rows() {
            let unit = units.row(start);
            let mut end = start + 1;
            while end < units.num_rows() && units.row(end) == unit {
                end += 1;
            }
            let slice = batch.slice(start, end - start);
            match &mut open {
                Some((name, parts)) if name.as_slice() == unit.data() => parts.push(slice),
                _ => {
                    if let Some((name, parts)) = open.replace((unit.data().to_vec(), vec![slice])) {
                        finish(schema, &name, &parts)?;
                    }
                }
            }
            start = end;
        }
        Ok(())
    })?;
    match (schema, open) {
        (Some(schema), Some((name, parts))) => finish(&schema, &name, &parts),
        _ => Ok(()),
    }
}
