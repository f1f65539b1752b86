//! Floats that the planner took for decimals, where they stand beside some.

use datafusion::{
    arrow::datatypes::DataType,
    common::DFSchema,
    logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable as _, Operator, TryCast},
};

use super::{is_float, strip};
use crate::sql::{expr::float, own::REMAINDER};

/// Whether a decimal is what the planner takes a float for beside decimals: one of 15 places, or of a REAL 7, and the other's whole digits. Most floats do not fit it.
pub(super) fn is_guessed(float: &DataType, decimal: &DataType) -> bool {
    let places = if *float == DataType::Float32 { 7 } else { 15 };
    matches!(decimal, DataType::Decimal128(_, scale) if *scale >= places)
}

/// Whether an expression is a float as such a decimal.
pub(super) fn guessed(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            expr.get_type(schema).is_ok_and(|kind| is_float(&kind) && is_guessed(&kind, field.data_type()))
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
