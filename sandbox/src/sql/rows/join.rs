//! Joins to public tables: the table's columns become functions of a row's key. [`super::unit_join`] joins the owner's tables.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::DataType,
    common::{DFSchema, DataFusionError, JoinType, NullEquality},
    logical_expr::{
        BinaryExpr, Expr, ExprSchemable as _, Filter, Join, LogicalPlan, Operator,
        utils::{conjunction, find_valid_equijoin_key_pair, split_conjunction},
    },
};
use tidegate_protocol::{Refusal, limits, policy::Policy};

use super::part::{PartOf, Rows};
use crate::sql::{planner::Planned, refuse, said::engine, wrap::unalias};

impl Rows {
    /// Folds a join: to a public table, whose columns become functions of the rows' columns, or on the unit.
    pub(super) fn joined(join: &Join, planned: &Planned, policy: &Policy) -> Result<Self, Refusal> {
        let public = |plan: &LogicalPlan| public_table(plan, planned);
        let (mut rows, table, public_is_right) = match (public(&join.left), public(&join.right)) {
            (None, Some(table)) => (Self::fold(&join.left, planned, policy)?, table, true),
            (Some(table), None) => (Self::fold(&join.right, planned, policy)?, table, false),
            (Some(_), Some(_)) => {
                return Err(refuse("a join of public tables is not supported").fix("Join them before you send them"));
            }
            (None, None) => return Self::joined_on_unit(join, planned, policy),
        };
        let all = match (join.join_type, public_is_right) {
            (JoinType::Inner, _) => false,
            (JoinType::Left, true) | (JoinType::Right, false) => true,
            (other, _) => {
                return Err(refuse(format!("a {other} join is not supported"))
                    .fix("Join the dataset to the public table with INNER or LEFT JOIN"));
            }
        };
        let public_schema = if public_is_right { join.right.schema() } else { join.left.schema() };
        // (the table's column, the type compared, the rows' key)
        let mut on: Vec<(usize, DataType, Expr)> = Vec::new();
        let (pairs, rest) = conditions(join)?;
        for (left, right) in pairs {
            let (mine, theirs) = if public_is_right { (left, right) } else { (right, left) };
            on.push(lookup_key(mine, &theirs, public_schema)?);
        }
        if on.is_empty() {
            return Err(refuse("a join without a key is not supported")
                .fix("Join ON a column of the dataset = a column of the public table"));
        }
        if all && !rest.is_empty() {
            return Err(refuse("a LEFT JOIN with more than keys is not supported").fix("Join by keys, then use CASE or WHERE"));
        }
        rows.looked_up += rows.parts.len() * planned.tables.rows(&table);
        check_looked_up(rows.looked_up)?;
        for part in &mut rows.parts {
            let of = PartOf { part, schema: &rows.schema };
            let keys = on.iter().map(|(i, kind, key)| Ok((*i, kind.clone(), of.resolve(key)?)));
            let (columns, there) = planned.tables.join(&table, &keys.collect::<Result<Vec<_>, Refusal>>()?)?;
            let mine = std::mem::take(&mut part.columns);
            part.columns = if public_is_right { [mine, columns].concat() } else { [columns, mine].concat() };
            if !all {
                part.filter = Some(match part.filter.take() {
                    Some(before) => before.and(there.is_true()),
                    None => there.is_true(),
                });
            }
        }
        rows.schema = join.schema.clone();
        for condition in rest {
            rows.keep(&condition)?;
        }
        Ok(rows)
    }
}

/// Rewrites a filter over a join without keys, as planned for `FROM a, b WHERE …`; `None` for other filters.
///
/// The filter's conditions become the join's, or filters of one side.
pub(super) fn comma(filter: &Filter) -> Result<Option<LogicalPlan>, Refusal> {
    let LogicalPlan::Join(join) = &*filter.input else { return Ok(None) };
    if join.join_type != JoinType::Inner || !join.on.is_empty() || join.filter.is_some() {
        return Ok(None);
    }
    let mut sides = [(&join.left, vec![]), (&join.right, vec![])];
    let mut both = Vec::new();
    for condition in split_conjunction(&filter.predicate) {
        let of = |side: &LogicalPlan| condition.column_refs().iter().all(|column| side.schema().has_column(column));
        let side = sides.iter_mut().find(|(side, _)| of(side));
        side.map_or(&mut both, |(_, conditions)| conditions).push(condition.clone());
    }
    let Some(condition) = conjunction(both) else { return Ok(None) };
    let [left, right] = sides.map(|(side, conditions)| match conjunction(conditions) {
        Some(condition) => Ok(Arc::new(LogicalPlan::Filter(Filter::try_new(condition, side.clone())?))),
        None => Ok::<_, DataFusionError>(side.clone()),
    });
    let (left, right) = (left.map_err(|e| engine(&e))?, right.map_err(|e| engine(&e))?);
    Ok(Some(LogicalPlan::Join(Join { left, right, filter: Some(condition), ..join.clone() })))
}

/// Limits the public rows of all lookups: a worker's memory must hold these beside the buyer's data.
pub(super) fn check_looked_up(rows: usize) -> Result<(), Refusal> {
    if rows <= limits::PUBLIC_ROWS {
        return Ok(());
    }
    let most = limits::PUBLIC_ROWS;
    Err(refuse(format!("its joins look into more than {most} rows of public tables"))
        .fix("Join fewer times, or to smaller tables"))
}

/// Returns the name of the public table scanned unchanged by a plan, if any.
fn public_table(plan: &LogicalPlan, planned: &Planned) -> Option<String> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let name = scan.table_name.table();
            planned.tables.schemas().any(|(table, _)| table == name).then(|| name.to_owned())
        }
        LogicalPlan::SubqueryAlias(alias) => public_table(&alias.input, planned),
        _ => None,
    }
}

/// Equality of an expression over the left rows with another over the right.
pub(super) type Pair = (Expr, Expr);

/// Splits a join's condition into equalities and the rest.
pub(super) fn conditions(join: &Join) -> Result<(Vec<Pair>, Vec<Expr>), Refusal> {
    if join.null_equality != NullEquality::NullEqualsNothing {
        return Err(refuse("a join whose keys may be NULL is not supported").fix("Join ON equal columns"));
    }
    let (mut pairs, mut rest) = (join.on.clone(), Vec::new());
    for condition in join.filter.iter().flat_map(|f| split_conjunction(f)) {
        let sides = match condition {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
                find_valid_equijoin_key_pair(left, right, join.left.schema(), join.right.schema()).map_err(refuse)?
            }
            _ => None,
        };
        match sides {
            Some(pair) => pairs.push(pair),
            None => rest.push(condition.clone()),
        }
    }
    Ok((pairs, rest))
}

/// Equates a row's key `mine` with a table's column `theirs`: (the table's column, the type compared, the row's key).
fn lookup_key(mine: Expr, theirs: &Expr, public: &DFSchema) -> Result<(usize, DataType, Expr), Refusal> {
    let mut bare = unalias(theirs);
    while let Expr::Cast(cast) = bare {
        bare = unalias(&cast.expr);
    }
    let Expr::Column(column) = bare else {
        return Err(
            refuse("the key of a public table must be one of its columns").fix("Add what you join by to the table as a column")
        );
    };
    let kind = theirs.get_type(public).map_err(refuse)?;
    Ok((public.index_of_column(column).map_err(refuse)?, kind, mine))
}
