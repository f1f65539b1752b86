//! A query's answer where it computes with released numbers: HAVING, ORDER BY, LIMIT, arithmetic. Computed here, on the machine of whoever asked; what left
//! the owner, and what the receipt is for, is the released table.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, RecordBatchOptions},
    compute::cast,
    datatypes::{DataType, Field, Float64Type, Int64Type, Schema, SchemaRef, UInt64Type},
    error::ArrowError,
    util::display::array_value_to_string,
};
use serde_json::Value;
use tidegate_protocol::{
    job::Key,
    policy::Policy,
    result::{Cell, ResultDoc},
};
use tidegate_sandbox::sql::Answered;

use crate::{NodeError, jobfile::JobFile};

/// A table computed from a result.
#[derive(Debug)]
pub struct Answer {
    table: RecordBatch,
    /// Of each column that is a released one as it is, its cells.
    cells: Vec<Option<Vec<Cell>>>,
}

impl Answer {
    /// What `file`'s query makes of `result`; `None` where it only names released columns.
    ///
    /// # Errors
    /// [`NodeError::Unverified`] where the result is not of this query.
    pub async fn of(file: &JobFile, policy: &Policy, schema: &SchemaRef, result: &ResultDoc) -> Result<Option<Self>, NodeError> {
        let Some(Ok(query)) = file.query(policy, schema) else { return Ok(None) };
        let Some(view) = query.view else { return Ok(None) };
        let Answered { table, rows, cells } = view.answer(result).await.map_err(|e| NodeError::Unverified(e.to_string()))?;
        let cell = |row: &usize, place| result.rows.get(*row)?.cells.get(place).copied();
        let column = |place: usize| rows.iter().map(|row| cell(row, place)).collect::<Option<Vec<Cell>>>();
        let cells = cells.into_iter().map(|place| column(place?)).collect();
        Ok(Some(Self { table, cells }))
    }

    /// As Arrow has it: its columns, and after each that is a released one the ends of its interval.
    ///
    /// # Errors
    /// Where Arrow does not put them together.
    pub fn batch(&self) -> Result<RecordBatch, ArrowError> {
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for ((field, column), cells) in self.table.schema().fields().iter().zip(self.table.columns()).zip(&self.cells) {
            fields.push(field.clone());
            columns.push(column.clone());
            let Some(cells) = cells else { continue };
            let of = |end: fn(&Cell) -> f64| cells.iter().map(end).collect::<Vec<_>>();
            for (end, values) in [("low", of(|cell| cell.low)), ("high", of(|cell| cell.high))] {
                fields.push(Arc::new(Field::new(format!("{}_{end}", field.name()), DataType::Float64, true)));
                columns.push(Arc::new(Float64Array::from(values)) as ArrayRef);
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.table.num_rows()));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
    }

    /// Column names.
    pub fn columns(&self) -> Vec<String> {
        self.table.schema().fields().iter().map(|f| f.name().clone()).collect()
    }

    /// Rows of JSON values.
    pub fn rows(&self) -> Vec<Vec<Value>> {
        (0..self.table.num_rows()).map(|row| self.table.columns().iter().map(|column| value(column, row)).collect()).collect()
    }

    /// The released cell that a value is, where it is one as it is.
    pub fn cell(&self, column: usize, row: usize) -> Option<&Cell> {
        self.cells.get(column)?.as_ref()?.get(row)
    }

    /// Rows of intervals: of each value that is a released one its ends, of others null.
    pub fn intervals(&self) -> Vec<Vec<Option<[f64; 2]>>> {
        let row = |row| (0..self.cells.len()).map(|column| self.cell(column, row).map(|cell| [cell.low, cell.high])).collect();
        (0..self.table.num_rows()).map(row).collect()
    }
}

fn value(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    let one = array.slice(row, 1);
    let kind = array.data_type();
    let number = |to: &DataType| cast(&one, to).ok();
    let integer = |key: Key| serde_json::to_value(key).unwrap_or_default();
    let text = || array_value_to_string(array, row).map_or(Value::Null, Value::from);
    match kind {
        DataType::Boolean => Value::from(one.as_boolean().value(0)),
        // As keys are: beyond what a double holds, as text.
        DataType::UInt64 => integer(Key::integer(one.as_primitive::<UInt64Type>().value(0))),
        kind if kind.is_integer() => {
            number(&DataType::Int64).map_or_else(text, |n| integer(Key::integer(n.as_primitive::<Int64Type>().value(0))))
        }
        kind if kind.is_floating() => {
            let float = number(&DataType::Float64).map(|n| n.as_primitive::<Float64Type>().value(0));
            // JSON has no NaN and no infinity.
            float.and_then(serde_json::Number::from_f64).map_or_else(text, Value::Number)
        }
        _ => text(),
    }
}
