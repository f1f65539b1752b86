//! Casts: detection of lossy casts, and replacement of casts raising an error on some value.
//!
//! A cast in the query's text gives NULL for values that its type does not hold, and is compared by its result. Casts that the
//! planner adds to coerce types are taken off where values are compared, so the name of their type's field tells them from the
//! others ([`mark`](super::mark)).

use datafusion::{
    arrow::datatypes::{DataType, TimeUnit},
    common::DFSchema,
    logical_expr::{Cast, Expr, ExprSchemable as _, TryCast},
};
use tidegate_protocol::Refusal;

use super::{
    floats::{fits_float, is_float, number},
    marks::is_written,
    whole, zone,
};
use crate::sql::{kinds, own::calendar, refuse, written::written};

/// Builds a cast; casts of times to nanoseconds become casts to microseconds.
pub(super) fn converted(expr: Expr, kind: &DataType, schema: &DFSchema) -> Expr {
    let from = expr.get_type(schema);
    let expr = if *kind == DataType::Float64 { strip(&expr, schema).clone() } else { expr };
    let looks = kind.is_string() || *kind == DataType::Boolean;
    let expr = if looks { number(expr, schema) } else { expr };
    let kind = match (from, kind) {
        (Ok(DataType::Timestamp(TimeUnit::Nanosecond, _)), kind) => kind.clone(),
        (Ok(from), DataType::Timestamp(TimeUnit::Nanosecond, zone)) if from.is_temporal() || from.is_string() => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
        }
        (_, kind) => kind.clone(),
    };
    if let Expr::Literal(value, _) = &expr
        && matches!(kind, DataType::Timestamp(..))
        && let Ok(value) = value.cast_to(&kind)
    {
        return Expr::Literal(value, None);
    }
    let of_none = matches!(kind, DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64);
    let texts = expr.get_type(schema).is_ok_and(|from| from.is_string());
    let expr = if texts && of_none { zone::unzoned(expr) } else { expr };
    let from = expr.get_type(schema);
    let moved = from.ok().and_then(|from| whole::rounded(&expr, &from, &kind).or_else(|| zone::moved(&expr, &from, &kind)));
    let expr = moved.unwrap_or(expr);
    if expr.get_type(schema).is_ok_and(|from| from == kind && from.is_temporal()) {
        return expr;
    }
    checked(expr, kind, schema)
}

/// Builds a cast that never fails: values that its type does not hold become NULL.
pub(in crate::sql) fn checked(expr: Expr, kind: DataType, schema: &DFSchema) -> Expr {
    use DataType::{Date32, Date64, Time32, Time64, Timestamp};
    let to = |expr: Expr, kind: DataType| Expr::TryCast(TryCast::new(Box::new(expr), kind));
    let expr = match (expr.get_type(schema), &kind) {
        // The engine raises an error beyond its calendar and its day, where it checks these at all.
        (Ok(Timestamp(..)), Date32 | Time32(_) | Time64(_)) => calendar(expr),
        (Ok(Date32 | Date64 | Timestamp(..) | Time32(_) | Time64(_)), kind) if kind.is_string() => calendar(expr),
        (Ok(Time32(_) | Time64(_)), Time32(_) | Time64(_)) => calendar(expr),
        // The engine multiplies the milliseconds of dates unchecked, but not those of timestamps.
        (Ok(Date64), Timestamp(..)) => to(expr, Timestamp(TimeUnit::Millisecond, None)),
        _ => expr,
    };
    to(expr, kind)
}

/// Refuses a cast between decimals which moves the point so far that the engine miscounts the digits.
pub(super) fn check_scale(expr: &Expr, to: &DataType, schema: &DFSchema) -> Result<(), Refusal> {
    let from = expr.get_type(schema).ok();
    let (Some(DataType::Decimal256(digits, before)), DataType::Decimal256(_, after)) = (from, to) else { return Ok(()) };
    if i16::from(digits) + i16::from(*after) - i16::from(before) <= i16::from(i8::MAX) {
        return Ok(());
    }
    let shown = written(expr);
    Err(refuse(format!("{shown} has {before} digits after its point, and cannot be given {after}"))
        .fix(format!("Write CAST(CAST({shown} AS DECIMAL(38, {before})) AS {})", kinds::kind(to))))
}

