//! One pass over rows ordered by unit: filter, project, and say where one unit ends.

use std::{fs::File, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, RecordBatch},
        compute::{cast, filter_record_batch, is_not_null},
        datatypes::{DataType, Field, Schema, SchemaRef},
        row::{RowConverter, Rows, SortField},
    },
    physical_expr::PhysicalExpr,
    prelude::SessionContext,
};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};

use crate::{RunError, sql::Select};

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

/// Runs `visit(units, columns)` over batches of rows that pass the filter and have a unit; `units` are comparable bytes, one a row, ascending
/// over the whole scan.
///
/// # Errors
/// [`RunError::Unordered`] when a unit comes back after another; [`RunError::Data`] for unreadable files; `visit`'s own.
pub fn scan(
    files: &[File],
    select: &Select,
    mut visit: impl FnMut(&Rows, &[ArrayRef]) -> Result<(), RunError>,
) -> Result<(), RunError> {
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
    let unit_index = wanted.index_of(&select.unit)?;
    let units = RowConverter::new(vec![SortField::new(wanted.field(unit_index).data_type().clone())])?;
    let mut last: Option<Vec<u8>> = None;
    for file in files {
        let file = file.try_clone().map_err(|e| RunError::Data(e.to_string()))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let names = wanted.fields().iter().map(|f| f.name().as_str());
        let mask = ProjectionMask::columns(builder.parquet_schema(), names);
        for batch in builder.with_projection(mask).with_batch_size(BATCH).build()? {
            let batch = arrange(&batch?, &wanted)?;
            let batch = keep(&batch, unit_index, physical.filter.as_ref())?;
            if batch.num_rows() == 0 {
                continue;
            }
            let rows = units.convert_columns(&[batch.column(unit_index).clone()])?;
            check_order(&rows, &mut last)?;
            let columns = physical
                .columns
                .iter()
                .map(|e| Ok(e.evaluate(&batch)?.into_array(batch.num_rows())?))
                .collect::<Result<Vec<_>, RunError>>()?;
            visit(&rows, &columns)?;
        }
    }
    Ok(())
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

fn keep(batch: &RecordBatch, unit: usize, filter: Option<&Arc<dyn PhysicalExpr>>) -> Result<RecordBatch, RunError> {
    // A row without a unit belongs to nobody whom the budget could protect: it never counts.
    let batch = if batch.column(unit).null_count() > 0 {
        filter_record_batch(batch, &is_not_null(batch.column(unit))?)?
    } else {
        batch.clone()
    };
    let Some(filter) = filter else { return Ok(batch) };
    let mask = filter.evaluate(&batch)?.into_array(batch.num_rows())?;
    let mask = cast(&mask, &DataType::Boolean)?;
    Ok(filter_record_batch(&batch, mask.as_boolean())?)
}

fn check_order(rows: &Rows, last: &mut Option<Vec<u8>>) -> Result<(), RunError> {
    let mut previous = last.as_deref().unwrap_or_default();
    for row in rows {
        let row = row.data();
        if row < previous {
            return Err(RunError::Unordered);
        }
        previous = row;
    }
    *last = Some(previous.to_vec());
    Ok(())
}

/// Calls `visit(unit, rows)` once for each unit, with all its rows as one batch of the selected columns.
///
/// # Errors
/// As [`scan`].
pub fn each_unit(
    files: &[File],
    select: &Select,
    mut visit: impl FnMut(&[u8], RecordBatch) -> Result<(), RunError>,
) -> Result<(), RunError> {
    let mut schema: Option<SchemaRef> = None;
    let mut open: Option<(Vec<u8>, Vec<RecordBatch>)> = None;
    let mut finish =
        |schema: &SchemaRef, unit: &[u8], parts: &[RecordBatch]| visit(unit, arrow::compute::concat_batches(schema, parts)?);
    scan(files, select, |units, columns| {
        let schema = schema.get_or_insert_with(|| {
            let fields: Vec<Field> = select
                .columns
                .iter()
                .zip(columns)
                .map(|((name, _), array)| Field::new(name, array.data_type().clone(), true))
                .collect();
            Arc::new(Schema::new(fields))
        });
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
