//! Refusal of aggregates with more arguments than they take: over rows the others would be ignored, and over released numbers some
//! fail, after the release was paid for.

use datafusion::{
    common::{
        DataFusionError,
        tree_node::{TreeNode as _, TreeNodeRecursion},
    },
    logical_expr::{Expr, LogicalPlan},
};
use tidegate_protocol::Refusal;

use super::{place, refuse, said::engine};

/// Checks the aggregates of a plan: over rows, of a unit's rows, and over released numbers, windows included.
///
/// # Errors
/// Returns a [`Refusal`] that says what may be written instead.
pub(super) fn check(plan: &LogicalPlan, unit: &str) -> Result<(), Refusal> {
    let mut refused = None;
    let looked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| match one(e, unit) {
                Ok(()) => Ok(TreeNodeRecursion::Continue),
                Err(refusal) => {
                    refused = Some(refusal);
                    Err(DataFusionError::Plan(String::new()))
                }
            })
        })
    });
    looked.map(|_| ()).map_err(|e| refused.unwrap_or_else(|| engine(&e)))
}

fn one(expr: &Expr, unit: &str) -> Result<(), Refusal> {
    let (name, given, distinct) = match expr {
        Expr::AggregateFunction(call) => (call.func.name(), call.params.args.len(), call.params.distinct),
        Expr::WindowFunction(call) => (call.fun.name(), call.params.args.len(), call.params.distinct),
        _ => return Ok(()),
    };
    let refusal = match name {
        "count" if given > 1 && distinct => {
            refuse(format!("COUNT(DISTINCT …) has {given} arguments and takes one, over rows the unit alone")).fix(format!(
                "Write COUNT(DISTINCT {unit}), and count pairs by GROUP BY the other column, or for each {unit} in a subquery: SELECT {unit}, COUNT(DISTINCT x) AS n FROM … GROUP BY {unit}"
            ))
        }
        "count" if given > 1 => refuse(format!("COUNT has {given} arguments and takes one"))
            .fix("Write COUNT(*) FILTER (WHERE a IS NOT NULL AND b IS NOT NULL)"),
        "approx_percentile_cont" | "percentile_cont" if given > 2 => {
            refuse(format!("{name} has {given} arguments and takes a value and a percentile"))
                .fix(format!("Write {name}(0.9) WITHIN GROUP (ORDER BY x)"))
        }
        _ => return Ok(()),
    };
    Err(place::of_call(refusal, name))
}
