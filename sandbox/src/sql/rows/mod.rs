//! Folding of the plan below the aggregate: row-wise subqueries, CTEs and filters become a single filter and expressions over
//! the source's own columns. The source is the dataset's rows, or the output of an aggregation by unit or a join on the unit.

use datafusion::logical_expr::{Aggregate, Distinct, Expr, LogicalPlan};
use tidegate_protocol::{Refusal, limits, policy::Policy};

use self::part::Part;
use super::{input::Source, per_unit, planner::Planned, refuse, said::engine};

mod first;
mod join;
mod number;
mod part;
mod unit_join;

pub(super) use number::{NUMBER, numbered_otherwise};
pub(super) use part::{PartOf, Rows};

impl Rows {
    /// Folds `plan`.
    ///
    /// # Errors
    /// Returns a [`Refusal`] that names the first node that is not row-wise.
    pub(super) fn fold(plan: &LogicalPlan, planned: &Planned, policy: &Policy) -> Result<Self, Refusal> {
        match plan {
            LogicalPlan::TableScan(scan) if planned.owns(scan.table_name.table()) => {
                if scan.projection.is_some() || !scan.filters.is_empty() || scan.fetch.is_some() {
                    return Err(refuse("this form of FROM is not supported"));
                }
                let (filter, columns) = planned.rows_of(scan.table_name.table());
                let parts = vec![Part { filter, columns }];
                Ok(Self { parts, schema: scan.projected_schema.clone(), source: Source::Rows, looked_up: 0, numbers: None })
            }
            LogicalPlan::SubqueryAlias(alias) => {
                Ok(Self { schema: alias.schema.clone(), ..Self::fold(&alias.input, planned, policy)? })
            }
            LogicalPlan::Projection(projection) => {
                Self::fold(&projection.input, planned, policy)?.projected(&projection.expr, projection.schema.clone())
            }
            LogicalPlan::Filter(filter) => {
                if let Some(joined) = join::comma(filter)? {
                    return Self::fold(&joined, planned, policy);
                }
                let mut below = Self::fold(&filter.input, planned, policy)?;
                if let Some(order) = below.numbers.take() {
                    return below.only_first(order, &filter.predicate, planned, policy);
                }
                below.keep(&filter.predicate)?;
                Ok(below)
            }
            LogicalPlan::Union(union) => {
                let (mut parts, mut looked_up) = (Vec::new(), 0);
                for input in &union.inputs {
                    let below = Self::fold(input, planned, policy)?;
                    if !matches!(below.source, Source::Rows) {
                        return Err(refuse("UNION ALL of aggregates of units, or of joins on the unit, is not supported")
                            .fix("Put the rows together first, then aggregate or join them by unit"));
                    }
                    parts.extend(below.parts);
                    looked_up += below.looked_up;
                }
                if parts.len() > limits::UNION_PARTS {
                    return Err(refuse(format!("UNION ALL of more than {} parts", limits::UNION_PARTS)));
                }
                join::check_looked_up(looked_up)?;
                Ok(Self { parts, schema: union.schema.clone(), source: Source::Rows, looked_up, numbers: None })
            }
            LogicalPlan::Join(join) => Self::joined(join, planned, policy),
            // The units that have rows: one row per unit.
            LogicalPlan::Distinct(Distinct::All(input)) if is_unit_alone(input, policy) => {
                let unit = input.schema().columns().into_iter().map(Expr::Column).collect();
                let units = Aggregate::try_new(input.clone(), unit, vec![]).map_err(|e| engine(&e))?;
                Self::by_unit(&units, planned, policy)
            }
            LogicalPlan::Distinct(Distinct::On(on)) => Self::distinct_on(on, planned, policy),
            LogicalPlan::Window(window) => Self::numbered(window, planned, policy),
            LogicalPlan::Aggregate(aggregate) => Self::by_unit(aggregate, planned, policy),
            other => Err(unsupported(other)),
        }
    }

    /// Folds an aggregate by unit to a single row per unit.
    fn by_unit(aggregate: &Aggregate, planned: &Planned, policy: &Policy) -> Result<Self, Refusal> {
        let below = Self::fold(&aggregate.input, planned, policy)?;
        if matches!(below.source, Source::PerUnit(_)) {
            return Err(refuse("a unit's rows can be aggregated once").fix("Compute all you need of a unit in one subquery"));
        }
        let mut by_unit = None;
        for part in below.parts() {
            let keys = part.all(&aggregate.group_expr)?;
            if !matches!(keys.as_slice(), [Expr::Column(c)] if c.name == policy.unit.column) {
                return Err(refuse("an aggregate over groups of several units is aggregated again").fix(format!(
                    "A subquery may aggregate each unit's own rows: GROUP BY {} alone. What is aggregated by other keys is released, and can be aggregated then: not together with rows",
                    policy.unit.column
                )));
            }
            by_unit = Some(keys);
        }
        let looked_up = below.looked_up;
        let (stage, columns) = per_unit::admit(aggregate, below, planned, policy)?;
        let mut all = by_unit.unwrap_or_default();
        all.extend(columns);
        let parts = vec![Part { filter: None, columns: all }];
        Ok(Self { parts, schema: aggregate.schema.clone(), source: Source::PerUnit(Box::new(stage)), looked_up, numbers: None })
    }
}

/// Returns whether rows have only the unit's column.
fn is_unit_alone(rows: &LogicalPlan, policy: &Policy) -> bool {
    matches!(rows.schema().fields().iter().as_slice(), [field] if *field.name() == policy.unit.column)
}

/// Explains why a node is not row-wise, and suggests a fix.
pub(super) fn unsupported(plan: &LogicalPlan) -> Refusal {
    let (what, fix) = match plan {
        LogicalPlan::Join(_) => (
            "a join of released numbers with rows, or with a public table,",
            "Join rows and public tables below the aggregate; released numbers can be joined with themselves alone",
        ),
        LogicalPlan::Window(_) => (
            "a window over rows",
            "A row's rank or neighbours are other people's rows. Aggregate by groups first: windows over released groups are free",
        ),
        LogicalPlan::Union(_) => (
            "UNION ALL of released numbers with rows",
            "Put rows together below the aggregate, or read one aggregate in every part: WITH t AS (SELECT … GROUP BY …)",
        ),
        LogicalPlan::Distinct(_) => ("DISTINCT over rows", "Use GROUP BY; of queries put together, UNION ALL"),
        LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => (
            "ORDER BY or LIMIT over rows",
            "Which rows come first depends on everybody's. Sort and limit the released groups instead",
        ),
        LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => {
            ("a query without the dataset", "Write FROM and the dataset's table")
        }
        LogicalPlan::TableScan(_) => ("a query of a public table alone", "Write FROM dataset, and join to it"),
        LogicalPlan::RecursiveQuery(_) => ("a recursive CTE", "Write the steps out"),
        LogicalPlan::Unnest(_) => ("UNNEST", "Rows that make rows would count more than once"),
        _ => ("this form of query", "Write SELECT … FROM dataset [WHERE …] [GROUP BY …]"),
    };
    refuse(format!("{what} is not supported")).fix(fix)
}
