//! Expressions over released numbers as they are in one draw.
//!
//! Quantiles of draws are an interval where a number grows or falls throughout with each released one:
//! - A quotient whose divisor has the other sign in a draw is NaN there, as is a product if both factors have.
//! - MIN, MAX, ranks, `abs` and the like are not drawn: the largest of several noised numbers is larger than the largest of the
//!   numbers, and so it is in every draw.

use std::cell::Cell;

use datafusion::{
    common::{
        Column,
        tree_node::{TreeNode as _, TreeNodeRecursion},
    },
    error::{DataFusionError, Result},
    logical_expr::{BinaryExpr, Case, Cast, Expr, ExprSchemable as _, LogicalPlan, Operator, Subquery, TryCast, lit},
};

use crate::sql::casts::NAMED;

/// Functions of a number that grow or fall throughout.
const MONOTONE: [&str; 11] = ["cbrt", "ceil", "clamp", "exp", "floor", "ln", "log10", "log2", "round", "sqrt", "trunc"];
/// Functions that have no value of some numbers.
const PARTIAL: [&str; 5] = ["ln", "log10", "log2", "nullif", "sqrt"];
/// Calls that add up numbers.
const SUMS: [&str; 2] = ["avg", "sum"];
/// Window functions that show another row's value.
const MOVES: [&str; 5] = ["first_value", "lag", "last_value", "lead", "nth_value"];

/// What is drawn of a column or an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Made<T> {
    /// It is the same in every draw.
    Fixed,
    /// It is drawn.
    Drawn(T),
    /// It depends on released numbers in a way that is not drawn.
    Never,
}

impl<T> Made<T> {
    pub(super) fn map<U>(self, of: impl FnOnce(T) -> U) -> Made<U> {
        match self {
            Self::Fixed => Made::Fixed,
            Self::Drawn(drawn) => Made::Drawn(of(drawn)),
            Self::Never => Made::Never,
        }
    }
}

/// First part of the names of a column's draws.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sql) struct Prefix {
    number: usize,
    /// Whether a draw can be NaN or NULL where the number is none: of a quotient, a product, or a partial function.
    pub(in crate::sql) partial: bool,
}

impl Prefix {
    pub(super) fn new(number: usize, partial: bool) -> Self {
        Self { number, partial }
    }

    /// Returns the name of the column of the draw with this number.
    pub(in crate::sql) fn name(&self, draw: usize) -> String {
        format!("drawn {} {draw}", self.number)
    }
}

/// Returns a carried column.
pub(super) fn carried(plan: &LogicalPlan, prefix: &Prefix, draw: usize) -> Result<Expr> {
    let name = prefix.name(draw);
    let found = plan.schema().iter().find(|(_, field)| *field.name() == name);
    found
        .map(|field| Expr::Column(Column::from(field)))
        .ok_or_else(|| DataFusionError::Internal(format!("no column {name} is carried")))
}

/// Columns that an expression can name.
pub(super) struct Scope<'a> {
    /// The query's own node below.
    pub(super) input: &'a LogicalPlan,
    /// The node with its carried columns.
    pub(super) plan: &'a LogicalPlan,
    /// What is drawn of the query's own columns.
    pub(super) columns: &'a [(usize, Made<Prefix>)],
    /// Subqueries within expressions, and what is drawn of them.
    pub(super) scalars: &'a [(Subquery, Made<Prefix>)],
    /// Whether something that was drawn is [`Prefix::partial`].
    pub(super) partial: Cell<bool>,
}

