//! Place of a literal among the values of a column's type.

use datafusion::{
    arrow::datatypes::{DataType, IntervalUnit, TimeUnit},
    common::ScalarValue,
};

/// Place of a literal.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Placed {
    /// The literal is this value.
    At(ScalarValue),
    /// The literal lies between this value and the next.
    After(ScalarValue),
    /// The literal is greater than all values.
    Above,
    /// The literal is less than all values.
    Below,
}

/// Places `value`, which is not NULL, among the values of type `kind`.
///
/// `None` if `value` is no number or time, or `kind` does not decide.
pub(super) fn placed(value: &ScalarValue, kind: &DataType) -> Option<Placed> {
    if *kind == value.data_type() {
        return Some(Placed::At(value.clone()));
    }
    if let DataType::Duration(unit) = kind {
        let (tick, at) = (ticks(&DataType::Timestamp(*unit, None))?, span(value)?);
        let range = (i64::MIN.into(), i64::MAX.into());
        return within(at.div_euclid(tick), at.rem_euclid(tick) == 0, range, |v| {
            ScalarValue::Int64(Some(i64::try_from(v).ok()?)).cast_to(kind).ok()
        });
    }
    if let Some(tick) = ticks(kind) {
        let at = nanoseconds(value)?;
        let (least, most) = if *kind == DataType::Date32 { (i32::MIN.into(), i32::MAX.into()) } else { (i64::MIN, i64::MAX) };
        return within(at.div_euclid(tick), at.rem_euclid(tick) == 0, (least.into(), most.into()), |v| {
            let ticks = ScalarValue::Int64(Some(i64::try_from(v).ok()?));
            let ticks = if *kind == DataType::Date32 { ticks.cast_to(&DataType::Int32).ok()? } else { ticks };
            ticks.cast_to(kind).ok()
        });
    }
    let number = digits(value)?;
    match kind {
        DataType::Float64 => {
            let float: f64 = number.parse().ok()?;
            let whole = number.parse::<i128>().is_ok_and(|whole| float as i128 == whole);
            // A decimal is the float that its digits read as.
            let same = whole || number.contains('.') || value.data_type().is_floating();
            same.then_some(Placed::At(ScalarValue::Float64(Some(float))))
        }
        DataType::Decimal128(precision, scale) => {
            let most = 10i128.checked_pow(u32::from(*precision))? - 1;
            let (floor, exact) = floor(&number, usize::try_from(*scale).ok()?);
            within(floor, exact, (-most, most), |v| Some(ScalarValue::Decimal128(Some(v), *precision, *scale)))
        }
        kind if kind.is_integer() => {
            let bits = 8 * kind.primitive_width()? as u32;
            let range = if kind.is_unsigned_integer() {
                (0, (1i128 << bits) - 1)
            } else {
                (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1)
            };
            let (floor, exact) = floor(&number, 0);
            within(floor, exact, range, |v| {
                let whole = u64::try_from(v).map(|v| ScalarValue::UInt64(Some(v)));
                whole.or_else(|_| i64::try_from(v).map(|v| ScalarValue::Int64(Some(v)))).ok()?.cast_to(kind).ok()
            })
        }
        _ => None,
    }
}

/// Places a number with this floor among the whole numbers of a range.
fn within(floor: i128, exact: bool, (least, most): (i128, i128), value: impl Fn(i128) -> Option<ScalarValue>) -> Option<Placed> {
    Some(match floor {
        floor if floor < least => Placed::Below,
        floor if floor > most || floor == most && !exact => Placed::Above,
        floor if exact => Placed::At(value(floor)?),
        floor => Placed::After(value(floor)?),
    })
}

/// Returns the nanoseconds of a tick of a type's times.
pub(in crate::sql) fn ticks(kind: &DataType) -> Option<i128> {
    Some(match kind {
        DataType::Date32 => 86_400_000_000_000,
        DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
        DataType::Date64 | DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 1,
        _ => return None,
    })
}

fn nanoseconds(value: &ScalarValue) -> Option<i128> {
    use ScalarValue::{Date32, Date64, TimestampMicrosecond, TimestampMillisecond, TimestampNanosecond, TimestampSecond};
    let at = match value {
        Date32(Some(v)) => i64::from(*v),
        Date64(Some(v))
        | TimestampSecond(Some(v), _)
        | TimestampMillisecond(Some(v), _)
        | TimestampMicrosecond(Some(v), _)
        | TimestampNanosecond(Some(v), _) => *v,
        _ => return None,
    };
    Some(i128::from(at) * ticks(&value.data_type())?)
}

