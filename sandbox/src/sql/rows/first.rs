//! Each unit's first row: ROW_NUMBER() OVER (PARTITION BY unit ORDER BY …) = 1, and DISTINCT ON (unit).

use std::sync::Arc;

use datafusion::{
    arrow::compute::SortOptions,
    common::{
        Column, DFSchema, ScalarValue,
        tree_node::{Transformed, TreeNode as _},
    },
    logical_expr::{
        BinaryExpr, DistinctOn, Expr, Operator, SortExpr, Window, WindowFunctionDefinition,
        expr::WindowFunction,
        lit,
        utils::{conjunction, split_conjunction},
    },
};
use tidegate_protocol::{Refusal, policy::Policy};

use super::{
    Part, Rows,
    unit_join::{Side, typed},
};
use crate::sql::{
    first::First,
    input::{Input, Source},
    measures::unalias,
    planner::Planned,
    refuse,
};

/// A row's number among its unit's, until it is said which is asked for: a column's name.
pub(in crate::sql) const NUMBER: &str = "row number";

/// What rows are numbered by: expressions in each part, and the order.
pub(super) type Order = Vec<(Vec<Expr>, SortOptions)>;

/// Why a row's number is not a value.
pub(in crate::sql) fn numbered_otherwise(unit: &str) -> Refusal {
    refuse("a row's number is not read, it says which row of a unit is meant").fix(format!(
        "Write SELECT … FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY {unit} ORDER BY day DESC) AS rn FROM …) WHERE rn = 1"
    ))
}

impl Rows {
    /// Rows with their numbers among their units'.
    pub(super) fn numbered(window: &Window, planned: &Planned, policy: &Policy) -> Result<Self, Refusal> {
        let unit = &policy.unit.column;
        let other = || {
            refuse("a window over rows is not supported").fix(format!(
                "A row's rank or neighbours are other people's rows. ROW_NUMBER() OVER (PARTITION BY {unit} ORDER BY …) = 1 is each one's first row; aggregate by groups otherwise"
            ))
        };
        let mut rows = Self::fold(&window.input, planned, policy)?;
        let [call] = window.window_expr.as_slice() else { return Err(other()) };
        let Expr::WindowFunction(call) = unalias(call) else { return Err(other()) };
        let WindowFunction { fun: WindowFunctionDefinition::WindowUDF(function), params } = &**call else { return Err(other()) };
        let plain = params.args.is_empty() && params.filter.is_none() && params.null_treatment.is_none() && !params.distinct;
        let by_unit = match params.partition_by.as_slice() {
            [by] => rows.is_unit(by, policy)?,
            _ => false,
        };
        if function.name() != "row_number" || !plain || !by_unit || params.order_by.is_empty() || rows.numbers.is_some() {
            return Err(other());
        }
        rows.numbers = Some(rows.order(&params.order_by)?);
        for part in &mut rows.parts {
            part.columns.push(Expr::Column(Column::new_unqualified(NUMBER)));
        }
        rows.schema = window.schema.clone();
        Ok(rows)
    }

    /// An order of rows, in each part.
    fn order(&self, by: &[SortExpr]) -> Result<Order, Refusal> {
        let options = |by: &SortExpr| SortOptions { descending: !by.asc, nulls_first: by.nulls_first };
        by.iter().map(|by| Ok((self.resolve(&by.expr)?, options(by)))).collect()
    }

    /// Only rows where `predicate` holds, which says that a row's number is 1.
    pub(super) fn only_first(
        mut self,
        order: Order,
        predicate: &Expr,
        planned: &Planned,
        policy: &Policy,
    ) -> Result<Self, Refusal> {
        let (mut first, mut others) = (false, Vec::new());
        for condition in split_conjunction(predicate) {
            match self.resolve(condition)?.iter().all(is_first) {
                true => first = true,
                false => others.push(condition.clone()),
            }
        }
        if !first {
            return Err(numbered_otherwise(&policy.unit.column));
        }
        self.numbers = None;
        let mut rows = self.first(order, planned, policy)?;
        if let Some(others) = conjunction(others) {
            rows.keep(&others)?;
        }
        Ok(rows)
    }

