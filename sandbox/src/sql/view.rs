//! What a query does with released numbers: HAVING, ORDER BY, LIMIT, arithmetic. Post-processing, free, and the buyer's own: what leaves the owner is the
//! gate's table alone, and the rest of the query is computed from it by whoever holds it.

use std::{collections::BTreeSet, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray as _, Float64Array, RecordBatch, UInt64Array},
    compute::{cast, concat_batches},
    datatypes::{DataType, Field, Schema, UInt64Type},
};
use datafusion::{
    common::{
        Column, DFSchema,
        tree_node::{TreeNode as _, TreeNodeRecursion},
    },
    datasource::{MemTable, provider_as_source},
    error::{DataFusionError, Result},
    logical_expr::{BinaryExpr, Expr, LogicalPlan, LogicalPlanBuilder, Operator, expr_rewriter::NamePreserver},
};
use tidegate_protocol::{job::Key, result::ResultDoc};

use super::{exact::whole, keys, measures::unalias, planner::context};

const RELEASED: &str = "released";
/// The column that says which released row a row is: no other has this name.
const ROW: &str = "which released row";

/// A query's answer.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Its table.
    pub table: RecordBatch,
    /// Which of the result's rows each of its rows is.
    pub rows: Vec<usize>,
    /// For each of its columns, which of the result's it shows as it is.
    pub cells: Vec<Option<usize>>,
    /// For each of its columns that is computed from the result's: which of them it divides by, each alone; `None` of keys, and of what is shown as it is.
    pub computed: Vec<Option<Vec<usize>>>,
}

/// The part of a query that lies above its aggregate.
#[derive(Debug, Clone)]
pub struct View {
    /// With types made to agree; the aggregate is at the end of the chain of first inputs.
    plan: LogicalPlan,
    /// How many nodes lie above it.
    above: usize,
    /// For each aggregate call, which of the result's columns it is.
    places: Vec<usize>,
    /// The keys' types, which are not always those that the planner has for them.
    kinds: Vec<DataType>,
}

/// An expression without names and casts. COUNT comes as Int64 and is sometimes wrapped in a cast to itself by the analyzer.
pub(super) fn bare(expr: &Expr) -> &Expr {
    match unalias(expr) {
        Expr::Cast(cast) => bare(&cast.expr),
        other => other,
    }
}

/// What the output of `plan` calls the columns of the aggregate `above` nodes below it that it shows as they are: names, and places in the aggregate's schema.
pub(super) fn named(plan: &LogicalPlan, above: usize) -> Vec<(String, usize)> {
    let fields = plan.schema().fields().iter().enumerate();
    fields.filter_map(|(place, field)| Some((field.name().clone(), shown(plan, above, place)?))).collect()
}

/// The aggregate's column that the output column at `place` is.
fn shown(plan: &LogicalPlan, above: usize, place: usize) -> Option<usize> {
    if above == 0 {
        return Some(place);
    }
    let [input] = plan.inputs()[..] else { return None };
    let place = match plan {
        LogicalPlan::Projection(projection) => match bare(projection.expr.get(place)?) {
            Expr::Column(column) => input.schema().index_of_column(column).ok()?,
            _ => return None,
        },
        _ => place,
    };
    shown(input, above - 1, place)
}

/// A node's expressions, in which a cast to a whole number rounds, as it does below the aggregate. Their names are what they were.
fn rounded(plan: &LogicalPlan, inputs: &[LogicalPlan]) -> Result<Vec<Expr>> {
    let [input] = inputs else { return Ok(plan.expressions()) };
    let names = NamePreserver::new(plan);
    let one = |expr: Expr| {
        let name = names.save(&expr);
        Ok(name.restore(whole::released(expr, input.schema())?.data))
    };
    plan.expressions().into_iter().map(one).collect()
}

impl View {
    pub(super) fn new(plan: LogicalPlan, above: usize, places: Vec<usize>, kinds: Vec<DataType>) -> Self {
        Self { plan, above, places, kinds }
    }

    /// The query's answer, computed from what was released.
    ///
    /// # Errors
    /// When `result` is not of this query, or an expression over it fails.
    pub async fn answer(&self, result: &ResultDoc) -> Result<Answered> {
        let context = context();
        let plan = self.over(&self.plan, self.above, result)?;
        let frame = context.execute_logical_plan(plan).await?;
        let schema = frame.schema().inner().clone();
        let batches = frame.collect().await?;
        let schema = batches.first().map_or(schema, RecordBatch::schema);
        let mut table = concat_batches(&schema, &batches)?;
        let rows = cast(&table.remove_column(schema.index_of(ROW)?), &DataType::UInt64)?;
        let rows = rows.as_primitive::<UInt64Type>().values().iter().map(|row| *row as usize).collect();
        let before = result.keys.len();
        let cell = |place| self.places.get(shown(&self.plan, self.above, place)?.checked_sub(before)?).copied();
        let cells = (0..table.num_columns()).map(cell).collect();
        let computed = |place| {
            let (bases, over) = self.made_of(&self.plan, self.above, place, before);
            (shown(&self.plan, self.above, place).is_none() && !bases.is_empty()).then(|| over.into_iter().collect())
        };
        let computed = (0..table.num_columns()).map(computed).collect();
        Ok(Answered { table, rows, cells, computed })
    }

