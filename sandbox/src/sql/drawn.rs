//! Numbers drawn from the stated noise, in columns carried beside a query's own.
//!
//! A carried column has a list: a number of the query, as it is computed from each draw of all released numbers. Rows, groups,
//! branches and their order are those of the released numbers: only the value is drawn. So filters, sorts, joins and frames stay
//! as they are.

use std::{cell::Cell, sync::Arc};

use datafusion::{
    common::{
        Column, ScalarValue,
        tree_node::{Transformed, TreeNode as _},
    },
    error::{DataFusionError, Result},
    logical_expr::{Aggregate, Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Projection, Subquery, Union, Window, lit},
};

pub(super) use self::lists::{column, draws};
pub(super) use self::value::Carried;
use self::{
    lists::{Op, kind},
    value::{Made, Scope},
};
use super::{
    above::{is_released, subqueries},
    wrap::unalias,
};

mod lists;
mod value;

/// A plan with carried columns.
pub(super) struct Drawn {
    pub(super) plan: LogicalPlan,
    /// The query's own columns: positions, and what is drawn of them.
    columns: Vec<(usize, Made<Carried>)>,
    carried: Vec<Carried>,
}

impl Drawn {
    /// Returns for each of the query's own columns its position and, if it is drawn, the column of its draws.
    pub(super) fn columns(&self) -> impl Iterator<Item = (usize, Option<&Carried>)> {
        self.columns.iter().map(|(place, made)| (*place, if let Made::Drawn(carried) = made { Some(carried) } else { None }))
    }

    /// Returns the columns that an expression of the query's node above `input` can name.
    fn scope<'a>(&'a self, input: &'a LogicalPlan, scalars: &'a [(Subquery, Made<Carried>)]) -> Scope<'a> {
        Scope { input, plan: &self.plan, columns: &self.columns, scalars, partial: Cell::new(false) }
    }

    /// Projects the plan to the query's own columns.
    fn own(&self) -> Result<LogicalPlan> {
        let own: Vec<Expr> = self.columns.iter().map(|(place, _)| field(&self.plan, *place)).collect();
        LogicalPlanBuilder::from(self.plan.clone()).project(own)?.build()
    }
}

fn field(plan: &LogicalPlan, place: usize) -> Expr {
    Expr::Column(Column::from(plan.schema().qualified_field(place)))
}

/// Carries draws of released numbers through a plan.
pub(super) struct Drawer<F> {
    keys: usize,
    numbers: usize,
    released: F,
    names: usize,
}

impl<F: Fn(&[Carried]) -> Result<LogicalPlan>> Drawer<F> {
    /// Creates a drawer for an aggregate with `keys` columns, followed by as many `numbers`.
    ///
    /// `released` makes the table for the aggregate's place, with the draws of each number in a column of that name.
    pub(super) fn new(keys: usize, numbers: usize, released: F) -> Self {
        Self { keys, numbers, released, names: 0 }
    }

    fn named(&mut self, partial: bool) -> Carried {
        self.names += 1;
        Carried::new(self.names, partial)
    }

    /// Carries draws to the top of a plan.
    ///
    /// # Errors
    /// Returns an error if a node is not known here.
    pub(super) fn trace(&mut self, plan: &LogicalPlan) -> Result<Drawn> {
        if is_released(plan) {
            let carried: Vec<Carried> = (0..self.numbers).map(|_| self.named(false)).collect();
            let plan = (self.released)(&carried)?;
            let numbers = carried.iter().cloned().map(Made::Drawn);
            let columns = vec![Made::Fixed; self.keys].into_iter().chain(numbers).enumerate().collect();
            return Ok(Drawn { plan, columns, carried });
        }
        match plan {
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Join(join) => self.join(plan, join),
            _ => {
                let [input] = plan.inputs()[..] else {
                    return Err(DataFusionError::Internal(format!("{} is not drawn", plan.display())));
                };
                let Drawn { plan: input, columns, carried } = self.trace(input)?;
                Ok(Drawn { plan: self.rebuilt(plan, vec![input])?, columns, carried })
            }
        }
    }

    /// Makes subqueries within an expression read the released table.
    fn observed(&mut self, expr: Expr) -> Result<Expr> {
        Ok(expr.transform_down(|e| subqueries(e, &mut |s| self.trace(&s.subquery)?.own()))?.data)
    }

