//! Expressions over released numbers, as expressions over their draws.
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
    logical_expr::{
        BinaryExpr, Case, Cast, Expr, ExprSchemable as _, LogicalPlan, Operator, Subquery, TryCast, WindowFunctionDefinition,
        expr::{AggregateFunction, ScalarFunction, WindowFunction},
    },
};

use super::lists::{Op, summed};
use crate::sql::casts::NAMED;

/// Calls that add up numbers, and whether they divide by how many.
const SUMS: [(&str, bool); 2] = [("avg", true), ("sum", false)];
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

/// A carried column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sql) struct Carried {
    number: usize,
    /// Whether a draw can be NaN where the number is none: of a quotient, a product, or a partial function.
    pub(in crate::sql) partial: bool,
}

impl Carried {
    pub(super) fn new(number: usize, partial: bool) -> Self {
        Self { number, partial }
    }

    /// Returns the column's name.
    pub(in crate::sql) fn name(&self) -> String {
        format!("draws {}", self.number)
    }

    /// Returns the column in `plan`.
    pub(super) fn of(&self, plan: &LogicalPlan) -> Result<Expr> {
        let name = self.name();
        let found = plan.schema().iter().find(|(_, field)| *field.name() == name);
        found
            .map(|field| Expr::Column(Column::from(field)))
            .ok_or_else(|| DataFusionError::Internal(format!("no column {name} is carried")))
    }
}

/// Columns that an expression can name.
pub(super) struct Scope<'a> {
    /// The query's own node below.
    pub(super) input: &'a LogicalPlan,
    /// The node with its carried columns.
    pub(super) plan: &'a LogicalPlan,
    /// What is drawn of the query's own columns.
    pub(super) columns: &'a [(usize, Made<Carried>)],
    /// Subqueries within expressions, and what is drawn of them.
    pub(super) scalars: &'a [(Subquery, Made<Carried>)],
    /// Whether something that was drawn is [`Carried::partial`].
    pub(super) partial: Cell<bool>,
}