    /// Which of the result's columns the output column at `place` is made of, and which it divides by, where a divisor has one of them alone.
    fn made_of(&self, plan: &LogicalPlan, above: usize, place: usize, keys: usize) -> (BTreeSet<usize>, BTreeSet<usize>) {
        if above == 0 {
            let released = place.checked_sub(keys).and_then(|place| self.places.get(place));
            return (released.copied().into_iter().collect(), BTreeSet::new());
        }
        let [input] = plan.inputs()[..] else { return Default::default() };
        let LogicalPlan::Projection(projection) = plan else { return self.made_of(input, above - 1, place, keys) };
        let Some(expr) = projection.expr.get(place) else { return Default::default() };
        let of = |expr: &Expr| {
            let places = expr.column_refs().into_iter().filter_map(|column| input.schema().index_of_column(column).ok());
            places.map(|place| self.made_of(input, above - 1, place, keys)).fold(
                (BTreeSet::new(), BTreeSet::new()),
                |(mut bases, mut over), more| {
                    bases.extend(more.0);
                    over.extend(more.1);
                    (bases, over)
                },
            )
        };
        let (bases, mut over) = of(expr);
        let _ = expr.apply(|part| {
            if let Expr::BinaryExpr(BinaryExpr { op: Operator::Divide, right, .. }) = part {
                let divisor = of(right).0;
                over.extend(divisor.first().filter(|_| divisor.len() == 1));
            }
            Ok(TreeNodeRecursion::Continue)
        });
        (bases, over)
    }

    /// `plan` with `above` nodes kept and the aggregate below them replaced by the released table.
    fn over(&self, plan: &LogicalPlan, above: usize, result: &ResultDoc) -> Result<LogicalPlan> {
        if above > 0 {
            let inputs = plan.inputs().into_iter().map(|i| self.over(i, above - 1, result)).collect::<Result<Vec<_>>>()?;
            let mut exprs = rounded(plan, &inputs)?;
            if let (LogicalPlan::Projection(_), [input]) = (plan, inputs.as_slice()) {
                let row = input.schema().iter().find(|(_, field)| field.name() == ROW);
                exprs.extend(row.map(|field| Expr::Column(Column::from(field))));
            }
            return plan.with_new_exprs(exprs, inputs)?.recompute_schema();
        }
        let LogicalPlan::Aggregate(aggregate) = plan else {
            return Err(DataFusionError::Internal("the plan has no aggregate".into()));
        };
        let (batch, names) =
            self.table(&aggregate.schema, aggregate.schema.fields().len() - aggregate.aggr_expr.len(), result)?;
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
        let fields = aggregate.schema.iter().zip(names);
        let named = fields.map(|((qualifier, field), name)| {
            Expr::Column(Column::new(Some(RELEASED), name)).alias_qualified(qualifier.cloned(), field.name())
        });
        let row = Expr::Column(Column::new(Some(RELEASED), ROW)).alias(ROW);
        LogicalPlanBuilder::scan(RELEASED, provider_as_source(Arc::new(table)), None)?
            .project(named.chain(std::iter::once(row)))?
            .build()
    }

    fn table(&self, schema: &DFSchema, keys: usize, result: &ResultDoc) -> Result<(RecordBatch, Vec<String>)> {
        let wrong = || DataFusionError::Execution("the result is not of this query".into());
        let (mut fields, mut arrays, mut names) = (vec![], Vec::<ArrayRef>::new(), vec![]);
        for (i, field) in schema.fields().iter().enumerate() {
            let array = if i < keys {
                let values: Vec<&Key> = result.rows.iter().map(|r| r.key.get(i).ok_or_else(wrong)).collect::<Result<_>>()?;
                keys::typed(values.into_iter(), self.kinds.get(i).unwrap_or_else(|| field.data_type()))
                    .map_err(|e| DataFusionError::Execution(format!("key {}: {e}", field.name())))?
            } else {
                let place = *self.places.get(i - keys).ok_or_else(wrong)?;
                let values = result.rows.iter().map(|r| Ok(r.cells.get(place).ok_or_else(wrong)?.value));
                Arc::new(values.collect::<Result<Float64Array>>()?) as ArrayRef
            };
            names.push(i.to_string());
            fields.push(Field::new(i.to_string(), array.data_type().clone(), true));
            arrays.push(array);
        }
        fields.push(Field::new(ROW, DataType::UInt64, false));
        arrays.push(Arc::new(UInt64Array::from_iter_values(0..result.rows.len() as u64)));
        Ok((RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?, names))
    }
}
