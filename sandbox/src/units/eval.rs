//! Expressions over batches of rows: total, so that no row can raise an error whatever the functions in them do.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt64Array, new_null_array},
        compute::{cast, concat, filter_record_batch, interleave},
        datatypes::{DataType, Field, Schema},
    },
    common::{DFSchema, ScalarValue},
    logical_expr::Expr,
    physical_expr::PhysicalExpr,
    prelude::SessionContext,
};
use tidegate_protocol::{Code, Refusal};

use crate::{
    RunError,
    sql::{Branch, Select},
};

/// One branch of a select, ready to evaluate on batches of its source's columns.
#[derive(Clone)]
struct Ready {
    filter: Option<Arc<dyn PhysicalExpr>>,
    columns: Vec<Arc<dyn PhysicalExpr>>,
}

/// A select's expressions, ready to evaluate.
#[derive(Clone)]
pub(crate) struct Physical(Vec<Ready>);

/// The rows that a batch makes.
pub(crate) struct Selected {
    /// Of which of the batch's rows each was made, ascending; `None` where each of its rows made one.
    pub(crate) of: Option<UInt64Array>,
    /// The selected columns.
    pub(crate) columns: Vec<ArrayRef>,
}

impl Physical {
    pub(crate) fn new(select: &Select) -> Result<Self, RunError> {
        Self::over(select, &select.schema)
    }

    /// For batches of these columns: those of the select's source that it reads, at least.
    pub(crate) fn over(select: &Select, schema: &DFSchema) -> Result<Self, RunError> {
        let context = SessionContext::new();
        let ready = |e: &Expr| context.create_physical_expr(e.clone(), schema);
        let branch = |branch: &Branch| {
            Ok(Ready {
                filter: branch.filter.as_ref().map(ready).transpose()?,
                columns: branch.columns.iter().map(ready).collect::<Result<_, _>>()?,
            })
        };
        Ok(Self(select.branches.iter().map(branch).collect::<Result<_, RunError>>()?))
    }

    /// How many rows one row can make.
    pub(crate) fn branches(&self) -> usize {
        self.0.len()
    }

    /// The selected columns' types, over a source of this schema.
    pub(crate) fn kinds(&self, schema: &Schema) -> Result<Vec<DataType>, RunError> {
        self.0[0].columns.iter().map(|e| Ok(e.data_type(schema)?)).collect()
    }

    /// The rows that `batch` makes: of each of its rows, one for each branch whose filter it passes.
    pub(crate) fn select(&self, batch: &RecordBatch) -> Result<Selected, RunError> {
        let mut each = self.0.iter().map(|branch| branch.select(batch)).collect::<Result<Vec<_>, _>>()?;
        if let [_] = each.as_slice() {
            return each.pop().ok_or_else(|| RunError::Engine("no branch".into()));
        }
        // (row, branch, place among the branch's rows), row by row.
        let place = |branch: usize, one: &Selected| match &one.of {
            Some(of) => of.values().iter().enumerate().map(|(i, row)| (*row, branch, i)).collect::<Vec<_>>(),
            None => (0..batch.num_rows()).map(|i| (i as u64, branch, i)).collect(),
        };
        let mut places: Vec<_> = each.iter().enumerate().flat_map(|(branch, one)| place(branch, one)).collect();
        places.sort_unstable();
        let from: Vec<(usize, usize)> = places.iter().map(|(_, branch, i)| (*branch, *i)).collect();
        let column = |i: usize| {
            let of_branches: Vec<&dyn Array> = each.iter().map(|one| &*one.columns[i]).collect();
            Ok(interleave(&of_branches, &from)?)
        };
        let columns = (0..self.0[0].columns.len()).map(column).collect::<Result<_, RunError>>()?;
        Ok(Selected { of: Some(places.into_iter().map(|(row, _, _)| row).collect()), columns })
    }
}

impl Ready {
    fn select(&self, batch: &RecordBatch) -> Result<Selected, RunError> {
        let columns = |batch: &RecordBatch| self.columns.iter().map(|e| total(e, batch)).collect::<Result<_, _>>();
        let Some(filter) = &self.filter else { return Ok(Selected { of: None, columns: columns(batch)? }) };
        let mask = cast(&total(filter, batch)?, &DataType::Boolean)?;
        let mask = mask.as_boolean();
        let kept = filter_record_batch(batch, mask)?;
        if kept.num_rows() == batch.num_rows() {
            return Ok(Selected { of: None, columns: columns(batch)? });
        }
        let of = (0u64..).zip(mask).filter(|(_, keep)| *keep == Some(true)).map(|(row, _)| row).collect();
        Ok(Selected { of: Some(of), columns: columns(&kept)? })
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
    for expr in physical.0.iter().flat_map(|branch| branch.filter.iter().chain(&branch.columns)) {
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
