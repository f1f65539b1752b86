//! Numbers drawn from the stated noise, in columns carried beside a query's own.
//!
//! A carried column has a number of the query as it is computed from one draw of all released numbers. Rows, groups, branches and
//! their order are those of the released numbers: only the value is drawn. So filters, sorts, joins and frames stay as they are.

use std::{cell::Cell, sync::Arc};

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Column, ScalarValue,
        tree_node::{Transformed, TreeNode as _},
    },
    error::{DataFusionError, Result},
    logical_expr::{
        Aggregate, Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Projection, Subquery, Union, Window, cast, lit,
    },
};

pub(super) use self::value::Prefix;
use self::value::{Made, Scope, carried};
use super::{
    above::{is_released, subqueries},
    measures::unalias,
};

mod value;

/// A plan with carried columns.
pub(super) struct Drawn {
    pub(super) plan: LogicalPlan,
    /// The query's own columns: positions, and what is drawn of them.
    columns: Vec<(usize, Made<Prefix>)>,
    carried: Vec<Prefix>,
}

impl Drawn {
    /// Returns for each of the query's own columns its position and, if it is drawn, the first part of its draws' names.
    pub(super) fn columns(&self) -> impl Iterator<Item = (usize, Option<&Prefix>)> {
        self.columns.iter().map(|(place, made)| (*place, if let Made::Drawn(prefix) = made { Some(prefix) } else { None }))
    }

    /// Returns the columns that an expression of the query's node above `input` can name.
    fn scope<'a>(&'a self, input: &'a LogicalPlan, scalars: &'a [(Subquery, Made<Prefix>)]) -> Scope<'a> {
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
    draws: usize,
    released: F,
    named: usize,
}

impl<F: Fn(&[Prefix]) -> Result<LogicalPlan>> Drawer<F> {
    /// Creates a drawer for an aggregate with `keys` columns, followed by as many `numbers`, each of which is drawn `draws` times.
    ///
    /// `released` makes the table for the aggregate's place, with the draws of each number under its prefix.
    pub(super) fn new(keys: usize, numbers: usize, draws: usize, released: F) -> Self {
        Self { keys, numbers, draws, released, named: 0 }
    }

    fn prefix(&mut self, partial: bool) -> Prefix {
        self.named += 1;
        Prefix::new(self.named, partial)
    }

