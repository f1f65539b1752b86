//! Conversion of numbers to integers by rounding, as in PostgreSQL and DuckDB, where the engine would truncate.

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        DFSchema,
        tree_node::{Transformed, TreeNode as _},
    },
    error::Result,
    logical_expr::{Cast, Expr, ExprSchemable as _, TryCast},
};

use super::cast::is_written;
use crate::sql::{
    expr::{float, whole_literal},
    own::nearest,
};

/// Rounds a float or decimal to be cast to an integer; `None` for other casts.
///
/// A float becomes the nearest integer, the even one of two; a decimal the nearest, the one further from zero of two.
pub(super) fn rounded(number: &Expr, from: &DataType, to: &DataType) -> Option<Expr> {
    if !to.is_integer() {
        return None;
    }
    match from {
        from if from.is_floating() => Some(nearest(float(number.clone()))),
        // Casts between decimals round.
        DataType::Decimal256(..) => Some(Expr::TryCast(TryCast::new(Box::new(number.clone()), DataType::Decimal256(76, 0)))),
        from if from.is_decimal() => Some(Expr::TryCast(TryCast::new(Box::new(number.clone()), DataType::Decimal128(38, 0)))),
        _ => None,
    }
}

/// Rounds in the same way where an expression over released numbers casts to integers, and makes casts that fail NULL.
///
/// # Errors
/// Returns the engine's own errors.
pub(in crate::sql) fn released(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_up(|e| {
        let (Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field })) = &e else {
            return Ok(Transformed::no(e));
        };
        let to = field.data_type();
        if let Some(whole) = whole_literal(expr, to) {
            return Ok(Transformed::yes(whole));
        }
        let Some(whole) = rounded(expr, &expr.get_type(schema)?, to) else {
            // One number that does not fit costs no answer that was paid for.
            let fails = matches!(e, Expr::Cast(_)) && is_written(field) && expr.nullable(schema).is_ok_and(|may| may);
            let made = fails.then(|| TryCast::new_from_field(expr.clone(), field.clone()));
            return Ok(made.map_or_else(|| Transformed::no(e), |made| Transformed::yes(Expr::TryCast(made))));
        };
        Ok(Transformed::yes(Expr::TryCast(TryCast::new(Box::new(whole), to.clone()))))
    })
}
