//! Floats that the planner took for decimals, where they stand beside some.

use datafusion::{
    common::DFSchema,
    logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable as _, Operator, TryCast},
};

use super::{cast::is_written, is_float, strip};
use crate::sql::{expr::float, own::REMAINDER};

/// Whether an expression is a float that the planner has made a decimal. Most floats do not fit what it takes them for.
pub(super) fn guessed(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            let float = expr.get_type(schema).is_ok_and(|kind| is_float(&kind));
            float && field.data_type().is_decimal() && !is_written(field)
        }
        _ => false,
    }
}

/// Whether an expression is arithmetic, which the planner may have taken for one of decimals: it is of floats.
fn is_arithmetic(expr: &Expr) -> bool {
    match expr {
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => is_arithmetic(expr),
        Expr::BinaryExpr(BinaryExpr { op, .. }) => {
            matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide)
        }
        Expr::ScalarFunction(call) => call.name() == REMAINDER,
        _ => false,
    }
}

/// Expressions of one column: floats again where the planner took one for a decimal.
pub(in crate::sql) fn one_number<'e>(exprs: impl Iterator<Item = &'e mut Expr>, schema: &DFSchema) {
    let mut exprs: Vec<&mut Expr> = exprs.collect();
    let known = |e: &Expr| !guessed(e, schema) && e.get_type(schema).is_ok_and(|kind| !kind.is_null());
    let all = exprs.iter().filter(|e| guessed(e, schema)).count();
    // Beside a float, arithmetic of decimals looks as if it were one that was taken for a decimal.
    let is_one = all > 0 && exprs.iter().any(|e| known(e)) || all > 1 && exprs.iter().any(|e| is_arithmetic(e));
    if is_one {
        for expr in &mut exprs {
            **expr = float(strip(expr, schema).clone());
        }
    }
}