/// Strips a cast in which no value is lost, except at its type's ends.
///
/// A written cast gives NULL for values that its type does not hold, and so is stripped only if the type holds all.
pub(super) fn strip<'e>(expr: &'e Expr, schema: &DFSchema) -> &'e Expr {
    let (Expr::Cast(Cast { expr: inner, field }) | Expr::TryCast(TryCast { expr: inner, field })) = expr else { return expr };
    let (Ok(from), to) = (inner.get_type(schema), field.data_type()) else { return expr };
    let whole =
        |kind: &DataType| if kind.is_signed_integer() || kind.is_unsigned_integer() { kind.primitive_width() } else { None };
    let wider = match (&from, to) {
        (DataType::Date32 | DataType::Date64, DataType::Timestamp(_, None)) => true,
        (DataType::Duration(_), DataType::Interval(_)) => true,
        (DataType::Timestamp(_, a), DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, b)) => a == b,
        (from, to) if is_written(field) && from.is_numeric() && (is_float(to) || to.is_decimal()) => holds(to, from),
        (DataType::Decimal128(_, a), DataType::Decimal128(_, b)) => a <= b,
        (DataType::Decimal128(..), DataType::Float32 | DataType::Float64) => true,
        // A float stays a float beside decimals too, whatever the planner takes it for.
        (float, DataType::Decimal128(..) | DataType::Decimal256(..)) if is_float(float) => true,
        (kind, DataType::Float32 | DataType::Float64 | DataType::Decimal128(..)) => kind.is_integer(),
        (a, b) => match (whole(a), whole(b)) {
            (Some(x), Some(y)) => a.is_signed_integer() == b.is_signed_integer() && x <= y || b.is_signed_integer() && x < y,
            _ => false,
        },
    };
    if wider { strip(inner, schema) } else { expr }
}

/// Returns the maximum digits before and after the point for numbers of a type; `None` for floats.
fn digits(kind: &DataType) -> Option<(i16, i16)> {
    Some(match kind {
        DataType::Int8 | DataType::UInt8 => (3, 0),
        DataType::Int16 | DataType::UInt16 => (5, 0),
        DataType::Int32 | DataType::UInt32 => (10, 0),
        DataType::Int64 => (19, 0),
        DataType::UInt64 => (20, 0),
        DataType::Decimal32(digits, after)
        | DataType::Decimal64(digits, after)
        | DataType::Decimal128(digits, after)
        | DataType::Decimal256(digits, after) => (i16::from(*digits) - i16::from(*after), (*after).into()),
        _ => return None,
    })
}

/// Returns whether a decimal or float type has every value of another numeric type.
fn holds(to: &DataType, from: &DataType) -> bool {
    match (to, digits(to), digits(from)) {
        (_, Some((before, after)), Some(of)) => of.0 <= before && of.1 <= after,
        (DataType::Float64, ..) => fits_float(from) || matches!(from, DataType::Float16 | DataType::Float32),
        (DataType::Float32, ..) => from.is_integer() && from.primitive_width() <= Some(2) || *from == DataType::Float16,
        _ => false,
    }
}

/// Returns whether a cast added by the planner to coerce types gives NULL for some numbers.
pub(super) fn is_lossy(expr: &Expr, schema: &DFSchema) -> bool {
    let (Expr::Cast(Cast { expr: inner, field }) | Expr::TryCast(TryCast { expr: inner, field })) = expr else { return false };
    let from = inner.get_type(schema);
    !is_written(field)
        && field.data_type().is_decimal()
        && from.is_ok_and(|from| digits(&from).is_some() && !holds(field.data_type(), &from))
}

/// Explains why such a cast is refused.
pub(super) fn loses(expr: &Expr, schema: &DFSchema) -> Refusal {
    let (inner, to) = match expr {
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => (&**expr, kinds::kind(field.data_type())),
        other => (other, String::new()),
    };
    let (shown, from) = (written(inner), inner.get_type(schema).map_or_else(|_| "number".to_owned(), |kind| kinds::kind(&kind)));
    refuse(format!("{shown} is a {from}, of which a {to} beside it does not hold every value"))
        .fix(format!("Write CAST({shown} AS DOUBLE) and CAST(… AS DOUBLE) of the other"))
}
