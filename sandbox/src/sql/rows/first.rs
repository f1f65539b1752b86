//! First rows of each privacy unit: ROW_NUMBER() OVER (PARTITION BY unit ORDER BY …) <= 3, and DISTINCT ON (unit).

use std::sync::Arc;

use datafusion::{
    arrow::{compute::SortOptions, datatypes::DataType},
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
    number::{NUMBER, numbered_otherwise},
    part::{Order, Part, Rows},
    unit_join::{Side, typed},
};
use crate::sql::{
    first::{PLACE, Taken},
    input::{First, Input, Source},
    planner::Planned,
    refuse,
    wrap::unalias,
};

impl Rows {
    /// Folds a window numbering the rows of each unit.
    pub(super) fn numbered(window: &Window, planned: &Planned, policy: &Policy) -> Result<Self, Refusal> {
        let unit = &policy.unit.column;
        let other = || {
            refuse("a window over rows is not supported").fix(format!(
                "A row's rank or neighbours are other people's rows. ROW_NUMBER() OVER (PARTITION BY {unit} ORDER BY …) = 1 is each one's first row, and <= 3 are three of them; aggregate by groups otherwise"
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

    /// Resolves an order of rows in each part.
    fn order(&self, by: &[SortExpr]) -> Result<Order, Refusal> {
        let options = |by: &SortExpr| SortOptions { descending: !by.asc, nulls_first: by.nulls_first };
        by.iter().map(|by| Ok((self.resolve(&by.expr)?, options(by)))).collect()
    }

    /// Keeps rows where `predicate`, which says which row numbers are wanted, holds.
    pub(super) fn only_first(
        mut self,
        order: Order,
        predicate: &Expr,
        planned: &Planned,
        policy: &Policy,
    ) -> Result<Self, Refusal> {
        let (mut numbers, mut others) = (Numbers::ALL, Vec::new());
        for condition in split_conjunction(predicate) {
            match self.numbers_of(condition) {
                Some(some) => numbers = numbers.and(some),
                None => others.push(condition.clone()),
            }
        }
        let taken = numbers.taken(policy)?;
        self.numbers = None;
        let mut rows = self.first(order, taken, planned, policy)?;
        if let Some(others) = conjunction(others) {
            rows.keep(&others)?;
        }
        Ok(rows)
    }

    /// Takes each unit's first rows if some of a join's conditions say how many, and removes these conditions.
    pub(super) fn first_where(mut self, conditions: &mut Vec<Expr>, planned: &Planned, policy: &Policy) -> Result<Self, Refusal> {
        let Some(order) = self.numbers.take() else { return Ok(self) };
        let mut numbers = Numbers::ALL;
        conditions.retain(|condition| {
            let mine = condition.column_refs().iter().all(|column| self.schema.has_column(column));
            let some = if mine { self.numbers_of(condition) } else { None };
            numbers = some.map_or(numbers, |some| numbers.and(some));
            some.is_none()
        });
        let taken = numbers.taken(policy)?;
        self.first(order, taken, planned, policy)
    }

    /// Returns the row numbers admitted by a condition on nothing else, if equal in all parts.
    fn numbers_of(&self, condition: &Expr) -> Option<Numbers> {
        let of_parts = self.resolve(condition).ok()?;
        let mut of_parts = of_parts.iter().map(Numbers::of);
        let first = of_parts.next()??;
        of_parts.all(|other| other == Some(first)).then_some(first)
    }

    /// Takes each unit's first rows in an order.
    fn first(mut self, order: Order, taken: Taken, planned: &Planned, policy: &Policy) -> Result<Self, Refusal> {
        // If a single row is wanted, its number is known.
        let known = (taken.first == taken.last).then(|| lit(u64::from(taken.first)));
        let one = |e: Expr| match (&e, &known) {
            (Expr::Column(column), Some(known)) if column.name == NUMBER => Ok(Transformed::yes(known.clone())),
            _ => Ok(Transformed::no(e)),
        };
        let mut numbered = Vec::new();
        for part in &mut self.parts {
            let columns = std::mem::take(&mut part.columns).into_iter();
            part.columns =
                columns.map(|e| e.transform_up(one).map(|made| made.data)).collect::<Result<_, _>>().map_err(refuse)?;
            // Otherwise the number is a column of the selection; expressions over it are computed above.
            for (i, column) in part.columns.iter_mut().enumerate() {
                if matches!(unalias(column), Expr::Column(column) if column.name == NUMBER) {
                    *column = lit(ScalarValue::UInt64(None));
                    numbered.push(i);
                }
            }
        }
        let (looked_up, schema) = (self.looked_up, self.schema.clone());
        let (keys, options): (Vec<_>, Vec<_>) = order.into_iter().unzip();
        let Side { select, source, mut columns } = Side::new(self, "row", &keys, planned, policy)?;
        for i in numbered {
            columns[i] = Self::column(PLACE.to_owned());
        }
        let input = Input::new(select, source)?;
        let named = input.select.names.iter().enumerate();
        let bounds = named.map(|(i, name)| (name.clone(), input.column_bounds(i, policy))).collect();
        let first = First::new(input, options, taken, bounds)?;
        let columns = typed(columns, &schema, &first.schema);
        let parts = vec![Part { filter: None, columns }];
        Ok(Self { parts, schema, source: Source::First(Box::new(first)), looked_up, numbers: None })
    }

    /// Folds DISTINCT ON (unit).
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
        // The selected expressions are computed from the row that is taken.
        let rows = rows.first(order, Taken::ONE, planned, policy)?;
        rows.projected(&on.select_expr, on.schema.clone())
    }

    /// Projects the rows to expressions over them.
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

/// Range of row numbers, from 1, admitted by a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Numbers {
    least: i64,
    most: i64,
}

impl Numbers {
    const ALL: Self = Self { least: 1, most: i64::MAX };

    fn and(self, other: Self) -> Self {
        Self { least: self.least.max(other.least), most: self.most.min(other.most) }
    }

    /// Returns the row numbers admitted by a condition; `None` for conditions on anything else.
    fn of(condition: &Expr) -> Option<Self> {
        match condition {
            Expr::Alias(alias) => Self::of(&alias.expr),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_number(left) => Self::beside(*op, whole(right)?),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_number(right) => Self::beside(op.swap()?, whole(left)?),
            Expr::Between(between) if is_number(&between.expr) && !between.negated => {
                Some(Self { least: whole(&between.low)?.max(1), most: whole(&between.high)? })
            }
            _ => None,
        }
    }

    fn beside(op: Operator, value: i64) -> Option<Self> {
        Some(match op {
            Operator::Eq => Self { least: value, most: value },
            Operator::Lt => Self { most: value.saturating_sub(1), ..Self::ALL },
            Operator::LtEq => Self { most: value, ..Self::ALL },
            Operator::Gt => Self { least: value.saturating_add(1).max(1), ..Self::ALL },
            Operator::GtEq => Self { least: value.max(1), ..Self::ALL },
            _ => return None,
        })
    }

    /// Returns the rows of a unit to take.
    fn taken(self, policy: &Policy) -> Result<Taken, Refusal> {
        let (unit, most) = (&policy.unit.column, policy.unit.max_rows);
        if self.most == i64::MAX {
            return Err(numbered_otherwise(unit));
        }
        match (u32::try_from(self.least), u32::try_from(self.most)) {
            (Ok(first), Ok(last)) if 1 <= first && first <= last && last <= most => Ok(Taken { first, last }),
            _ if self.least <= self.most && self.least >= 1 => Err(refuse(format!(
                "rows up to number {} of each {unit} are asked for, and the policy lets {most} of them count",
                self.most
            ))
            .fix(format!("Write a number from 1 to {most} (`unit.max_rows`), as in rn <= {most}"))),
            _ => {
                Err(refuse("no row has such a number: they begin at 1")
                    .fix(format!("Write a number from 1 to {most}, as in rn = 1")))
            }
        }
    }
}

fn is_number(expr: &Expr) -> bool {
    matches!(bare(expr), Expr::Column(column) if column.name == NUMBER)
}

/// Returns a literal integer.
fn whole(expr: &Expr) -> Option<i64> {
    let Expr::Literal(value, _) = bare(expr) else { return None };
    let whole = value.cast_to(&DataType::Int64).ok()?;
    let ScalarValue::Int64(Some(number)) = whole else { return None };
    // 2.5 is not an integer.
    let same = !value.data_type().is_floating()
        || value.cast_to(&DataType::Float64).ok() == ScalarValue::Int64(Some(number)).cast_to(&DataType::Float64).ok();
    same.then_some(number)
}

/// Strips casts and aliases from an expression.
fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast(cast) => bare(&cast.expr),
        Expr::TryCast(cast) => bare(&cast.expr),
        Expr::Alias(alias) => bare(&alias.expr),
        other => other,
    }
}
