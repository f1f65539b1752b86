//! Conversion of numbers to integers by rounding, as in PostgreSQL and DuckDB, where the engine would truncate.

use datafusion::{
    arrow::datatypes::{DataType, FieldRef},
    common::{
        DFSchema,
        tree_node::{Transformed, TreeNode as _},
    },
    error::Result,
    logical_expr::{BinaryExpr, Case, Cast, Expr, ExprSchemable as _, Operator, TryCast},
};

use super::marks::is_written;
use crate::sql::{
    literal::whole_literal,
    own::{REMAINDER, nearest},
    wrap::float,
};

/// Functions whose value is an integer if their arguments are.
const KEEP: [&str; 4] = ["abs", "greatest", "least", REMAINDER];

/// Gives integers computed as floats the text of integers: `CAST(triage * 2 AS TEXT)` is '4'.
///
/// `expr` is total, and not exact yet: the planner's casts still tell what the planner takes for an integer.
///
/// # Errors
/// Returns the engine's own errors.
pub(super) fn texts(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let of_float =
        |expr: &Expr, field: &FieldRef| field.data_type().is_string() && is_whole(expr, schema) && is_computed(expr, schema);
    let whole = |expr: Box<Expr>| Box::new(Expr::TryCast(TryCast::new(Box::new(float(*expr)), DataType::Int64)));
    let made = expr.transform_up(|e| {
        Ok(match e {
            Expr::Cast(Cast { expr, field }) if of_float(&expr, &field) => {
                Transformed::yes(Expr::Cast(Cast { expr: whole(expr), field }))
            }
            Expr::TryCast(TryCast { expr, field }) if of_float(&expr, &field) => {
                Transformed::yes(Expr::TryCast(TryCast { expr: whole(expr), field }))
            }
            other => Transformed::no(other),
        })
    })?;
    Ok(made.data)
}

/// Returns whether an expression is an integer, in arithmetic of floats too. A quotient is a fraction.
fn is_whole(expr: &Expr, schema: &DFSchema) -> bool {
    // Arithmetic casts its operands to floats; a cast below that is the planner's or written, and makes a float of an integer.
    let operand = |expr: &Expr| match expr {
        Expr::TryCast(TryCast { expr, field }) if *field.data_type() == DataType::Float64 && !is_written(field) => {
            is_whole(expr, schema)
        }
        other => is_whole(other, schema),
    };
    match expr {
        Expr::Negative(e) => operand(e),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus | Operator::Minus | Operator::Multiply, right }) => {
            operand(left) && operand(right)
        }
        Expr::ScalarFunction(call) if KEEP.contains(&call.name()) => call.args.iter().all(operand),
        Expr::ScalarFunction(call) if call.name() == "nullif" => call.args.iter().all(|e| is_whole(e, schema)),
        Expr::Case(Case { when_then_expr, else_expr, .. }) => {
            let mut branches = when_then_expr.iter().map(|(_, then)| &**then).chain(else_expr.as_deref());
            branches.all(|e| is_whole(e, schema))
        }
        // The planner makes decimals of BIGINT UNSIGNED beside other integers.
        Expr::TryCast(TryCast { expr, field })
            if matches!(field.data_type(), DataType::Decimal128(_, 0)) && !is_written(field) =>
        {
            is_whole(expr, schema)
        }
        other => other.get_type(schema).is_ok_and(|kind| kind.is_integer() || kind.is_null()),
    }
}

/// Returns whether arithmetic makes floats of some of an expression's values.
fn is_computed(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::ScalarFunction(call) if call.name() == "nullif" => call.args.iter().any(|e| is_computed(e, schema)),
        // Not by its type, which is that of its first branch.
        Expr::Case(Case { when_then_expr, else_expr, .. }) => {
            let mut branches = when_then_expr.iter().map(|(_, then)| &**then).chain(else_expr.as_deref());
            branches.any(|e| is_computed(e, schema))
        }
        other => other.get_type(schema).is_ok_and(|kind| kind.is_floating()),
    }
}

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
