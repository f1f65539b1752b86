//! Split of a query into an aggregate over rows, which the gate releases, and the plan above the aggregate, which scans released
//! numbers wherever it reads the aggregate.
//!
//! Nothing above the cut can read rows: every scan left there is of released numbers. A window, a join or a subquery is either
//! above the cut, and computed from those, or below it, where the folding of rows ([`super::rows`]) refuses it or makes it a
//! unit's own.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{DataType, Field, Schema},
    catalog::TableProvider,
    common::{
        Column, DFSchema, TableReference,
        tree_node::{Transformed, TreeNode as _, TreeNodeRecursion},
    },
    datasource::{empty::EmptyTable, provider_as_source},
    error::{DataFusionError, Result as Engine},
    logical_expr::{
        Aggregate, Distinct, Expr, LogicalPlan, LogicalPlanBuilder, Subquery, Union, cast,
        expr::{Exists, InSubquery, SetComparison},
    },
};
use tidegate_protocol::{Refusal, limits, policy::Policy};

use super::{
    planner::{Planned, subqueries_joined},
    refuse,
    rows::{Rows, unsupported},
    said::engine,
};

/// Name of the scan of released numbers, which no SQL text can name.
const RELEASED: &str = "released numbers";

/// A query cut in two.
pub(super) struct Cut {
    /// Plan over released numbers, with coerced types.
    pub(super) above: LogicalPlan,
    /// Aggregate to be released, with coerced types.
    pub(super) aggregate: Aggregate,
}