/// Returns the nanoseconds of an interval: a day has 24 hours and a month 30 days, as PostgreSQL compares intervals.
fn span(value: &ScalarValue) -> Option<i128> {
    match value.cast_to(&DataType::Interval(IntervalUnit::MonthDayNano)).ok()? {
        ScalarValue::IntervalMonthDayNano(Some(v)) => {
            Some((i128::from(v.months) * 30 + i128::from(v.days)) * 86_400_000_000_000 + i128::from(v.nanoseconds))
        }
        _ => None,
    }
}

/// Returns a number's digits, for a float the fewest that read back as the same float.
fn digits(value: &ScalarValue) -> Option<String> {
    match value {
        ScalarValue::Float64(Some(v)) => Some(v.to_string()).filter(|_| v.is_finite()),
        ScalarValue::Float32(Some(v)) => Some(v.to_string()).filter(|_| v.is_finite()),
        value if value.data_type().is_integer() || value.data_type().is_decimal() => {
            value.cast_to(&DataType::Utf8).ok()?.try_as_str().flatten().map(str::to_owned)
        }
        _ => None,
    }
}

/// Returns the greatest whole number of 10^-`scale` not above a number, and whether the two are equal.
///
/// Beyond 128 bits, the end of their range.
fn floor(number: &str, scale: usize) -> (i128, bool) {
    let (negative, size) = number.strip_prefix('-').map_or((false, number), |size| (true, size));
    let (whole, part) = size.split_once('.').unwrap_or((size, ""));
    let (kept, rest) = part.split_at(scale.min(part.len()));
    let exact = rest.bytes().all(|b| b == b'0');
    let size: i128 = format!("{whole}{kept:0<scale$}").parse().unwrap_or(i128::MAX);
    match (negative, exact) {
        (false, _) => (size, exact),
        (true, true) => (-size, true),
        (true, false) => (-size - 1, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_have_their_places_among_a_types_values() {
        let float = |v| ScalarValue::Float64(Some(v));
        let int = |v| ScalarValue::Int64(Some(v));
        let decimal = |v| ScalarValue::Decimal128(Some(v), 10, 2);
        let ten = DataType::Decimal128(10, 2);
        for (value, kind, place) in [
            (float(2.5), DataType::Int64, Placed::After(int(2))),
            (float(-2.5), DataType::Int64, Placed::After(int(-3))),
            (float(9_007_199_254_740_992.0), DataType::Int64, Placed::At(int(1 << 53))),
            (float(1e300), DataType::Int64, Placed::Above),
            (float(-1e19), DataType::Int64, Placed::Below),
            (float(9_223_372_036_854_775_808.0), DataType::Int64, Placed::Above),
            (int(-1), DataType::UInt64, Placed::Below),
            (int(300), DataType::Int8, Placed::Above),
            (float(127.5), DataType::Int8, Placed::Above),
            (float(0.1), ten.clone(), Placed::At(decimal(10))),
            (float(0.105), ten.clone(), Placed::After(decimal(10))),
            (float(-0.105), ten.clone(), Placed::After(decimal(-11))),
            (float(5e-324), ten.clone(), Placed::After(decimal(0))),
            (int(1 << 53), DataType::Float64, Placed::At(float(9_007_199_254_740_992.0))),
        ] {
            assert_eq!(placed(&value, &kind), Some(place), "{value:?} among {kind}");
        }
        assert_eq!(placed(&int((1 << 53) + 1), &DataType::Float64), None);
        // 2024-01-01, in nanoseconds.
        let at = |more: i64| ScalarValue::TimestampNanosecond(Some(1_704_067_200_000_000_000 + more), None);
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let micro = ScalarValue::TimestampMicrosecond(Some(1_704_067_200_000_000), None);
        assert_eq!(placed(&at(0), &micros), Some(Placed::At(micro.clone())));
        assert_eq!(placed(&at(1), &micros), Some(Placed::After(micro)));
        assert_eq!(placed(&at(1), &DataType::Date32), Some(Placed::After(ScalarValue::Date32(Some(19_723)))));
        let open = ScalarValue::Date32(Some(2_932_896));
        assert_eq!(placed(&open, &DataType::Timestamp(TimeUnit::Nanosecond, None)), Some(Placed::Above));
    }
}
