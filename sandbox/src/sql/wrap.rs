//! Wrappers around expressions, taken off or put on.

use datafusion::{
    arrow::datatypes::DataType,
    common::DFSchema,
    logical_expr::{Case, Cast, Expr, ExprSchemable as _, TryCast},
};

use super::exact::is_written;

/// Strips aliases from an expression.
pub(super) fn unalias(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unalias(&alias.expr),
        other => other,
    }
}

/// Builds `argument` where `filter` holds, and NULL elsewhere, as FILTER does.
pub(super) fn conditional(argument: Expr, filter: Option<&Expr>) -> Expr {
    match filter {
        None => argument,
        Some(filter) => {
            Expr::Case(Case { expr: None, when_then_expr: vec![(Box::new(filter.clone()), Box::new(argument))], else_expr: None })
        }
    }
}

/// Casts an expression to Float64, or to NULL where this fails.
pub(super) fn float(expr: Expr) -> Expr {
    Expr::TryCast(TryCast::new(Box::new(expr), DataType::Float64))
}

/// Returns the condition under which an expression is the unit, if the expression is NULL elsewhere.
pub(super) fn named_where<'a>(expr: &'a Expr, unit: &str) -> Option<&'a Expr> {
    match unalias(expr) {
        Expr::Case(Case { expr: None, when_then_expr, else_expr: None }) => match when_then_expr.as_slice() {
            [(there, then)] if matches!(unalias(then), Expr::Column(column) if column.name == unit) => Some(there),
            _ => None,
        },
        _ => None,
    }
}

/// Strips aliases and casts that keep the value from an expression over columns of `schema`.
///
/// Those are casts of the planner (COUNT is Int64, and the analyzer sometimes wraps it in a cast to itself), and written ones to
/// the type that the value has.
pub(super) fn bare<'e>(expr: &'e Expr, schema: &DFSchema) -> &'e Expr {
    let same = |from: &DataType, to: &DataType| from == to || from.is_string() && to.is_string();
    match unalias(expr) {
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field })
            if !is_written(field) || expr.get_type(schema).is_ok_and(|from| same(&from, field.data_type())) =>
        {
            bare(expr, schema)
        }
        other => other,
    }
}
