//! Post-processing of released numbers: HAVING, ORDER BY, LIMIT, arithmetic, windows and subqueries.
//!
//! This is free and the buyer's own: only the gate's table leaves the owner, and whoever holds the table computes the rest of
//! the query from it.

use std::{future::poll_fn, sync::Arc};

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, BooleanArray, Float64Array, RecordBatch, UInt64Array},
    compute::{cast, concat_batches},
    datatypes::{DataType, Field, Float64Type, Schema, UInt64Type},
};
use datafusion::{
    common::{DFSchema, tree_node::Transformed},
    datasource::MemTable,
    error::{DataFusionError, Result},
    logical_expr::{Expr, LogicalPlan, expr_rewriter::NamePreserver},
};
use tidegate_protocol::{job::Key, result::ResultDoc};

use super::{
    above::{is_released, released},
    exact::whole,
    keys,
    origin::{Made, Origin, Tracer},
    planner::context,
    wrap::bare,
};
use crate::deep::deep;

/// A released cell: row and column of the result.
pub type Place = (usize, usize);

/// Answer to a query.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Table of the answer.
    pub table: RecordBatch,
    /// Origins of each of the table's columns.
    pub columns: Vec<Origins>,
}

/// Origins of a column's values.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    /// Columns of the result that can be shown unchanged.
    pub places: Vec<usize>,
    /// For each row, the cell shown unchanged.
    pub cells: Vec<Option<Place>>,
    /// For each row, whether the value is computed from released numbers.
    pub computed: Vec<bool>,
    /// Maximum number of cells by which a row divides.
    pub divides: usize,
    /// For each row, the cells used as divisors, each alone.
    pub divisors: Vec<Vec<Place>>,
}

/// Part of a query above its aggregate.
#[derive(Debug, Clone)]
pub struct View {
    /// Plan with types coerced, and released numbers in the aggregate's place.
    pub(super) plan: LogicalPlan,
    /// Schema of the aggregate.
    aggregate: Arc<DFSchema>,
    /// For each aggregate call, its column in the result.
    pub(super) places: Vec<usize>,
    /// Types of the keys, which may differ from the planner's types.
    kinds: Vec<DataType>,
}

/// Makes floats integers where the planner has integers, if all of them are.
fn as_planned(array: ArrayRef, planned: &DataType) -> Result<ArrayRef> {
    const MOST: f64 = 9_007_199_254_740_992.0;
    let is_whole = |v: f64| v.fract() == 0.0 && v.abs() <= MOST;
    let whole = planned.is_integer()
        && array.as_primitive_opt::<Float64Type>().is_some_and(|floats| floats.iter().flatten().all(is_whole));
    if whole { Ok(cast(&array, &DataType::Int64)?) } else { Ok(array) }
}

/// Returns the aggregate columns output unchanged by `above`: output names, and positions in the aggregate's schema.
pub(super) fn named(above: &LogicalPlan) -> Vec<(String, usize)> {
    let fields = above.schema().fields().iter().enumerate();
    fields.filter_map(|(place, field)| Some((field.name().clone(), shown(above, place)?))).collect()
}

/// Returns the aggregate column shown by the output column at `place`; for a UNION, in its first part.
fn shown(plan: &LogicalPlan, place: usize) -> Option<usize> {
    if is_released(plan) {
        return Some(place);
    }
    match plan {
        LogicalPlan::Projection(projection) => match bare(projection.expr.get(place)?, projection.input.schema()) {
            Expr::Column(column) => shown(&projection.input, projection.input.schema().index_of_column(column).ok()?),
            _ => None,
        },
        LogicalPlan::Aggregate(_) => None,
        LogicalPlan::Join(join) => {
            let left = join.left.schema().fields().len();
            let both = join.schema.fields().len() > left;
            match place.checked_sub(left).filter(|_| both) {
                Some(place) => shown(&join.right, place),
                None => shown(&join.left, place),
            }
        }
        _ => {
            let input = *plan.inputs().first()?;
            (place < input.schema().fields().len()).then(|| shown(input, place))?
        }
    }
}

/// Makes casts to integers round in a plan over released numbers, as below the aggregate. Names stay the same.
fn rounded(plan: LogicalPlan) -> Result<LogicalPlan> {
    let one = |plan: LogicalPlan| {
        let [input] = plan.inputs()[..] else { return Ok(Transformed::no(plan)) };
        let (names, input) = (NamePreserver::new(&plan), input.clone());
        let one = |expr: Expr| {
            let name = names.save(&expr);
            Ok(name.restore(whole::released(expr, input.schema())?.data))
        };
        let exprs = plan.expressions().into_iter().map(one).collect::<Result<Vec<_>>>()?;
        Ok(Transformed::yes(plan.with_new_exprs(exprs, vec![input])?.recompute_schema()?))
    };
    Ok(plan.transform_up_with_subqueries(one)?.data)
}

