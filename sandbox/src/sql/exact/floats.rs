//! Floats: a single zero, and NULL in place of NaN.

use datafusion::{
    arrow::datatypes::DataType,
    common::DFSchema,
    logical_expr::{Cast, Expr, ExprSchemable as _, TryCast},
};

use crate::sql::own::{SETTLED, settled};

/// Returns whether numbers of a type have NaN and two zeros.
pub(super) fn is_float(kind: &DataType) -> bool {
    kind.is_floating()
}

/// Returns whether a float can hold every value of a type.
pub(super) fn fits_float(kind: &DataType) -> bool {
    kind.is_integer() && kind.primitive_width().is_some_and(|bytes| bytes < 8)
}

/// Settles a float: a single zero, and NULL in place of NaN; other expressions stay.
pub(in crate::sql) fn number(expr: Expr, schema: &DFSchema) -> Expr {
    match expr.get_type(schema) {
        Ok(kind) if is_float(&kind) && !is_settled(&expr, schema) => settled(expr),
        _ => expr,
    }
}

fn is_settled(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::Literal(..) => true,
        Expr::ScalarFunction(call) => call.name() == SETTLED,
        // Other numbers have neither NaN nor two zeros.
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => {
            expr.get_type(schema).is_ok_and(|kind| kind.is_integer() || kind.is_decimal()) || is_settled(expr, schema)
        }
        _ => false,
    }
}
