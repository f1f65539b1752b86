//! Literals in expressions.

use datafusion::{
    arrow::datatypes::DataType,
    common::ScalarValue,
    logical_expr::{Cast, Expr, TryCast},
};

use super::{exact::has_zone, wrap::unalias};

/// Casts a literal number to an integer: half away from zero, as in PostgreSQL, which takes the number for a decimal.
pub(super) fn whole_literal(expr: &Expr, to: &DataType) -> Option<Expr> {
    match unalias(expr) {
        Expr::Literal(ScalarValue::Float64(Some(v)), _) if to.is_integer() => {
            let whole = ScalarValue::Float64(Some(v.round())).cast_to(to);
            Some(Expr::Literal(whole.or_else(|_| ScalarValue::try_from(to)).ok()?, None))
        }
        _ => None,
    }
}

/// Returns the value of an expression made of literals alone.
pub(super) fn constant(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            let (value, kind) = (constant(expr)?, field.data_type());
            let of_none = matches!(kind, DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64);
            match value.try_as_str().flatten() {
                Some(text) if of_none && has_zone(text) => ScalarValue::try_from(kind).ok(),
                _ => value.cast_to(kind).ok(),
            }
        }
        Expr::Alias(alias) => constant(&alias.expr),
        _ => None,
    }
}

/// Returns whether an expression is NULL for every row.
pub(super) fn is_null(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => value.is_null(),
        Expr::Cast(cast) => is_null(&cast.expr),
        Expr::TryCast(cast) => is_null(&cast.expr),
        Expr::Alias(alias) => is_null(&alias.expr),
        _ => false,
    }
}

/// Returns the text of a literal expression; the inner `None` stands for NULL.
pub(super) fn text_literal(expr: &Expr) -> Option<Option<String>> {
    match expr {
        // Beside texts of another type the literal is wrapped in a cast.
        Expr::Cast(cast) => text_literal(&cast.expr),
        Expr::TryCast(cast) => text_literal(&cast.expr),
        Expr::Literal(value, _) if value.is_null() => Some(None),
        Expr::Literal(value, _) => value.try_as_str().flatten().map(|text| Some(text.to_owned())),
        _ => None,
    }
}

/// Returns argument `i` as a literal number.
pub(super) fn bound(args: &[Expr], i: usize) -> Option<f64> {
    let mut expr = args.get(i)?;
    let mut sign = 1.0;
    loop {
        match expr {
            Expr::TryCast(cast) => expr = &cast.expr,
            Expr::Cast(cast) => expr = &cast.expr,
            Expr::Negative(inner) => (expr, sign) = (inner, -sign),
            Expr::Literal(value, _) => {
                let value = value.cast_to(&DataType::Float64).ok()?;
                let ScalarValue::Float64(Some(v)) = value else { return None };
                return v.is_finite().then_some(sign * v);
            }
            _ => return None,
        }
    }
}
