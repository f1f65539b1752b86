//! Numbers as whole numbers: rounded, as PostgreSQL and DuckDB have it, where the engine would cut what is after the point.

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        DFSchema,
        tree_node::{Transformed, TreeNode as _},
    },
    error::Result,
    logical_expr::{Cast, Expr, ExprSchemable as _, TryCast},
};

use crate::sql::{
    expr::{float, whole_literal},
    own::nearest,
};

/// A number that is to be cast to a whole one: of a float the nearest, the even one of two; of a decimal the nearest, the one further from zero of two. `None` where
/// neither is cast to a whole number.
pub(super) fn rounded(number: &Expr, from: &DataType, to: &DataType) -> Option<Expr> {
    if !to.is_integer() {
        return None;
    }
    match from {
        from if from.is_floating() => Some(nearest(float(number.clone()))),
        // Between decimals the engine rounds.
        DataType::Decimal256(..) => Some(Expr::TryCast(TryCast::new(Box::new(number.clone()), DataType::Decimal256(76, 0)))),
        from if from.is_decimal() => Some(Expr::TryCast(TryCast::new(Box::new(number.clone()), DataType::Decimal128(38, 0)))),
        _ => None,
    }
}

/// An expression over released numbers, in which the casts to whole numbers are these.
///
/// # Errors
/// The engine's own.
pub(in crate::sql) fn released(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_up(|e| {
        let (Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field })) = &e else {
            return Ok(Transformed::no(e));
        };
        let to = field.data_type();
        if let Some(whole) = whole_literal(expr, to) {
            return Ok(Transformed::yes(whole));
        }
        let Some(whole) = rounded(expr, &expr.get_type(schema)?, to) else { return Ok(Transformed::no(e)) };
        Ok(Transformed::yes(Expr::TryCast(TryCast::new(Box::new(whole), to.clone()))))
    })
}