    /// Rebuilds `plan` over other inputs.
    fn rebuilt(&mut self, plan: &LogicalPlan, inputs: Vec<LogicalPlan>) -> Result<LogicalPlan> {
        let exprs = plan.expressions().into_iter().map(|expr| self.observed(expr)).collect::<Result<Vec<_>>>()?;
        plan.with_new_exprs(exprs, inputs)
    }

    fn projection(&mut self, projection: &Projection) -> Result<Drawn> {
        let mut input = self.trace(&projection.input)?;
        let mut scalars = Vec::new();
        let mut exprs = Vec::with_capacity(projection.expr.len());
        for expr in &projection.expr {
            let observed = expr.clone().transform_down(|expr| match expr {
                Expr::ScalarSubquery(subquery) => {
                    Ok(Transformed::yes(Expr::ScalarSubquery(self.scalar(&subquery, &mut input, &mut scalars)?)))
                }
                expr => subqueries(expr, &mut |s| self.trace(&s.subquery)?.own()),
            })?;
            exprs.push(observed.data);
        }
        let scope = input.scope(&projection.input, &scalars);
        let (mut columns, mut more, mut carried) = (Vec::new(), Vec::new(), input.carried.clone());
        for (place, expr) in exprs.iter().enumerate() {
            columns.push((place, self.made(expr, &scope, &mut more, &mut carried)?));
        }
        for carried in &input.carried {
            exprs.push(carried.of(&input.plan)?);
        }
        exprs.extend(more);
        let plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input.plan))?);
        Ok(Drawn { plan, columns, carried })
    }

    /// Makes a scalar subquery read the released table, and puts its draws beside every row of `input`.
    ///
    /// A correlated one is not drawn.
    fn scalar(
        &mut self,
        subquery: &Subquery,
        input: &mut Drawn,
        scalars: &mut Vec<(Subquery, Made<Carried>)>,
    ) -> Result<Subquery> {
        let drawn = self.trace(&subquery.subquery)?;
        let traced = subquery.with_plan(Arc::new(drawn.own()?));
        if scalars.iter().any(|(of, _)| *of == traced) {
            return Ok(traced);
        }
        let made = match drawn.columns.first() {
            Some((_, Made::Fixed)) => Made::Fixed,
            Some((_, Made::Drawn(carried))) if subquery.outer_ref_columns.is_empty() => {
                let new = self.named(carried.partial);
                let draws = carried.of(&drawn.plan)?.alias(new.name());
                let one = LogicalPlanBuilder::from(drawn.plan.clone()).project([draws])?.build()?;
                input.plan = LogicalPlanBuilder::from(input.plan.clone()).cross_join(one)?.build()?;
                input.carried.push(new.clone());
                Made::Drawn(new)
            }
            _ => Made::Never,
        };
        scalars.push((traced.clone(), made));
        Ok(traced)
    }

    fn window(&mut self, window: &Window) -> Result<Drawn> {
        let input = self.trace(&window.input)?;
        let first = input.plan.schema().fields().len();
        let scope = input.scope(&window.input, &[]);
        let (mut columns, mut carried) = (input.columns.clone(), input.carried.clone());
        // Draws of a call have its order, and a node of their own.
        let mut nodes = vec![window.window_expr.clone()];
        for (i, expr) in window.window_expr.iter().enumerate() {
            let mut more = Vec::new();
            columns.push((first + i, self.made(expr, &scope, &mut more, &mut carried)?));
            if !more.is_empty() {
                nodes.push(more);
            }
        }
        let mut plan = input.plan;
        for exprs in nodes {
            plan = LogicalPlan::Window(Window::try_new(exprs, Arc::new(plan))?);
        }
        Ok(Drawn { plan, columns, carried })
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Drawn> {
        let input = self.trace(&aggregate.input)?;
        let observed =
            |exprs: &[Expr], of: &mut Self| exprs.iter().map(|expr| of.observed(expr.clone())).collect::<Result<Vec<_>>>();
        let (keys, mut calls) = (observed(&aggregate.group_expr, self)?, observed(&aggregate.aggr_expr, self)?);
        let scope = input.scope(&aggregate.input, &[]);
        let key = if keys.iter().all(|key| scope.is_fixed(key)) { Made::Fixed } else { Made::Never };
        let before = aggregate.schema.fields().len() - calls.len();
        let (mut columns, mut more, mut carried) = (vec![key; before], Vec::new(), Vec::new());
        for call in &calls {
            columns.push(self.made(call, &scope, &mut more, &mut carried)?);
        }
        calls.extend(more);
        let plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input.plan), keys, calls)?);
        Ok(Drawn { plan, columns: columns.into_iter().enumerate().collect(), carried })
    }

    fn join(&mut self, plan: &LogicalPlan, join: &Join) -> Result<Drawn> {
        let (left, right) = (self.trace(&join.left)?, self.trace(&join.right)?);
        let offset = left.plan.schema().fields().len();
        let moved = |(place, made)| (place + offset, made);
        let (columns, carried) = match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => (left.columns, left.carried),
            JoinType::RightSemi | JoinType::RightAnti => (right.columns, right.carried),
            _ => (
                left.columns.into_iter().chain(right.columns.into_iter().map(moved)).collect(),
                [left.carried, right.carried].concat(),
            ),
        };
        Ok(Drawn { plan: self.rebuilt(plan, vec![left.plan, right.plan])?, columns, carried })
    }

    /// Carries draws through a union: a part that is not drawn has NULL for them, and a fixed one its own value.
    fn union(&mut self, union: &Union) -> Result<Drawn> {
        let parts = union.inputs.iter().map(|input| self.trace(input)).collect::<Result<Vec<_>>>()?;
        let none = ScalarValue::try_from(&kind())?;
        let own = |part: &Drawn, place: usize| field(&part.plan, part.columns[place].0);
        let mut exprs: Vec<Vec<Expr>> = Vec::with_capacity(parts.len());
        for part in &parts {
            let named = union.schema.fields().iter().enumerate().map(|(place, field)| own(part, place).alias(field.name()));
            exprs.push(named.collect());
        }
        let (mut columns, mut carried) = (Vec::new(), Vec::new());
        for place in 0..union.schema.fields().len() {
            let is_drawn = |part: &Drawn| matches!(part.columns[place].1, Made::Drawn(_));
            if !parts.iter().any(is_drawn) {
                let fixed = parts.iter().all(|part| part.columns[place].1 == Made::Fixed);
                columns.push((place, if fixed { Made::Fixed } else { Made::Never }));
                continue;
            }
            let partial = |part: &Drawn| matches!(&part.columns[place].1, Made::Drawn(carried) if carried.partial);
            let new = self.named(parts.iter().any(partial));
            for (exprs, part) in exprs.iter_mut().zip(&parts) {
                let draws = match &part.columns[place].1 {
                    Made::Fixed => Op::Lifted.of(vec![own(part, place)]),
                    Made::Drawn(carried) => carried.of(&part.plan)?,
                    Made::Never => lit(none.clone()),
                };
                exprs.push(draws.alias(new.name()));
            }
            columns.push((place, Made::Drawn(new.clone())));
            carried.push(new);
        }
        let part = |(part, exprs): (Drawn, Vec<Expr>)| Ok(Arc::new(LogicalPlanBuilder::from(part.plan).project(exprs)?.build()?));
        let inputs = parts.into_iter().zip(exprs).map(part).collect::<Result<Vec<_>>>()?;
        Ok(Drawn { plan: LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?), columns, carried })
    }

    /// Says what is drawn of an expression. New draws are added to `more`, and their columns to `carried`.
    fn made(
        &mut self,
        expr: &Expr,
        scope: &Scope<'_>,
        more: &mut Vec<Expr>,
        carried: &mut Vec<Carried>,
    ) -> Result<Made<Carried>> {
        if let Expr::Column(column) = unalias(expr) {
            return Ok(scope.column(column));
        }
        scope.partial.set(false);
        Ok(match scope.draw(expr)? {
            Made::Fixed => Made::Fixed,
            Made::Drawn(draws) => {
                let new = self.named(scope.partial.get());
                more.push(draws.alias(new.name()));
                carried.push(new.clone());
                Made::Drawn(new)
            }
            Made::Never => Made::Never,
        })
    }
}
