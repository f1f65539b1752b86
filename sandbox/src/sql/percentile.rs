//! Aggregate calls for a percentile.

use datafusion::{
    arrow::datatypes::DataType,
    common::ScalarValue,
    logical_expr::{Expr, expr::AggregateFunctionParams},
};
use tidegate_protocol::Refusal;

use super::{refuse, wrap::unalias};

/// Returns whether an aggregate is a percentile of its first argument.
pub(super) fn is_percentile(name: &str) -> bool {
    matches!(name, "median" | "approx_median" | "approx_percentile_cont" | "percentile_cont")
}

/// Returns the requested percentile, from 0 to 1.
pub(super) fn percentile(name: &str, params: &AggregateFunctionParams) -> Result<f64, Refusal> {
    let p = match (name, params.args.get(1)) {
        ("median" | "approx_median", None) => 0.5,
        (_, Some(p)) => literal(p).ok_or_else(|| refuse(format!("{name} needs a literal between 0 and 1")))?,
        _ => return Err(refuse(format!("{name} needs a percentile"))),
    };
    // In descending order, as many values are above as are below otherwise.
    match params.order_by.as_slice() {
        [] => Ok(p),
        [by] => Ok(if by.asc { p } else { 1.0 - p }),
        _ => Err(refuse(format!("{name} is of one value")).fix("Write WITHIN GROUP (ORDER BY x)")),
    }
}

fn literal(expr: &Expr) -> Option<f64> {
    let value = match unalias(expr) {
        Expr::Literal(value, _) => value.clone(),
        Expr::Cast(cast) => return literal(&cast.expr),
        _ => return None,
    };
    match value.cast_to(&DataType::Float64).ok()? {
        ScalarValue::Float64(p) => p.filter(|p| (0.0..=1.0).contains(p)),
        _ => None,
    }
}
