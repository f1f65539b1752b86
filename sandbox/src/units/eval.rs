//! Expressions over batches of rows, made total: no row can raise an error whatever the functions in them do.

use std::{
    collections::{BTreeSet, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt64Array, new_null_array},
        compute::{cast, concat, filter, filter_record_batch, interleave, take},
        datatypes::{DataType, Field, Schema},
        error::ArrowError,
    },
    common::{DFSchema, ScalarValue},
    logical_expr::Expr,
    physical_expr::PhysicalExpr,
    prelude::SessionContext,
};
use tidegate_protocol::{Code, Refusal};

use crate::{
    RunError,
    sql::{Branch, Select, engine, engine_words},
};

/// Branch of a select, ready to evaluate on batches of the source's columns.
#[derive(Clone)]
struct Ready {
    /// Filter and the indices of its source columns; the others need not be copied when few rows pass.
    filter: Option<(Arc<dyn PhysicalExpr>, Vec<usize>)>,
    /// Selected expressions, over the source columns `read`.
    columns: Vec<Arc<dyn PhysicalExpr>>,
    read: Vec<usize>,
}

/// Expressions of a select, ready to evaluate.
#[derive(Clone)]
pub(crate) struct Physical(Vec<Ready>);

/// Relation of selected rows to the rows of a batch.
pub(crate) enum Of {
    /// Each row is selected.
    All,
    /// Rows where the mask is true are selected.
    Mask(BooleanArray),
    /// Source row of each selected row, ascending.
    Rows(UInt64Array),
}

/// Rows selected from a batch.
pub(crate) struct Selected {
    pub(crate) of: Of,
    /// Selected columns.
    pub(crate) columns: Vec<ArrayRef>,
}

impl Of {
    /// Selects the same rows from another column of the batch.
    pub(crate) fn apply(&self, column: &ArrayRef) -> Result<ArrayRef, RunError> {
        Ok(match self {
            Self::All => column.clone(),
            Self::Mask(mask) => filter(column, mask)?,
            Self::Rows(rows) => take(column, rows, None)?,
        })
    }

    /// Returns the source row of each selected row, out of `rows`, ascending.
    pub(crate) fn rows(&self, rows: usize) -> Vec<u64> {
        match self {
            Self::All => (0..rows as u64).collect(),
            Self::Mask(mask) => (0..).zip(mask).filter(|(_, keep)| *keep == Some(true)).map(|(row, _)| row).collect(),
            Self::Rows(rows) => rows.values().to_vec(),
        }
    }
}

impl Physical {
    pub(crate) fn new(select: &Select) -> Result<Self, RunError> {
        Self::over(select, &select.schema)
    }

    /// Builds the expressions for batches of these columns, which must include all source columns read by the select.
    pub(crate) fn over(select: &Select, schema: &DFSchema) -> Result<Self, RunError> {
        let context = SessionContext::new();
        let branch = |branch: &Branch| {
            let narrow = |exprs: &[&Expr]| {
                let mut read = BTreeSet::new();
                for column in exprs.iter().flat_map(|e| e.column_refs()) {
                    read.insert(schema.index_of_column(column)?);
                }
                let read: Vec<usize> = read.into_iter().collect();
                let fields = read.iter().map(|i| schema.qualified_field(*i)).map(|(of, f)| (of.cloned(), f.clone())).collect();
                Ok::<_, RunError>((DFSchema::new_with_metadata(fields, HashMap::new())?, read))
            };
            let filter = branch.filter.as_ref().map(|e| {
                let (narrow, read) = narrow(&[e])?;
                Ok::<_, RunError>((context.create_physical_expr(e.clone(), &narrow)?, read))
            });
            let filter = filter.transpose()?;
            let (narrow, read) = narrow(&branch.columns.iter().collect::<Vec<_>>())?;
            let columns = branch.columns.iter().map(|e| context.create_physical_expr(e.clone(), &narrow));
            Ok(Ready { filter, columns: columns.collect::<Result<_, _>>()?, read })
        };
        Ok(Self(select.branches.iter().map(branch).collect::<Result<_, RunError>>()?))
    }

