//! Expressions over batches of rows: total, so that no row can raise an error whatever the functions in them do.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array},
        compute::{cast, concat},
        datatypes::{DataType, Field, Schema},
    },
    common::ScalarValue,
    logical_expr::Expr,
    physical_expr::PhysicalExpr,
    prelude::SessionContext,
};
use tidegate_protocol::{Code, Refusal};

use crate::{RunError, sql::Select};

/// A select's expressions, ready to evaluate on batches of its source's columns.
pub(crate) struct Physical {
    filter: Option<Arc<dyn PhysicalExpr>>,
    columns: Vec<Arc<dyn PhysicalExpr>>,
}

impl Physical {
    pub(crate) fn new(select: &Select) -> Result<Self, RunError> {
        let context = SessionContext::new();
        let ready = |e: &Expr| context.create_physical_expr(e.clone(), &select.schema);
        Ok(Self {
            filter: select.filter.as_ref().map(ready).transpose()?,
            columns: select.columns.iter().map(|(_, e)| ready(e)).collect::<Result<_, _>>()?,
        })
    }

    /// The selected columns' types, over a source of this schema.
    pub(crate) fn kinds(&self, schema: &Schema) -> Result<Vec<DataType>, RunError> {
        self.columns.iter().map(|e| Ok(e.data_type(schema)?)).collect()
    }

    /// Which rows pass; `None` for all.
    pub(crate) fn mask(&self, batch: &RecordBatch) -> Result<Option<BooleanArray>, RunError> {
        let Some(filter) = &self.filter else { return Ok(None) };
        let mask = cast(&total(filter, batch)?, &DataType::Boolean)?;
        Ok(Some(mask.as_boolean().clone()))
    }

    /// The selected columns.
    pub(crate) fn columns(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>, RunError> {
        self.columns.iter().map(|e| total(e, batch)).collect()
    }
}

/// `expr` on every row; NULL on a row that raises an error, as it would be alone. What a row gets never depends on the others in its batch.
///
/// The list of functions is chosen so that none should: this is the net under it.
fn total(expr: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<ArrayRef, RunError> {
    let rows = batch.num_rows();
    if let Some(array) = attempt(expr, batch) {
        return Ok(array);
    }
    let kind = expr.data_type(&batch.schema())?;
    if rows <= 1 {
        return Ok(new_null_array(&kind, rows));
    }
    let half = rows / 2;
    let (first, second) = (total(expr, &batch.slice(0, half))?, total(expr, &batch.slice(half, rows - half))?);
    // Both halves have the expression's type, unless the engine breaks its word.
    let second = if second.data_type() == first.data_type() { second } else { cast(&second, first.data_type())? };
    Ok(concat(&[&first, &second])?)
}

fn attempt(expr: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Option<ArrayRef> {
    let rows = batch.num_rows();
    let evaluate = || expr.evaluate(batch).and_then(|value| value.into_array(rows)).ok();
    catch_unwind(AssertUnwindSafe(evaluate)).ok().flatten().filter(|array| array.len() == rows)
}

/// Proves that `select` can be evaluated at all: on a row of NULL, or of its columns' default values. What fails on both would fail on every row, such as
/// a regular expression that is none.
///
/// # Errors
/// A [`Refusal`] with the engine's message, which knows the text and the schema alone.
pub(crate) fn prove(select: &Select) -> Result<(), Refusal> {
    let refuse = |e: String| Refusal::new(Code::Program, e.chars().take(300).collect::<String>()).at("program.query");
    let physical = Physical::new(select).map_err(|e| refuse(e.to_string()))?;
    let fields = select.schema.fields();
    let schema =
        Arc::new(Schema::new(fields.iter().map(|f| Field::new(f.name(), f.data_type().clone(), true)).collect::<Vec<_>>()));
    let null = |kind: &DataType| new_null_array(kind, 1);
    let default = |kind: &DataType| {
        let default = ScalarValue::new_default(kind).and_then(|value| value.to_array());
        default.unwrap_or_else(|_| null(kind))
    };
    let row = |of: &dyn Fn(&DataType) -> ArrayRef| {
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let columns = fields.iter().map(|f| of(f.data_type())).collect();
        RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(|e| refuse(e.to_string()))
    };
    let rows = [row(&null)?, row(&default)?];
    for expr in physical.filter.iter().chain(&physical.columns) {
        let evaluate =
            |row: &RecordBatch| expr.evaluate(row).and_then(|value| value.into_array(1)).map_err(|e| e.strip_backtrace());
        let tried = |row| {
            catch_unwind(AssertUnwindSafe(|| evaluate(row))).unwrap_or_else(|_| Err("an expression cannot be evaluated".into()))
        };
        if let (Err(_), Err(e)) = (tried(&rows[0]), tried(&rows[1])) {
            return Err(refuse(e));
        }
    }
    Ok(())
}
