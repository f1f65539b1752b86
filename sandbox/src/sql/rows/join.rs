//! Joins to public tables: the table's columns become functions of a row's key. Joins of the owner's tables are in [`super::unit_join`].

use datafusion::{
    arrow::datatypes::DataType,
    common::{DFSchema, JoinType},
    logical_expr::{
        BinaryExpr, Expr, ExprSchemable as _, Join, LogicalPlan, Operator,
        utils::{find_valid_equijoin_key_pair, split_conjunction},
    },
};
use tidegate_protocol::{Refusal, limits, policy::Policy};

use super::{PartOf, Rows};
use crate::sql::{measures::unalias, planner::Planned, refuse};

impl Rows {
    /// A join: to a public table, whose columns are functions of the rows', or on the unit.
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
        let (private_schema, public_schema) = match public_is_right {
            true => (join.left.schema(), join.right.schema()),
            false => (join.right.schema(), join.left.schema()),
        };
        // (the table's column, the type that is compared, the rows' key)
        let mut on: Vec<(usize, DataType, Expr)> = Vec::new();
        let mut rest: Vec<Expr> = Vec::new();
        let pairs = join.on.iter().map(|(a, b)| a.clone().eq(b.clone()));
        for condition in pairs.chain(join.filter.iter().flat_map(|f| split_conjunction(f)).cloned()) {
            match lookup_key(&condition, private_schema, public_schema)? {
                Some(key) => on.push(key),
                None => rest.push(condition),
            }
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

/// A worker must have room for the rows beside what the buyer brings.
pub(super) fn check_looked_up(rows: usize) -> Result<(), Refusal> {
    if rows <= limits::PUBLIC_ROWS {
        return Ok(());
    }
    let most = limits::PUBLIC_ROWS;
    Err(refuse(format!("its joins look into more than {most} rows of public tables"))
        .fix("Join fewer times, or to smaller tables"))
}

/// The public table that a plan is, as it is.
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

/// An equality of a column of the table and an expression over the rows: (the table's column, the type that is compared, the expression).
fn lookup_key(condition: &Expr, private: &DFSchema, public: &DFSchema) -> Result<Option<(usize, DataType, Expr)>, Refusal> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else { return Ok(None) };
    let pair = find_valid_equijoin_key_pair(left, right, private, public).map_err(refuse)?;
    let Some((mine, theirs)) = pair else { return Ok(None) };
    let mut bare = unalias(&theirs);
    while let Expr::Cast(cast) = bare {
        bare = unalias(&cast.expr);
    }
    let Expr::Column(column) = bare else {
        return Err(
            refuse("the key of a public table must be one of its columns").fix("Add what you join by to the table as a column")
        );
    };
    let kind = theirs.get_type(public).map_err(refuse)?;
    Ok(Some((public.index_of_column(column).map_err(refuse)?, kind, mine)))
}