impl Scope<'_> {
    pub(super) fn column(&self, column: &Column) -> Made<Prefix> {
        let place = self.input.schema().index_of_column(column).ok();
        place.and_then(|place| self.columns.get(place)).map_or(Made::Never, |(_, made)| made.clone())
    }

    fn scalar(&self, subquery: &Subquery) -> Made<Prefix> {
        self.scalars.iter().find(|(of, _)| of == subquery).map_or(Made::Never, |(_, made)| made.clone())
    }

    /// Returns whether an expression is the same in every draw.
    pub(super) fn is_fixed(&self, expr: &Expr) -> bool {
        let mut fixed = true;
        let looked = expr.apply(|part| {
            fixed &= match part {
                Expr::Column(column) => self.column(column) == Made::Fixed,
                Expr::ScalarSubquery(subquery) => self.scalar(subquery) == Made::Fixed,
                Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_) | Expr::OuterReferenceColumn(..) => false,
                _ => true,
            };
            Ok(if fixed { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
        });
        looked.is_ok() && fixed
    }

    fn fixed_or_never(&self, expr: &Expr) -> Made<Expr> {
        if self.is_fixed(expr) { Made::Fixed } else { Made::Never }
    }

    fn made(&self, made: Made<Prefix>, draw: usize) -> Result<Made<Expr>> {
        Ok(match made {
            Made::Fixed => Made::Fixed,
            Made::Drawn(prefix) => {
                self.partial.set(self.partial.get() || prefix.partial);
                Made::Drawn(carried(self.plan, &prefix, draw)?)
            }
            Made::Never => Made::Never,
        })
    }

    /// Returns an expression as it is in one draw.
    pub(super) fn draw(&self, expr: &Expr, draw: usize) -> Result<Made<Expr>> {
        match expr {
            Expr::Alias(alias) => self.draw(&alias.expr, draw),
            Expr::Column(column) => self.made(self.column(column), draw),
            Expr::ScalarSubquery(subquery) => self.made(self.scalar(subquery), draw),
            Expr::Negative(of) => Ok(self.draw(of, draw)?.map(|of| Expr::Negative(Box::new(of)))),
            Expr::Cast(Cast { expr: of, field }) if field.data_type().is_numeric() => {
                Ok(self.draw(of, draw)?.map(|of| Expr::Cast(Cast { expr: Box::new(of), field: field.clone() })))
            }
            Expr::TryCast(TryCast { expr: of, field }) if field.data_type().is_numeric() => {
                Ok(self.draw(of, draw)?.map(|of| Expr::TryCast(TryCast { expr: Box::new(of), field: field.clone() })))
            }
            Expr::Case(case) => {
                let values = case.when_then_expr.iter().map(|(_, then)| &**then).chain(case.else_expr.as_deref());
                let values: Vec<&Expr> = values.collect();
                Ok(self.all(&values, draw)?.map(|values| {
                    let mut values = values.into_iter();
                    let branches = case.when_then_expr.iter().zip(values.by_ref());
                    let branches = branches.map(|((when, _), then)| (when.clone(), Box::new(then))).collect();
                    Expr::Case(Case::new(case.expr.clone(), branches, values.next().map(Box::new)))
                }))
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
                Operator::Plus | Operator::Minus => self.combined(left, *op, right, draw),
                Operator::Multiply => self.product(left, right, draw),
                Operator::Divide => self.quotient(left, right, draw),
                _ => Ok(self.fixed_or_never(expr)),
            },
            Expr::ScalarFunction(call) => {
                let (first, others) = match call.args.split_first() {
                    Some((first, others)) if MONOTONE.contains(&call.name()) || [NAMED, "nullif"].contains(&call.name()) => {
                        (first, others)
                    }
                    Some(_) if call.name() == "coalesce" => {
                        let args: Vec<&Expr> = call.args.iter().collect();
                        let with = |args| {
                            let mut call = call.clone();
                            call.args = args;
                            Expr::ScalarFunction(call)
                        };
                        return Ok(self.all(&args, draw)?.map(with));
                    }
                    _ => return Ok(self.fixed_or_never(expr)),
                };
                if !others.iter().all(|other| self.is_fixed(other)) {
                    return Ok(Made::Never);
                }
                Ok(self.draw(first, draw)?.map(|first| {
                    self.partial.set(self.partial.get() || PARTIAL.contains(&call.name()));
                    let mut call = call.clone();
                    call.args[0] = first;
                    Expr::ScalarFunction(call)
                }))
            }
            Expr::AggregateFunction(call) => match call.params.args.as_slice() {
                _ if call.func.name() == "count" && !call.params.distinct => Ok(Made::Fixed),
                [of] if SUMS.contains(&call.func.name()) && !call.params.distinct => Ok(self.draw(of, draw)?.map(|of| {
                    let mut call = call.clone();
                    call.params.args[0] = of;
                    Expr::AggregateFunction(call)
                })),
                _ => Ok(self.fixed_or_never(expr)),
            },
            Expr::WindowFunction(call) => {
                let name = call.fun.name();
                let first = match call.params.args.split_first() {
                    _ if call.params.distinct => return Ok(self.fixed_or_never(expr)),
                    _ if name == "count" => return Ok(Made::Fixed),
                    Some((first, others)) if SUMS.contains(&name) || MOVES.contains(&name) => {
                        if !others.iter().all(|other| self.is_fixed(other)) {
                            return Ok(Made::Never);
                        }
                        first
                    }
                    _ => return Ok(self.fixed_or_never(expr)),
                };
                Ok(self.draw(first, draw)?.map(|first| {
                    let mut call = call.clone();
                    call.params.args[0] = first;
                    Expr::WindowFunction(call)
                }))
            }
            _ => Ok(self.fixed_or_never(expr)),
        }
    }

    /// Returns several expressions as they are in one draw, if any of them is drawn.
    fn all(&self, exprs: &[&Expr], draw: usize) -> Result<Made<Vec<Expr>>> {
        let (mut all, mut some) = (Vec::with_capacity(exprs.len()), false);
        for expr in exprs {
            all.push(match self.draw(expr, draw)? {
                Made::Fixed => (*expr).clone(),
                Made::Drawn(drawn) => {
                    some = true;
                    drawn
                }
                Made::Never => return Ok(Made::Never),
            });
        }
        Ok(if some { Made::Drawn(all) } else { Made::Fixed })
    }

    fn combined(&self, left: &Expr, op: Operator, right: &Expr, draw: usize) -> Result<Made<Expr>> {
        let both = self.all(&[left, right], draw)?;
        Ok(both.map(|both| {
            let mut both = both.into_iter();
            let mut next = || Box::new(both.next().unwrap_or_else(|| lit(f64::NAN)));
            Expr::BinaryExpr(BinaryExpr { left: next(), op, right: next() })
        }))
    }

    fn product(&self, left: &Expr, right: &Expr, draw: usize) -> Result<Made<Expr>> {
        let (a, b) = (self.draw(left, draw)?, self.draw(right, draw)?);
        let (Made::Drawn(a), Made::Drawn(b)) = (&a, &b) else {
            return self.combined(left, Operator::Multiply, right, draw);
        };
        self.partial.set(true);
        let turned = |seen: &Expr, drawn: &Expr| (seen.clone() * drawn.clone()).lt_eq(lit(0.0));
        let both = turned(left, a).and(turned(right, b));
        Ok(Made::Drawn(either(both, lit(f64::NAN), a.clone() * b.clone())))
    }

    fn quotient(&self, left: &Expr, right: &Expr, draw: usize) -> Result<Made<Expr>> {
        let divisor = match self.draw(right, draw)? {
            Made::Fixed => return self.combined(left, Operator::Divide, right, draw),
            Made::Drawn(divisor) => divisor,
            Made::Never => return Ok(Made::Never),
        };
        // Whole numbers are divided otherwise.
        if !right.get_type(&**self.input.schema())?.is_floating() {
            return Ok(Made::Never);
        }
        self.partial.set(true);
        let left = match self.draw(left, draw)? {
            Made::Fixed => left.clone(),
            Made::Drawn(left) => left,
            Made::Never => return Ok(Made::Never),
        };
        let kept = (right.clone() * divisor.clone()).gt(lit(0.0));
        Ok(Made::Drawn(left / either(kept, divisor, lit(f64::NAN))))
    }
}

/// Builds a CASE of two branches.
fn either(when: Expr, then: Expr, otherwise: Expr) -> Expr {
    Expr::Case(Case::new(None, vec![(Box::new(when), Box::new(then))], Some(Box::new(otherwise))))
}
