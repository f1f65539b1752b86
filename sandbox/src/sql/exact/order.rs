//! Order of two values of different types by value: whole numbers, decimals, floats, or times.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Int8Array},
    compute::cast,
    datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, UInt64Type},
};
use datafusion::logical_expr::Expr;

use super::literal::ticks;
use crate::{RunError, sql::own::own};

/// Order of two values: −1, 0 or 1 for less, equal or greater; NULL if either is NULL.
pub(in crate::sql) const ORDER: &str = "order of two values";

/// Fractional units in 1: 10^38.
const ONE: f64 = 1e38;
/// Decimal digits of a fraction.
const DIGITS: u32 = 38;

/// Returns whether values of a type can be ordered here.
pub(super) fn ordered(kind: &DataType) -> bool {
    ticks(kind).is_some()
        || kind.is_integer()
        || matches!(kind, DataType::Float32 | DataType::Float64)
        || matches!(kind, DataType::Decimal128(_, scale) if *scale >= 0)
}

/// Builds [`ORDER`] of two values, both times or both numbers.
pub(super) fn order(a: Expr, b: Expr) -> Expr {
    let compute = |args: &[ArrayRef]| {
        let (a, b) = (values(&args[0])?, values(&args[1])?);
        let made: Int8Array = a.iter().zip(&b).map(|(a, b)| Some((*a)?.cmp(&(*b)?) as i8)).collect();
        Ok(Arc::new(made) as ArrayRef)
    };
    own(ORDER, 2, Some(DataType::Int8), compute).call(vec![a, b])
}

/// A whole number, for times in nanoseconds, and a fraction in 10^-38.
type Value = (i128, u128);

fn values(array: &ArrayRef) -> Result<Vec<Option<Value>>, RunError> {
    let kind = array.data_type();
    if let Some(tick) = ticks(kind) {
        let whole = if *kind == DataType::Date32 { cast(array, &DataType::Int32)? } else { array.clone() };
        let whole = cast(&whole, &DataType::Int64)?;
        return Ok(whole.as_primitive::<Int64Type>().iter().map(|v| Some((i128::from(v?) * tick, 0))).collect());
    }
    Ok(match kind {
        kind if kind.is_unsigned_integer() => {
            cast(array, &DataType::UInt64)?.as_primitive::<UInt64Type>().iter().map(|v| Some((v?.into(), 0))).collect()
        }
        kind if kind.is_integer() => {
            cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().iter().map(|v| Some((v?.into(), 0))).collect()
        }
        DataType::Decimal128(_, scale) => {
            let scale = u32::try_from(*scale).unwrap_or(0).min(DIGITS);
            let (one, part) = (10i128.pow(scale), 10u128.pow(DIGITS - scale));
            let value = |v: i128| (v.div_euclid(one), v.rem_euclid(one).unsigned_abs() * part);
            array.as_primitive::<Decimal128Type>().iter().map(|v| v.map(value)).collect()
        }
        _ => {
            // A nonzero fraction is at least one unit.
            let value = |v: f64| {
                let whole = v.floor();
                let part = if v.is_finite() { v - whole } else { 0.0 };
                (whole as i128, if part > 0.0 { ((part * ONE) as u128).max(1) } else { 0 })
            };
            cast(array, &DataType::Float64)?.as_primitive::<Float64Type>().iter().map(|v| v.map(value)).collect()
        }
    })
}