/// Computes a plan over released numbers.
pub(super) async fn executed(plan: LogicalPlan) -> Result<RecordBatch> {
    let frame = context().execute_logical_plan(rounded(plan)?).await?;
    let schema = frame.schema().inner().clone();
    // In the order of the UNION's parts, not the order in which they finish.
    let batches = frame.collect_partitioned().await?.concat();
    let schema = batches.first().map_or(schema, RecordBatch::schema);
    Ok(concat_batches(&schema, &batches)?)
}

impl View {
    pub(super) fn new(plan: LogicalPlan, aggregate: Arc<DFSchema>, places: Vec<usize>, kinds: Vec<DataType>) -> Self {
        Self { plan, aggregate, places, kinds }
    }

    /// Computes the query's answer from the released result.
    ///
    /// # Errors
    /// Returns an error if `result` is not of this query, or if an expression over it fails.
    pub async fn answer(&self, result: &ResultDoc) -> Result<Answered> {
        let mut made = Box::pin(self.made(result));
        poll_fn(|context| deep(|| made.as_mut().poll(context))).await
    }

    async fn made(&self, result: &ResultDoc) -> Result<Answered> {
        let width = result.columns.len();
        let mut tracer = Tracer::new(&self.places, self.keys(), |cells: &[String]| self.identified(result, cells));
        let traced = tracer.trace(&self.plan)?;
        let all = executed(traced.plan).await?;
        let hidden = |name: &String| Ok::<_, DataFusionError>(all.column(all.schema_ref().index_of(name)?).clone());
        let cells = |name: &String| {
            let ids = cast(&hidden(name)?, &DataType::UInt64)?;
            let place = |id: u64| (id as usize / width, id as usize % width);
            Ok::<Vec<Option<Place>>, DataFusionError>(ids.as_primitive::<UInt64Type>().iter().map(|id| id.map(place)).collect())
        };
        let rows = all.num_rows();
        let origins = |origin: &Origin| {
            let shown = origin.cell.as_ref().map_or_else(|| Ok(vec![None; rows]), cells)?;
            let made = match &origin.made {
                Made::Never => BooleanArray::from(vec![false; rows]),
                Made::Always => BooleanArray::from(vec![true; rows]),
                Made::Sometimes(name) => hidden(name)?.as_boolean().clone(),
            };
            let over = origin.over.iter().map(cells).collect::<Result<Vec<_>>>()?;
            Ok::<_, DataFusionError>(Origins {
                places: origin.places.iter().copied().collect(),
                computed: (0..rows).map(|row| made.is_valid(row) && made.value(row) && shown[row].is_none()).collect(),
                cells: shown,
                divides: over.len(),
                divisors: (0..rows).map(|row| over.iter().filter_map(|cells| cells[row]).collect()).collect(),
            })
        };
        let columns = traced.columns.iter().map(|(_, origin)| origins(origin)).collect::<Result<_>>()?;
        let shown: Vec<usize> = traced.columns.iter().map(|(place, _)| *place).collect();
        Ok(Answered { table: all.project(&shown)?, columns })
    }

    /// Returns the number of the aggregate's columns before its numbers.
    pub(super) fn keys(&self) -> usize {
        self.aggregate.fields().len() - self.places.len()
    }

    /// Builds the released table for the aggregate's place; columns named in `cells` also give the cell of each number.
    fn identified(&self, result: &ResultDoc, cells: &[String]) -> Result<LogicalPlan> {
        let ids = |place: &usize| {
            let ids = (0..result.rows.len()).map(|row| (row * result.columns.len() + place) as u64);
            Arc::new(UInt64Array::from_iter_values(ids)) as ArrayRef
        };
        self.released(result, cells.iter().cloned().zip(self.places.iter().map(ids)).collect())
    }

    /// Builds the released table for the aggregate's place, with `more` columns, one value a row of the result.
    pub(super) fn released(&self, result: &ResultDoc, more: Vec<(String, ArrayRef)>) -> Result<LogicalPlan> {
        let wrong = || DataFusionError::Execution("the result is not of this query".into());
        let keys = self.keys();
        let (mut fields, mut arrays) = (vec![], Vec::<ArrayRef>::new());
        for (i, field) in self.aggregate.fields().iter().enumerate() {
            let array = if i < keys {
                let values: Vec<&Key> = result.rows.iter().map(|r| r.key.get(i).ok_or_else(wrong)).collect::<Result<_>>()?;
                let typed = keys::typed(values.into_iter(), self.kinds.get(i).unwrap_or_else(|| field.data_type()))
                    .map_err(|e| DataFusionError::Execution(format!("key {}: {e}", field.name())))?;
                as_planned(typed, field.data_type())?
            } else {
                let values = result.rows.iter().map(|r| Ok(r.cells.get(self.places[i - keys]).ok_or_else(wrong)?.value));
                Arc::new(values.collect::<Result<Float64Array>>()?) as ArrayRef
            };
            fields.push(Field::new(i.to_string(), array.data_type().clone(), true));
            arrays.push(array);
        }
        let mut names = Vec::with_capacity(more.len());
        for (name, array) in more {
            fields.push(Field::new(&name, array.data_type().clone(), true));
            arrays.push(array);
            names.push(name);
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
        released(&self.aggregate, Arc::new(table), names.into_iter())
    }
}
