//! Exact values: no comparison changes or loses a value by a change of type, and equal numbers are equal whatever their bits.
//!
//! The planner coerces types by casts: dates become nanoseconds, which end in 2262, and integers become floats, which end at
//! 2^53. Where values are compared, these casts are taken off again: a literal becomes a value of the column's type
//! ([`literal`]), and columns of different types are compared by value ([`order`]). Elsewhere times have microseconds, which
//! every calendar fits.
//!
//! A float that is no number is NULL, and a zero has no sign, wherever an expression or the plan above looks at it
//! ([`SETTLED`](super::own::SETTLED)). Functions that pass both on are listed ([`PASSES`]); anything else that takes a float
//! looks at it.

use datafusion::{
    arrow::datatypes::{DataType, TimeUnit},
    common::{
        DFSchema, DataFusionError, ScalarValue,
        tree_node::{Transformed, TreeNode as _},
    },
    logical_expr::{Between, BinaryExpr, Case, Cast, Expr, ExprSchemable as _, Operator, TryCast},
};
use tidegate_protocol::Refusal;

use self::{
    cast::{converted, is_lossy, strip},
    compare::{among, boxed, compared, differ, is_comparison},
    guessed::guessed,
    marks::carried,
};
use super::{
    clamp::CLAMP,
    kinds,
    own::{NEAREST, REMAINDER, SETTLED},
    place, refuse, times,
    written::written,
};

mod case;
mod cast;
mod compare;
mod floats;
mod guessed;
mod literal;
mod marks;
mod order;
mod trunc;
pub(super) mod whole;
mod zone;

pub(super) use cast::checked;
pub(super) use floats::number;
use guessed::float_again;
pub(super) use guessed::one_number;
pub(super) use literal::ticks;
pub(super) use marks::{is_written, mark};
pub(super) use order::ORDER;
pub(super) use trunc::is_cut;
pub(super) use zone::{CLOCK, INSTANT, UNZONED, clock, has_zone, instant};

/// Functions with the value NaN for NaN, and for both zeros the same number or a zero.
const PASSES: [&str; 27] = [
    "abs", "acos", "asin", "atan", "cbrt", "ceil", CLAMP, "cos", "cosh", "degrees", "exp", "floor", "isnan", "ln", "log10",
    "log2", NEAREST, "nanvl", "pi", "radians", REMAINDER, "round", "signum", "sin", "sinh", "sqrt", SETTLED,
];

/// Makes `expr`, which is total, exact over a source of this schema.
///
/// # Errors
/// Returns a [`Refusal`] for values that no type holds together.
pub(super) fn exact(expr: Expr, schema: &DFSchema) -> Result<Expr, Refusal> {
    let mut refused = None;
    let expr = whole::texts(expr, schema).map_err(|e| super::engine(&e))?;
    let made = expr.transform_up(|e| match node(e, schema) {
        Ok(made) => Ok(Transformed::yes(made)),
        Err(refusal) => {
            refused = Some(refusal);
            Err(DataFusionError::Plan(String::new()))
        }
    });
    made.map(|made| made.data).map_err(|e| refused.unwrap_or_else(|| super::engine(&e)))
}

/// Returns an expression's compared operands, without the casts taken off there, and its values for a common column.
///
/// The planner has coerced the types of both.
fn beside_others<'e>(expr: &'e Expr, schema: &DFSchema) -> Vec<&'e Expr> {
    let bare = |exprs: Vec<&'e Expr>| exprs.into_iter().map(|e| strip(e, schema)).collect();
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => bare(vec![left, right]),
        Expr::Between(Between { expr, low, high, .. }) => bare(vec![expr, low, high]),
        Expr::InList(list) => bare(std::iter::once(&*list.expr).chain(&list.list).collect()),
        Expr::Case(Case { expr, when_then_expr, else_expr }) => {
            let whens = when_then_expr.iter().filter(|_| expr.is_some()).map(|(when, _)| &**when);
            let mut all: Vec<&Expr> = bare(expr.as_deref().into_iter().chain(whens).collect());
            all.extend(when_then_expr.iter().map(|(_, then)| &**then).chain(else_expr.as_deref()));
            all
        }
        // For parts of a union: whether a value is present must not follow from a type that the planner gave both.
        Expr::IsNull(expr) | Expr::IsNotNull(expr) => vec![expr],
        _ => vec![],
    }
}