    /// Evaluates all expressions on `batch` without the safety net, and returns each failing expression's number and error.
    #[cfg(test)]
    pub(crate) fn raised(&self, batch: &RecordBatch) -> Vec<(usize, String)> {
        let evaluate = |expr: &Arc<dyn PhysicalExpr>, read: &[usize]| {
            let batch = batch.project(read).map_err(|e| e.to_string())?;
            let evaluate = || expr.evaluate(&batch).and_then(|value| value.into_array(batch.num_rows()));
            let array = catch_unwind(AssertUnwindSafe(evaluate)).map_err(|_| "a panic".to_owned())?.map_err(|e| e.to_string())?;
            if array.len() == batch.num_rows() { Ok(()) } else { Err(format!("{} rows", array.len())) }
        };
        let of = |branch: &Ready| {
            let filter = branch.filter.iter().map(|(expr, read)| evaluate(expr, read));
            filter.chain(branch.columns.iter().map(|expr| evaluate(expr, &branch.read))).collect::<Vec<_>>()
        };
        let all = self.0.iter().flat_map(of).enumerate();
        all.filter_map(|(i, made)| Some((i, made.err()?))).collect()
    }

    /// Returns the maximum number of rows selected from a single row.
    pub(crate) fn branches(&self) -> usize {
        self.0.len()
    }

    /// Returns the selected columns' types, over a source of this schema.
    pub(crate) fn kinds(&self, schema: &Schema) -> Result<Vec<DataType>, RunError> {
        let first = &self.0[0];
        let narrow = schema.project(&first.read)?;
        first.columns.iter().map(|e| Ok(e.data_type(&narrow)?)).collect()
    }

    /// Selects rows from `batch`.
    ///
    /// Each of its rows yields one for each branch whose filter it passes.
    pub(crate) fn select(&self, batch: &RecordBatch) -> Result<Selected, RunError> {
        let mut each = self.0.iter().map(|branch| branch.select(batch)).collect::<Result<Vec<_>, _>>()?;
        if let [_] = each.as_slice() {
            return each.pop().ok_or_else(|| RunError::Engine("no branch".into()));
        }
        // (row, branch, index within the branch's rows), row by row.
        let place = |branch: usize, one: &Selected| {
            one.of.rows(batch.num_rows()).into_iter().enumerate().map(move |(i, row)| (row, branch, i)).collect::<Vec<_>>()
        };
        let mut places: Vec<_> = each.iter().enumerate().flat_map(|(branch, one)| place(branch, one)).collect();
        places.sort_unstable();
        let from: Vec<(usize, usize)> = places.iter().map(|(_, branch, i)| (*branch, *i)).collect();
        let column = |i: usize| {
            let of_branches: Vec<&dyn Array> = each.iter().map(|one| &*one.columns[i]).collect();
            Ok(interleave(&of_branches, &from)?)
        };
        let columns = (0..self.0[0].columns.len()).map(column).collect::<Result<_, RunError>>()?;
        Ok(Selected { of: Of::Rows(places.into_iter().map(|(row, _, _)| row).collect()), columns })
    }
}

impl Ready {
    fn select(&self, batch: &RecordBatch) -> Result<Selected, RunError> {
        let read = batch.project(&self.read)?;
        let columns = |batch: &RecordBatch| self.columns.iter().map(|e| total(e, batch)).collect::<Result<_, _>>();
        let Some((filter, reads)) = &self.filter else { return Ok(Selected { of: Of::All, columns: columns(&read)? }) };
        let mask = cast(&total(filter, &batch.project(reads)?)?, &DataType::Boolean)?;
        let mask = mask.as_boolean();
        if mask.true_count() == batch.num_rows() {
            return Ok(Selected { of: Of::All, columns: columns(&read)? });
        }
        let kept = filter_record_batch(&read, mask)?;
        Ok(Selected { of: Of::Mask(mask.clone()), columns: columns(&kept)? })
    }
}