    /// Each unit's first row, where one of these conditions of a join says so, which then is none of them any more.
    pub(super) fn first_where(mut self, conditions: &mut Vec<Expr>, planned: &Planned, policy: &Policy) -> Result<Self, Refusal> {
        let Some(order) = self.numbers.take() else { return Ok(self) };
        let says = |condition: &Expr| {
            let mine = condition.column_refs().iter().all(|column| self.schema.has_column(column));
            mine && self.resolve(condition).is_ok_and(|of_parts| of_parts.iter().all(is_first))
        };
        match conditions.iter().position(says) {
            Some(place) => {
                conditions.remove(place);
                self.first(order, planned, policy)
            }
            None => Err(numbered_otherwise(&policy.unit.column)),
        }
    }

    /// Each unit's first row in an order.
    fn first(mut self, order: Order, planned: &Planned, policy: &Policy) -> Result<Self, Refusal> {
        let one = |e: Expr| match &e {
            Expr::Column(column) if column.name == NUMBER => Ok(Transformed::yes(lit(1u64))),
            _ => Ok(Transformed::no(e)),
        };
        for part in &mut self.parts {
            let columns = std::mem::take(&mut part.columns).into_iter();
            part.columns =
                columns.map(|e| e.transform_up(one).map(|made| made.data)).collect::<Result<_, _>>().map_err(refuse)?;
        }
        let (looked_up, schema) = (self.looked_up, self.schema.clone());
        let (keys, options): (Vec<_>, Vec<_>) = order.into_iter().unzip();
        let Side { select, source, columns } = Side::new(self, "row", &keys, planned, policy)?;
        let input = Input::new(select, source)?;
        let named = input.select.names.iter().enumerate();
        let bounds = named.map(|(i, name)| (name.clone(), input.column_bounds(i, policy))).collect();
        let first = First::new(input, options, bounds)?;
        let columns = typed(columns, &schema, &first.schema);
        let parts = vec![Part { filter: None, columns }];
        Ok(Self { parts, schema, source: Source::First(Box::new(first)), looked_up, numbers: None })
    }

    /// DISTINCT ON (unit).
    pub(super) fn distinct_on(on: &DistinctOn, planned: &Planned, policy: &Policy) -> Result<Self, Refusal> {
        let unit = &policy.unit.column;
        let rows = Self::fold(&on.input, planned, policy)?;
        let by_unit = match on.on_expr.as_slice() {
            [by] => rows.is_unit(by, policy)?,
            _ => false,
        };
        let order = on.sort_expr.as_deref().unwrap_or_default();
        let order: Vec<SortExpr> = order.iter().filter(|by| !rows.is_unit(&by.expr, policy).unwrap_or(false)).cloned().collect();
        if !by_unit || order.is_empty() {
            return Err(refuse("DISTINCT ON is supported for the unit alone, with an order of its rows")
                .fix(format!("Write SELECT DISTINCT ON ({unit}) … FROM … ORDER BY {unit}, day DESC")));
        }
        let order = rows.order(&order)?;
        // What is selected is computed of the row that is taken.
        let rows = rows.first(order, planned, policy)?;
        rows.projected(&on.select_expr, on.schema.clone())
    }

    /// Expressions over these rows.
    pub(super) fn projected(self, exprs: &[Expr], schema: Arc<DFSchema>) -> Result<Self, Refusal> {
        let columns = self.parts().map(|part| part.all(exprs)).collect::<Result<Vec<_>, _>>()?;
        let filters = self.parts.into_iter().map(|part| part.filter);
        let parts = filters.zip(columns).map(|(filter, columns)| Part { filter, columns }).collect();
        Ok(Self {
            parts,
            schema,
            ..Self { parts: vec![], schema: self.schema, source: self.source, looked_up: self.looked_up, numbers: self.numbers }
        })
    }
}

/// Whether a condition says that a row's number is 1.
fn is_first(condition: &Expr) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return false };
    let says = |number: &Expr, op: Operator, value: &Expr| {
        let one = match bare(value) {
            Expr::Literal(value, _) => value.cast_to(&datafusion::arrow::datatypes::DataType::Int64).ok(),
            _ => None,
        };
        let Some(ScalarValue::Int64(Some(value))) = one else { return false };
        let is_number = matches!(bare(number), Expr::Column(column) if column.name == NUMBER);
        is_number && matches!((op, value), (Operator::Eq | Operator::LtEq, 1) | (Operator::Lt, 2))
    };
    says(left, *op, right) || op.swap().is_some_and(|op| says(right, op, left))
}

/// An expression without casts and names.
fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast(cast) => bare(&cast.expr),
        Expr::TryCast(cast) => bare(&cast.expr),
        Expr::Alias(alias) => bare(&alias.expr),
        other => other,
    }
}
