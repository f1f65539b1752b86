//! Marks of casts in the query's text.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::FieldRef,
    common::tree_node::{Transformed, TreeNode as _},
    error::Result as Engine,
    logical_expr::{Cast, Expr, LogicalPlan, TryCast},
};

/// Field name of a cast's type, if the query's text has the cast.
const WRITTEN: &str = "as written";

/// Returns whether the query's text has a cast to this field.
pub(in crate::sql) fn is_written(field: &FieldRef) -> bool {
    field.name() == WRITTEN
}

/// Marks every cast in a plan made from the text as written.
///
/// # Errors
/// Returns the engine's own errors.
pub(in crate::sql) fn mark(plan: LogicalPlan) -> Engine<LogicalPlan> {
    let name = |field: FieldRef| Arc::new(field.as_ref().clone().with_name(WRITTEN));
    let one = |expr: Expr| {
        Ok(match expr {
            Expr::Cast(Cast { expr, field }) => Transformed::yes(Expr::Cast(Cast { expr, field: name(field) })),
            Expr::TryCast(TryCast { expr, field }) => Transformed::yes(Expr::TryCast(TryCast { expr, field: name(field) })),
            other => Transformed::no(other),
        })
    };
    let plan = plan.transform_up_with_subqueries(|plan| plan.map_expressions(|expr| expr.transform_up(one)))?;
    Ok(plan.data)
}

/// Marks `made`, the replacement of a cast to `field`, as the cast was.
pub(super) fn carried(made: Expr, field: &FieldRef) -> Expr {
    match made {
        Expr::TryCast(TryCast { expr, field: of }) if is_written(field) => {
            Expr::TryCast(TryCast { expr, field: Arc::new(of.as_ref().clone().with_name(WRITTEN)) })
        }
        other => other,
    }
}