impl Scope<'_> {
    pub(super) fn column(&self, column: &Column) -> Made<Carried> {
        let place = self.input.schema().index_of_column(column).ok();
        place.and_then(|place| self.columns.get(place)).map_or(Made::Never, |(_, made)| made.clone())
    }

    fn scalar(&self, subquery: &Subquery) -> Made<Carried> {
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

    fn carried(&self, made: Made<Carried>) -> Result<Made<Expr>> {
        Ok(match made {
            Made::Fixed => Made::Fixed,
            Made::Drawn(carried) => {
                self.partial.set(self.partial.get() || carried.partial);
                Made::Drawn(carried.of(self.plan)?)
            }
            Made::Never => Made::Never,
        })
    }

    /// Returns an expression's draws.
    pub(super) fn draw(&self, expr: &Expr) -> Result<Made<Expr>> {
        match expr {
            Expr::Alias(alias) => self.draw(&alias.expr),
            Expr::Column(column) => self.carried(self.column(column)),
            Expr::ScalarSubquery(subquery) => self.carried(self.scalar(subquery)),
            Expr::Negative(of) => Ok(self.draw(of)?.map(|of| Op::Negated.of(vec![of]))),
            Expr::Cast(Cast { expr: of, field }) | Expr::TryCast(TryCast { expr: of, field }) => {
                let kind = field.data_type();
                if kind.is_floating() {
                    self.draw(of)
                } else if kind.is_integer() {
                    Ok(Self::where_any(expr, self.draw(of)?.map(|of| Op::Whole.of(vec![of]))))
                } else {
                    Ok(self.fixed_or_never(expr))
                }
            }
            Expr::Case(case) => self.case(case),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
                Operator::Plus => self.combined(Op::Plus, left, right),
                Operator::Minus => self.combined(Op::Minus, left, right),
                Operator::Multiply => self.product(left, right),
                Operator::Divide => self.quotient(left, right),
                _ => Ok(self.fixed_or_never(expr)),
            },
            Expr::ScalarFunction(call) => self.function(expr, call),
            Expr::AggregateFunction(call) => self.aggregated(expr, call),
            Expr::WindowFunction(call) => self.windowed(expr, call),
            _ => Ok(self.fixed_or_never(expr)),
        }
    }

    /// Makes draws NULL where the number itself is.
    fn where_any(number: &Expr, made: Made<Expr>) -> Made<Expr> {
        let is_any = Box::new(number.clone().is_not_null());
        made.map(|draws| Expr::Case(Case::new(None, vec![(is_any, Box::new(draws))], None)))
    }

    /// Returns the draws of the branch that the released numbers take; a number that is not drawn is the same in all.
    fn case(&self, case: &Case) -> Result<Made<Expr>> {
        let numbers = case.when_then_expr.iter().map(|(_, then)| &**then).chain(case.else_expr.as_deref());
        let (mut all, mut some) = (Vec::new(), false);
        for number in numbers {
            all.push(match self.draw(number)? {
                Made::Fixed => Op::Lifted.of(vec![number.clone()]),
                Made::Drawn(draws) => {
                    some = true;
                    draws
                }
                Made::Never => return Ok(Made::Never),
            });
        }
        if !some {
            return Ok(Made::Fixed);
        }
        let mut all = all.into_iter().map(Box::new);
        let branches = case.when_then_expr.iter().zip(all.by_ref()).map(|((when, _), draws)| (when.clone(), draws)).collect();
        Ok(Made::Drawn(Expr::Case(Case::new(case.expr.clone(), branches, all.next()))))
    }

    fn function(&self, expr: &Expr, call: &ScalarFunction) -> Result<Made<Expr>> {
        let Some((first, others)) = call.args.split_first() else { return Ok(Made::Fixed) };
        match call.name() {
            NAMED => self.draw(first),
            // The branches are those of the released numbers.
            "coalesce" => {
                let branches = call.args.iter().map(|arg| (Box::new(arg.clone().is_not_null()), Box::new(arg.clone())));
                self.case(&Case::new(None, branches.collect(), None))
            }
            "nullif" => Ok(Self::where_any(expr, self.draw(first)?)),
            name => {
                let Some(op) = Op::named(name) else { return Ok(self.fixed_or_never(expr)) };
                if !others.iter().all(|other| self.is_fixed(other)) {
                    return Ok(Made::Never);
                }
                let made = self.draw(first)?;
                self.partial.set(self.partial.get() || op.is_partial() && matches!(made, Made::Drawn(_)));
                Ok(made.map(|first| op.of([vec![first], others.to_vec()].concat())))
            }
        }
    }

    fn aggregated(&self, expr: &Expr, call: &AggregateFunction) -> Result<Made<Expr>> {
        let name = call.func.name();
        match (call.params.args.as_slice(), SUMS.iter().find(|(sum, _)| *sum == name)) {
            _ if call.params.distinct => Ok(self.fixed_or_never(expr)),
            _ if name == "count" => Ok(Made::Fixed),
            ([number], Some((_, average))) => Ok(self.draw(number)?.map(|draws| {
                let mut call = call.clone();
                call.func = summed(*average);
                call.params.args = vec![draws];
                Expr::AggregateFunction(call)
            })),
            _ => Ok(self.fixed_or_never(expr)),
        }
    }

    fn windowed(&self, expr: &Expr, call: &WindowFunction) -> Result<Made<Expr>> {
        let name = call.fun.name();
        let (number, others) = match call.params.args.split_first() {
            _ if call.params.distinct => return Ok(self.fixed_or_never(expr)),
            _ if name == "count" => return Ok(Made::Fixed),
            Some((number, others)) => (number, others),
            None => return Ok(self.fixed_or_never(expr)),
        };
        let sum = SUMS.iter().find(|(sum, _)| *sum == name);
        if sum.is_none() && !MOVES.contains(&name) {
            return Ok(self.fixed_or_never(expr));
        }
        Ok(self.draw(number)?.map(|draws| {
            let mut call = call.clone();
            if let Some((_, average)) = sum {
                call.fun = WindowFunctionDefinition::AggregateUDF(summed(*average));
            }
            // The default in place of a missing row is not drawn.
            call.params.args = [vec![draws], others.iter().take(1).cloned().collect()].concat();
            Expr::WindowFunction(Box::new(call))
        }))
    }

    /// Returns the draws of an operation on two numbers, if either is drawn.
    fn combined(&self, op: Op, left: &Expr, right: &Expr) -> Result<Made<Expr>> {
        Ok(match (self.draw(left)?, self.draw(right)?) {
            (Made::Never, _) | (_, Made::Never) => Made::Never,
            (Made::Fixed, Made::Fixed) => Made::Fixed,
            (left_draws, right_draws) => {
                let or = |made: Made<Expr>, number: &Expr| if let Made::Drawn(draws) = made { draws } else { number.clone() };
                Made::Drawn(op.of(vec![or(left_draws, left), or(right_draws, right)]))
            }
        })
    }

    fn product(&self, left: &Expr, right: &Expr) -> Result<Made<Expr>> {
        let (Made::Drawn(a), Made::Drawn(b)) = (self.draw(left)?, self.draw(right)?) else {
            return self.combined(Op::Times, left, right);
        };
        self.partial.set(true);
        Ok(Made::Drawn(Op::Times.of(vec![a, b, left.clone(), right.clone()])))
    }

    fn quotient(&self, left: &Expr, right: &Expr) -> Result<Made<Expr>> {
        // Whole numbers are divided otherwise.
        let kind = |number: &Expr| number.get_type(&**self.input.schema());
        let floating = kind(left)?.is_floating() || kind(right)?.is_floating();
        let divisor = match self.draw(right)? {
            Made::Fixed if floating => return self.combined(Op::Over, left, right),
            Made::Drawn(divisor) if floating => divisor,
            Made::Fixed => return Ok(self.fixed_or_never(left)),
            _ => return Ok(Made::Never),
        };
        let left = match self.draw(left)? {
            Made::Fixed => left.clone(),
            Made::Drawn(left) => left,
            Made::Never => return Ok(Made::Never),
        };
        self.partial.set(true);
        Ok(Made::Drawn(Op::Over.of(vec![left, divisor, right.clone()])))
    }
}