/// Cuts a plan.
///
/// # Errors
/// Returns a [`Refusal`] for rows above the aggregate, and for more than one aggregate.
pub(super) fn cut(planned: &Planned, policy: &Policy) -> Result<Cut, Refusal> {
    let mut nodes = 0;
    let counted = planned.raw.apply_with_subqueries(|_| {
        nodes += 1;
        Ok(if nodes > limits::SQL_NODES { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    counted.map_err(|e| engine(&e))?;
    if nodes > limits::SQL_NODES {
        return Err(refuse("subqueries repeat one another too often").fix("Read fewer of them in one another"));
    }
    if nested(&planned.raw).map_err(|e| engine(&e))? > NESTED {
        return Err(refuse(format!("more than {NESTED} subqueries lie within one another"))
            .fix("Name them in WITH, and read them in one query"));
    }
    let mut knife = Knife { planned, policy, aggregate: None, reads: 0 };
    let above = knife.lift(&planned.raw)?;
    let aggregate = LogicalPlan::Aggregate(knife.aggregate.ok_or_else(rows_leave)?);
    let LogicalPlan::Aggregate(aggregate) = subqueries_joined(planned.agreed(aggregate)?) else {
        return Err(refuse("this form of aggregate is not supported").fix("Write SELECT … FROM dataset [WHERE …] [GROUP BY …]"));
    };
    let above = planned.agreed(above)?;
    // Final safeguard.
    let reads_rows = |plan: &LogicalPlan| matches!(plan, LogicalPlan::TableScan(scan) if scan.table_name.table() != RELEASED);
    let mut rows = false;
    let looked = above.apply_with_subqueries(|plan| {
        rows |= reads_rows(plan);
        Ok(TreeNodeRecursion::Continue)
    });
    looked.map_err(|e| engine(&e))?;
    if rows { Err(rows_leave()) } else { Ok(Cut { above, aggregate }) }
}

/// Maximum depth of subqueries of expressions within one another: the engine plans each again in all that hold it.
const NESTED: usize = 4;

/// Returns the depth of subqueries of expressions within one another.
fn nested(plan: &LogicalPlan) -> Engine<usize> {
    let mut most = 0;
    plan.apply(|node| {
        node.apply_subqueries(|subquery| {
            most = most.max(1 + nested(subquery)?);
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(most)
}

/// Returns whether a node stands in the aggregate's place, with a column for each of the aggregate's.
pub(super) fn is_released(plan: &LogicalPlan) -> bool {
    let LogicalPlan::Projection(projection) = plan else { return false };
    matches!(&*projection.input, LogicalPlan::TableScan(scan) if scan.table_name.table() == RELEASED)
}

/// Builds the node for the aggregate's place from a table with columns named by position, and appends the columns in `more`.
pub(super) fn released(
    aggregate: &DFSchema,
    table: Arc<dyn TableProvider>,
    more: impl Iterator<Item = String>,
) -> Engine<LogicalPlan> {
    let column = |name: String| Expr::Column(Column::new(Some(RELEASED), name));
    let own = aggregate
        .iter()
        .enumerate()
        .map(|(place, (qualifier, field))| column(place.to_string()).alias_qualified(qualifier.cloned(), field.name()));
    let more = more.map(|name| column(name.clone()).alias(name));
    LogicalPlanBuilder::scan(RELEASED, provider_as_source(table), None)?.project(own.chain(more))?.build()
}

fn rows_leave() -> Refusal {
    refuse("the query returns rows").fix("Only aggregates leave: use COUNT, SUM or AVG, optionally with GROUP BY")
}

struct Knife<'a> {
    planned: &'a Planned,
    policy: &'a Policy,
    /// Aggregate to be released, once found.
    aggregate: Option<Aggregate>,
    /// Number of places where the aggregate is read.
    reads: usize,
}

impl Knife<'_> {
    /// Replaces the aggregate in `plan` by released numbers.
    fn lift(&mut self, plan: &LogicalPlan) -> Result<LogicalPlan, Refusal> {
        match plan {
            LogicalPlan::Aggregate(aggregate) if !self.is_above(&aggregate.input) => return self.release(aggregate),
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Aggregate(_) => {}
            LogicalPlan::Window(_) | LogicalPlan::Union(_) | LogicalPlan::Join(_) if self.is_above(plan) => {}
            // Grouping by all columns, as UNION without ALL does too.
            LogicalPlan::Distinct(Distinct::All(input)) if self.is_above(input) => {
                let input = self.lift(input)?;
                let columns = input.schema().columns().into_iter().map(Expr::Column).collect();
                return Aggregate::try_new(Arc::new(input), columns, vec![]).map(LogicalPlan::Aggregate).map_err(|e| engine(&e));
            }
            LogicalPlan::Distinct(Distinct::On(on)) if self.is_above(&on.input) => {
                return Err(refuse("DISTINCT ON over released numbers is not supported").fix(
                    "Write SELECT … FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY city ORDER BY n DESC) AS rn FROM t) WHERE rn = 1",
                ));
            }
            LogicalPlan::Union(_) | LogicalPlan::Join(_) if !plan.inputs().into_iter().any(|input| self.is_above(input)) => {
                return Err(rows_leave());
            }
            LogicalPlan::TableScan(_) => return Err(rows_leave()),
            other => return Err(unsupported(other)),
        }
        let inputs = plan.inputs().into_iter().map(|input| self.lift(input)).collect::<Result<Vec<_>, _>>()?;
        let exprs = plan.expressions().into_iter().map(|expr| self.lift_within(expr)).collect::<Result<Vec<_>, _>>()?;
        let lifted = match plan {
            LogicalPlan::Union(_) => {
                Union::try_new_with_loose_types(inputs.into_iter().map(Arc::new).collect()).map(LogicalPlan::Union)
            }
            LogicalPlan::Window(_) => plan.with_new_exprs(exprs, inputs).and_then(signed),
            _ => plan.with_new_exprs(exprs, inputs),
        };
        lifted.map_err(|e| engine(&e))
    }

    /// Makes the subqueries of an expression read released numbers.
    fn lift_within(&mut self, expr: Expr) -> Result<Expr, Refusal> {
        let mut refused = None;
        let lifted = expr.transform_down(|expr| {
            subqueries(expr, &mut |subquery| {
                self.lift(&subquery.subquery).map_err(|refusal| {
                    refused = Some(refusal);
                    DataFusionError::Plan(String::new())
                })
            })
        });
        lifted.map(|lifted| lifted.data).map_err(|e| refused.unwrap_or_else(|| engine(&e)))
    }

    /// Replaces `aggregate`, which must equal any aggregate replaced before, by released numbers.
    fn release(&mut self, aggregate: &Aggregate) -> Result<LogicalPlan, Refusal> {
        self.reads += 1;
        if self.reads > limits::RELEASED_READS {
            return Err(refuse(format!("released numbers are read in more than {} places", limits::RELEASED_READS))
                .fix("Compute from them in fewer subqueries"));
        }
        if self.aggregate.get_or_insert_with(|| aggregate.clone()) != aggregate {
            return Err(refuse("the query has several aggregates over rows, and a job releases one").fix(
                "Name one with WITH t AS (SELECT … GROUP BY …) and read t in every part. Of its groups SUM(COUNT(*)) OVER () is a total, and GROUP BY ROLLUP \
                 releases one. Or send a job for each",
            ));
        }
        let keys = aggregate.schema.fields().len() - aggregate.aggr_expr.len();
        // Whatever a call counts or sums, the released number has noise.
        let kind =
            |(place, field): (usize, &Arc<Field>)| if place < keys { field.data_type().clone() } else { DataType::Float64 };
        let fields = aggregate.schema.fields().iter().enumerate();
        let fields = fields.map(|field| Field::new(field.0.to_string(), kind(field), true));
        let table = EmptyTable::new(Arc::new(Schema::new(fields.collect::<Vec<_>>())));
        released(&aggregate.schema, Arc::new(table), std::iter::empty()).map_err(|e| engine(&e))
    }

    /// Returns whether everything read by a plan is aggregated over several units.
    fn is_above(&self, plan: &LogicalPlan) -> bool {
        let inputs = plan.inputs();
        let above = !inputs.is_empty() && inputs.into_iter().all(|input| self.is_above(input));
        match plan {
            LogicalPlan::Aggregate(aggregate) => above || !self.is_by_unit(aggregate),
            _ => above,
        }
    }

    /// Returns whether each group of an aggregate belongs to a single unit.
    ///
    /// An aggregate that does not fold is taken for such, and is refused when it is folded again.
    fn is_by_unit(&self, aggregate: &Aggregate) -> bool {
        let Ok(rows) = Rows::fold(&aggregate.input, self.planned, self.policy) else { return true };
        let unit = |key: &Expr| key.column_refs().iter().any(|column| column.name == self.policy.unit.column);
        aggregate.group_expr.iter().any(|key| rows.resolve(key).is_ok_and(|of_parts| of_parts.iter().any(unit)))
    }
}

/// Makes a window's ranks and row numbers signed, like counts and literals: combined with these, unsigned ones become decimals.
fn signed(window: LogicalPlan) -> Engine<LogicalPlan> {
    let before = window.inputs().first().map_or(0, |input| input.schema().fields().len());
    let column = |(place, (qualifier, field)): (usize, (Option<&TableReference>, &Arc<Field>))| {
        let column = Expr::Column(Column::from((qualifier, field)));
        match field.data_type() {
            DataType::UInt64 if place >= before => {
                cast(column, DataType::Int64).alias_qualified(qualifier.cloned(), field.name())
            }
            _ => column,
        }
    };
    let columns: Vec<Expr> = window.schema().iter().enumerate().map(column).collect();
    LogicalPlanBuilder::from(window).project(columns)?.build()
}

/// Replaces the plan of a subquery expression.
pub(super) fn subqueries(expr: Expr, plan: &mut dyn FnMut(&Subquery) -> Engine<LogicalPlan>) -> Engine<Transformed<Expr>> {
    let mut changed = |subquery: Subquery| Ok::<_, DataFusionError>(subquery.with_plan(Arc::new(plan(&subquery)?)));
    Ok(match expr {
        Expr::ScalarSubquery(subquery) => Transformed::yes(Expr::ScalarSubquery(changed(subquery)?)),
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
            Transformed::yes(Expr::InSubquery(InSubquery { expr, subquery: changed(subquery)?, negated }))
        }
        Expr::Exists(Exists { subquery, negated }) => {
            Transformed::yes(Expr::Exists(Exists { subquery: changed(subquery)?, negated }))
        }
        Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }) => {
            Transformed::yes(Expr::SetComparison(SetComparison { expr, subquery: changed(subquery)?, op, quantifier }))
        }
        other => Transformed::no(other),
    })
}