/// Refuses a cast added by the planner if some numbers become NULL.
///
/// # Errors
/// Returns a [`Refusal`] that names the cast.
pub(super) fn lossless(expr: &Expr, schema: &DFSchema) -> Result<(), Refusal> {
    if is_lossy(expr, schema) { Err(cast::loses(expr, schema)) } else { Ok(()) }
}

fn node(expr: Expr, schema: &DFSchema) -> Result<Expr, Refusal> {
    beside_others(&expr, schema).into_iter().try_for_each(|e| lossless(e, schema))?;
    Ok(match float_again(expr, schema) {
        Expr::Literal(ScalarValue::Float64(Some(v)), m) => {
            Expr::Literal(ScalarValue::Float64(Some(v + 0.0).filter(|v| !v.is_nan())), m)
        }
        Expr::Literal(ScalarValue::Float32(Some(v)), m) => {
            Expr::Literal(ScalarValue::Float32(Some(v + 0.0).filter(|v| !v.is_nan())), m)
        }
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            cast::check_scale(&expr, field.data_type(), schema)?;
            carried(converted(*expr, field.data_type(), schema), &field)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(op) => compared(*left, op, *right, schema)?,
        Expr::Between(Between { expr, negated, low, high }) if !differ(&expr, &low, schema) && !differ(&expr, &high, schema) => {
            let [expr, low, high] = [expr, low, high].map(|e| boxed(e, schema));
            Expr::Between(Between { expr, negated, low, high })
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            let within = compared((*expr).clone(), Operator::GtEq, *low, schema)?;
            let within = within.and(compared(*expr, Operator::LtEq, *high, schema)?);
            if negated { Expr::Not(Box::new(within)) } else { within }
        }
        Expr::InList(list) => among(list, schema)?,
        Expr::Case(case) => case::branched(case, schema)?,
        Expr::IsNull(e) => Expr::IsNull(boxed(e, schema)),
        Expr::IsNotNull(e) => Expr::IsNotNull(boxed(e, schema)),
        Expr::ScalarFunction(mut call) => {
            if matches!(call.name(), "greatest" | "least") {
                call.args.iter().try_for_each(|arg| no_time(call.name(), arg, schema))?;
            }
            if !PASSES.contains(&call.name()) {
                call.args = call.args.into_iter().map(|e| number(e, schema)).collect();
            }
            match call.args.as_slice() {
                [Expr::Literal(part, _), time] if call.name() == "date_trunc" => {
                    let part = part.try_as_str().flatten().map(str::to_lowercase).unwrap_or_default();
                    let kind = time.get_type(schema).map_err(|e| super::engine(&e))?;
                    trunc::cut(&part, time.clone(), &kind).unwrap_or(Expr::ScalarFunction(call))
                }
                [Expr::Literal(part, _), span] if call.name() == "date_part" && is_span(span, schema) => {
                    times::of_span(part.try_as_str().flatten().unwrap_or_default(), span.clone())?
                }
                [time] if times::of(&call.func) == Some(&times::What::Time) && !is_number_of(time, schema) => {
                    converted(time.clone(), &DataType::Timestamp(TimeUnit::Microsecond, None), schema)
                }
                [a, b] if call.name() == "nullif" && differ(a, b, schema) => {
                    let same = compared(a.clone(), Operator::Eq, b.clone(), schema)?;
                    let none = Expr::Literal(ScalarValue::Null, None);
                    let when_then_expr = vec![(Box::new(same), Box::new(none))];
                    let value = if guessed(a, schema) { strip(a, schema) } else { a };
                    Expr::Case(Case { expr: None, when_then_expr, else_expr: Some(Box::new(value.clone())) })
                }
                _ => Expr::ScalarFunction(call),
            }
        }
        other => other,
    })
}

/// Refuses a date or time as an argument of a function of numbers, of which the planner would make a number.
fn no_time(function: &str, arg: &Expr, schema: &DFSchema) -> Result<(), Refusal> {
    let (Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. })) = arg else { return Ok(()) };
    match expr.get_type(schema) {
        Ok(kind) if kind.is_temporal() => {
            let what = format!("{function} takes numbers, and {} is a {}", written(expr), kinds::kind(&kind));
            Err(place::of_call(refuse(what), function).fix("Write CASE WHEN a > b THEN a ELSE b END"))
        }
        _ => Ok(()),
    }
}

fn is_number_of(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|kind| kind.is_numeric())
}

fn is_span(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|kind| matches!(kind, DataType::Duration(_)))
}