    /// Carries draws to the top of a plan.
    ///
    /// # Errors
    /// Returns an error if a node is not known here.
    pub(super) fn trace(&mut self, plan: &LogicalPlan) -> Result<Drawn> {
        if is_released(plan) {
            let prefixes: Vec<Prefix> = (0..self.numbers).map(|_| self.prefix(false)).collect();
            let plan = (self.released)(&prefixes)?;
            let numbers = prefixes.iter().cloned().map(Made::Drawn);
            let columns = vec![Made::Fixed; self.keys].into_iter().chain(numbers).enumerate().collect();
            return Ok(Drawn { plan, columns, carried: prefixes });
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
        let (mut columns, mut more, mut prefixes) = (Vec::new(), Vec::new(), input.carried.clone());
        for (place, expr) in exprs.iter().enumerate() {
            columns.push((place, self.made(expr, &scope, &mut more, &mut prefixes)?));
        }
        for prefix in &input.carried {
            for draw in 0..self.draws {
                exprs.push(carried(&input.plan, prefix, draw)?);
            }
        }
        exprs.extend(more);
        let plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input.plan))?);
        Ok(Drawn { plan, columns, carried: prefixes })
    }

    /// Makes a scalar subquery read the released table, and puts its draws beside every row of `input`.
    ///
    /// A correlated one is not drawn.
    fn scalar(
        &mut self,
        subquery: &Subquery,
        input: &mut Drawn,
        scalars: &mut Vec<(Subquery, Made<Prefix>)>,
    ) -> Result<Subquery> {
        let drawn = self.trace(&subquery.subquery)?;
        let traced = subquery.with_plan(Arc::new(drawn.own()?));
        if scalars.iter().any(|(of, _)| *of == traced) {
            return Ok(traced);
        }
        let made = match drawn.columns.first() {
            Some((_, Made::Fixed)) => Made::Fixed,
            Some((_, Made::Drawn(prefix))) if subquery.outer_ref_columns.is_empty() => {
                let new = self.prefix(prefix.partial);
                let columns = (0..self.draws).map(|draw| Ok(carried(&drawn.plan, prefix, draw)?.alias(new.name(draw))));
                let columns = columns.collect::<Result<Vec<Expr>>>()?;
                let one = LogicalPlanBuilder::from(drawn.plan.clone()).project(columns)?.build()?;
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
        let (mut columns, mut prefixes) = (input.columns.clone(), input.carried.clone());
        // Draws of a call have its order, and a node of their own.
        let mut nodes = vec![window.window_expr.clone()];
        for (i, expr) in window.window_expr.iter().enumerate() {
            let mut more = Vec::new();
            columns.push((first + i, self.made(expr, &scope, &mut more, &mut prefixes)?));
            if !more.is_empty() {
                nodes.push(more);
            }
        }
        let mut plan = input.plan;
        for exprs in nodes {
            plan = LogicalPlan::Window(Window::try_new(exprs, Arc::new(plan))?);
        }
        Ok(Drawn { plan, columns, carried: prefixes })
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Drawn> {
        let input = self.trace(&aggregate.input)?;
        let observed =
            |exprs: &[Expr], of: &mut Self| exprs.iter().map(|expr| of.observed(expr.clone())).collect::<Result<Vec<_>>>();
        let (keys, mut calls) = (observed(&aggregate.group_expr, self)?, observed(&aggregate.aggr_expr, self)?);
        let scope = input.scope(&aggregate.input, &[]);
        let key = if keys.iter().all(|key| scope.is_fixed(key)) { Made::Fixed } else { Made::Never };
        let before = aggregate.schema.fields().len() - calls.len();
        let (mut columns, mut more, mut prefixes) = (vec![key; before], Vec::new(), Vec::new());
        for call in &calls {
            columns.push(self.made(call, &scope, &mut more, &mut prefixes)?);
        }
        calls.extend(more);
        let plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input.plan), keys, calls)?);
        Ok(Drawn { plan, columns: columns.into_iter().enumerate().collect(), carried: prefixes })
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
        let own = |part: &Drawn, place: usize| field(&part.plan, part.columns[place].0);
        let mut exprs: Vec<Vec<Expr>> = Vec::with_capacity(parts.len());
        for part in &parts {
            let named = union.schema.fields().iter().enumerate().map(|(place, field)| own(part, place).alias(field.name()));
            exprs.push(named.collect());
        }
        let (mut columns, mut prefixes) = (Vec::new(), Vec::new());
        for place in 0..union.schema.fields().len() {
            let is_drawn = |part: &Drawn| matches!(part.columns[place].1, Made::Drawn(_));
            if !parts.iter().any(is_drawn) {
                let fixed = parts.iter().all(|part| part.columns[place].1 == Made::Fixed);
                columns.push((place, if fixed { Made::Fixed } else { Made::Never }));
                continue;
            }
            let partial = |part: &Drawn| matches!(&part.columns[place].1, Made::Drawn(prefix) if prefix.partial);
            let prefix = self.prefix(parts.iter().any(partial));
            for (exprs, part) in exprs.iter_mut().zip(&parts) {
                for draw in 0..self.draws {
                    let one = match &part.columns[place].1 {
                        Made::Fixed => cast(own(part, place), DataType::Float64),
                        Made::Drawn(prefix) => cast(carried(&part.plan, prefix, draw)?, DataType::Float64),
                        Made::Never => lit(ScalarValue::Float64(None)),
                    };
                    exprs.push(one.alias(prefix.name(draw)));
                }
            }
            columns.push((place, Made::Drawn(prefix.clone())));
            prefixes.push(prefix);
        }
        let part = |(part, exprs): (Drawn, Vec<Expr>)| Ok(Arc::new(LogicalPlanBuilder::from(part.plan).project(exprs)?.build()?));
        let inputs = parts.into_iter().zip(exprs).map(part).collect::<Result<Vec<_>>>()?;
        Ok(Drawn { plan: LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?), columns, carried: prefixes })
    }

    /// Says what is drawn of an expression. New draws are added to `more`, and their prefix to `prefixes`.
    fn made(&mut self, expr: &Expr, scope: &Scope<'_>, more: &mut Vec<Expr>, prefixes: &mut Vec<Prefix>) -> Result<Made<Prefix>> {
        if let Expr::Column(column) = unalias(expr) {
            return Ok(scope.column(column));
        }
        scope.partial.set(false);
        let mut drawn = Vec::with_capacity(self.draws);
        for draw in 0..self.draws {
            match scope.draw(expr, draw)? {
                Made::Fixed => return Ok(Made::Fixed),
                Made::Drawn(expr) => drawn.push(expr),
                Made::Never => return Ok(Made::Never),
            }
        }
        let prefix = self.prefix(scope.partial.get());
        more.extend(drawn.into_iter().enumerate().map(|(draw, expr)| expr.alias(prefix.name(draw))));
        prefixes.push(prefix.clone());
        Ok(Made::Drawn(prefix))
    }
}
