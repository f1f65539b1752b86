//! Floats beside decimals, which the planner took for decimals.

use datafusion::{
    arrow::datatypes::DataType,
    common::DFSchema,
    logical_expr::{Cast, Expr, ExprSchemable as _, TryCast},
};

use super::{floats::is_float, marks::is_written, strip};
use crate::sql::wrap::float;

/// Returns whether an expression is a float made a decimal by the planner. Most floats do not fit the decimal type.
pub(super) fn guessed(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            let float = expr.get_type(schema).is_ok_and(|kind| is_float(&kind));
            float && field.data_type().is_decimal() && !is_written(field)
        }
        _ => false,
    }
}

/// Restores a float made a decimal by the planner; other expressions stay.
pub(super) fn float_again(expr: Expr, schema: &DFSchema) -> Expr {
    match expr {
        ref made if !guessed(made, schema) => expr,
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => *expr,
        other => other,
    }
}

/// Makes the expressions of a column floats if any is a float beside decimals.
///
/// The planner takes floats beside a decimal for decimals, and arithmetic of decimals likewise.
pub(in crate::sql) fn one_number<'e>(exprs: impl Iterator<Item = &'e mut Expr>, schema: &DFSchema) {
    let exprs: Vec<&mut Expr> = exprs.collect();
    let is = |of: fn(&DataType) -> bool| exprs.iter().any(|expr| expr.get_type(schema).is_ok_and(|kind| of(&kind)));
    if exprs.iter().any(|expr| guessed(expr, schema)) || is(is_float) && is(DataType::is_decimal) {
        for expr in exprs {
            *expr = float(strip(expr, schema).clone());
        }
    }
}
