//! A query's answer where it computes with released numbers: HAVING, ORDER BY, LIMIT, arithmetic. Computed here, on the machine of whoever asked; what left
//! the owner, and what the receipt is for, is the released table.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, SchemaRef, UInt64Type},
    util::display::array_value_to_string,
};
use serde_json::Value;
use tidegate_protocol::{job::Key, policy::Policy, result::ResultDoc};

use crate::{NodeError, jobfile::JobFile};

/// A table computed from a result.
#[derive(Debug)]
pub struct Answer(RecordBatch);

impl Answer {
    /// What `file`'s query makes of `result`; `None` where it only names released columns.
    ///
    /// # Errors
    /// [`NodeError::Unverified`] where the result is not of this query.
    pub async fn of(file: &JobFile, policy: &Policy, schema: &SchemaRef, result: &ResultDoc) -> Result<Option<Self>, NodeError> {
        let Some(Ok(query)) = file.query(policy, schema) else { return Ok(None) };
        let Some(view) = query.view else { return Ok(None) };
        view.answer(result).await.map(|batch| Some(Self(batch))).map_err(|e| NodeError::Unverified(e.to_string()))
    }

    /// As Arrow has it.
    pub fn batch(&self) -> &RecordBatch {
        &self.0
    }

    /// Column names.
    pub fn columns(&self) -> Vec<String> {
        self.0.schema().fields().iter().map(|f| f.name().clone()).collect()
    }

    /// Rows of JSON values.
    pub fn rows(&self) -> Vec<Vec<Value>> {
        (0..self.0.num_rows()).map(|row| self.0.columns().iter().map(|column| value(column, row)).collect()).collect()
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
