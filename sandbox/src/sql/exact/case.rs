//! CASE: comparisons with its operand, and branches held by a single type.

use datafusion::{
    arrow::datatypes::{DataType, TimeUnit},
    common::{DFSchema, ScalarValue},
    logical_expr::{Case, Expr, ExprSchemable as _, Operator},
};
use tidegate_protocol::Refusal;

use super::{
    compare::{boxed, compared, differ},
    guessed::one_number,
};
use crate::sql::refuse;

/// Builds an exact CASE: comparisons with its operand, and branches held by a single type.
pub(super) fn branched(case: Case, schema: &DFSchema) -> Result<Expr, Refusal> {
    let when = |(when, then): (Box<Expr>, Box<Expr>)| match &case.expr {
        Some(operand) => Ok((Box::new(compared((**operand).clone(), Operator::Eq, *when, schema)?), then)),
        None => Ok((when, then)),
    };
    let differs = |operand: &Expr| case.when_then_expr.iter().any(|(when, _)| differ(operand, when, schema));
    let searched = case.expr.as_deref().is_some_and(differs);
    let (expr, when_then_expr) = if searched {
        (None, case.when_then_expr.into_iter().map(when).collect::<Result<Vec<_>, Refusal>>()?)
    } else {
        let of = |(when, then)| (if case.expr.is_some() { boxed(when, schema) } else { when }, then);
        (case.expr.clone().map(|e| boxed(e, schema)), case.when_then_expr.into_iter().map(of).collect())
    };
    let mut made = Case { expr, when_then_expr, else_expr: case.else_expr };
    let branches = made.when_then_expr.iter_mut().map(|(_, then)| &mut **then).chain(made.else_expr.as_deref_mut());
    one_number(branches, schema);
    let kinds = |made: &Case| {
        let branches = made.when_then_expr.iter().map(|(_, then)| &**then).chain(made.else_expr.as_deref());
        let mut kinds: Vec<DataType> = branches.filter_map(|e| e.get_type(schema).ok()).filter(|kind| !kind.is_null()).collect();
        kinds.dedup();
        kinds
    };
    let fine =
        |kinds: &[DataType]| kinds.len() < 2 || !kinds.iter().any(|k| matches!(k, DataType::Timestamp(TimeUnit::Nanosecond, _)));
    if fine(&kinds(&made)) {
        return Ok(Expr::Case(made));
    }
    // Literals in nanoseconds may be whole microseconds.
    let coarser = |e: Box<Expr>| match *e {
        Expr::Literal(ScalarValue::TimestampNanosecond(Some(v), zone), m) if v % 1000 == 0 => {
            Box::new(Expr::Literal(ScalarValue::TimestampMicrosecond(Some(v / 1000), zone), m))
        }
        other => Box::new(other),
    };
    made.when_then_expr = made.when_then_expr.into_iter().map(|(when, then)| (when, coarser(then))).collect();
    made.else_expr = made.else_expr.map(coarser);
    if fine(&kinds(&made)) {
        return Ok(Expr::Case(made));
    }
    Err(refuse("times in nanoseconds and other times are not put in one column: nanoseconds end in 2262, and others have none")
        .fix("Compare them instead, or take numbers of them: date_part('epoch', x)"))
}