/// Evaluates `expr` on every row, with NULL for a row on which evaluation fails.
///
/// The value of a row is the same as if it were evaluated alone, and never depends on the others in its batch.
///
/// No evaluation should fail: functions and casts are chosen and wrapped accordingly, and `sql/extremes.rs` evaluates what is
/// admitted over the extremes of all types without this net, which is why no cost includes it.
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
    // Both halves have the expression's type, unless the engine violates its contract.
    let second = if second.data_type() == first.data_type() { second } else { cast(&second, first.data_type())? };
    Ok(concat(&[&first, &second])?)
}

fn attempt(expr: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Option<ArrayRef> {
    let rows = batch.num_rows();
    let evaluate = || expr.evaluate(batch).and_then(|value| value.into_array(rows)).ok();
    catch_unwind(AssertUnwindSafe(evaluate)).ok().flatten().filter(|array| array.len() == rows)
}

/// Checks by evaluation on a row of NULL, or of default values, whether `select` can be evaluated at all.
///
/// An expression that fails on both would fail on every row, such as an invalid regular expression.
///
/// # Errors
/// Returns a [`Refusal`] with the engine's message, which depends on the text and the schema alone.
pub(crate) fn prove(select: &Select) -> Result<(), Refusal> {
    let refuse = |e: String| Refusal::new(Code::Program, e.chars().take(300).collect::<String>()).at("program.query");
    let physical = Physical::new(select).map_err(|e| engine_words(&e.to_string()))?;
    let fields = select.schema.fields();
    let schema =
        Arc::new(Schema::new(fields.iter().map(|f| Field::new(f.name(), f.data_type().clone(), true)).collect::<Vec<_>>()));
    let null = |kind: &DataType| new_null_array(kind, 1);
    let default = |kind: &DataType| {
        let default = ScalarValue::new_default(kind).and_then(|value| value.to_array());
        // For fixed-size lists the default has another length.
        default.ok().filter(|array| array.data_type() == kind).unwrap_or_else(|| null(kind))
    };
    let row = |of: &dyn Fn(&DataType) -> ArrayRef| {
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let columns = fields.iter().map(|f| of(f.data_type())).collect();
        RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(|e| refuse(e.to_string()))
    };
    let rows = [row(&null)?, row(&default)?];
    let all = |branch: &Ready| {
        let read: Vec<RecordBatch> = rows.iter().map(|row| row.project(&branch.read)).collect::<Result<_, _>>()?;
        let columns = branch.columns.iter().map(move |e| (e.clone(), read.clone()));
        let filter = branch.filter.as_ref().map(|(filter, reads)| {
            Ok::<_, ArrowError>((filter.clone(), rows.iter().map(|row| row.project(reads)).collect::<Result<Vec<_>, _>>()?))
        });
        Ok(filter.transpose()?.into_iter().chain(columns).collect::<Vec<_>>())
    };
    let all = physical.0.iter().map(all).collect::<Result<Vec<_>, ArrowError>>().map_err(|e| refuse(e.to_string()))?;
    for (expr, rows) in all.into_iter().flatten() {
        let evaluate = |row: &RecordBatch| expr.evaluate(row).and_then(|value| value.into_array(1)).map_err(|e| engine(&e));
        let tried = |row| {
            let broken = || Err(refuse("an expression cannot be evaluated".into()));
            catch_unwind(AssertUnwindSafe(|| evaluate(row))).unwrap_or_else(|_| broken())
        };
        if let (Err(_), Err(e)) = (tried(&rows[0]), tried(&rows[1])) {
            return Err(e);
        }
    }
    Ok(())
}
