//! Numbers as whole numbers: rounded, as PostgreSQL and DuckDB have it, where the engine would cut what is after the point.

use datafusion::{
    arrow::datatypes::DataType,
    logical_expr::{Expr, TryCast},
};

use crate::sql::{expr::float, own::nearest};

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
