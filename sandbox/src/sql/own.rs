//! Replacements for functions that raise an error on some row, make texts of any length, or take a time that depends on values.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use arrow::{
    array::{Array as _, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, LargeStringArray},
    compute::{binary, cast, nullif},
    datatypes::{DataType, Float32Type, Float64Type, Int64Type, TimeUnit},
};
use datafusion::{
    common::DataFusionError,
    error::Result,
    logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility},
};
use tidegate_protocol::limits;

use crate::{RunError, units::shorten};

/// At most [`limits::TEXT_CHARS`] characters of a text; other values stay.
pub(super) const SHORT: &str = "shortened";
/// `a - b * trunc(a / b)`.
pub(super) const REMAINDER: &str = "remainder";
/// Letters in lower case, each by itself.
pub(super) const LOWER: &str = "lower";
/// Square root; NULL below zero.
pub(super) const ROOT: &str = "sqrt";
/// Power; NULL for a negative power of zero.
pub(super) const POWER: &str = "power";
/// Number of characters, at most [`FAR`]; NULL below zero.
pub(super) const LENGTH: &str = "length of a part";
/// Position of a part's first character, within ±[`FAR`].
pub(super) const START: &str = "start of a part";
/// Position beyond the end of any text: positions further on are equivalent, and sums of two of them do not overflow.
pub(super) const FAR: i64 = 1 << 40;
/// Dates within the calendar, and times of a day; NULL for others. Values of other types stay.
pub(super) const CALENDAR: &str = "within calendar";

/// Integer nearest to a float, the even integer if two are equally near.
pub(super) const NEAREST: &str = "nearest whole number";

/// Float with a single zero, and NULL in place of NaN.
pub(super) const SETTLED: &str = "settled";

/// Magnitude from which a quotient of two floats says nothing about the remainder.
const QUOTIENTS: f64 = 9_007_199_254_740_992.0;

type Compute = fn(&[ArrayRef]) -> std::result::Result<ArrayRef, RunError>;

/// A function, identified by its name.
#[derive(Debug)]
struct Own {
    name: &'static str,
    signature: Signature,
    /// Result type; the argument's type if `None`.
    gives: Option<DataType>,
    compute: Compute,
}

impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
impl Eq for Own {}
impl Hash for Own {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Own {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match (&self.gives, arguments.first()) {
            (Some(kind), _) | (None, Some(kind)) => Ok(kind.clone()),
            (None, None) => Err(DataFusionError::Plan(format!("{} takes an argument", self.name))),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let made = (self.compute)(&arrays).map_err(|e| DataFusionError::Execution(e.to_string()))?;
        // With constants alone there is one row.
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        if constant {
            return Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&made, 0)?));
        }
        Ok(ColumnarValue::Array(made))
    }
}

/// Creates a function of `arguments` arguments of any types.
pub(super) fn own(name: &'static str, arguments: usize, gives: Option<DataType>, compute: Compute) -> ScalarUDF {
    let signature = Signature::any(arguments, Volatility::Immutable);
    ScalarUDF::new_from_impl(Own { name, signature, gives, compute })
}

fn floats(array: &ArrayRef) -> std::result::Result<ArrayRef, RunError> {
    Ok(if *array.data_type() == DataType::Float64 { array.clone() } else { cast(array, &DataType::Float64)? })
}

/// Builds [`SHORT`] of a text.
pub(super) fn short(text: Expr) -> Expr {
    own(SHORT, 1, None, |args| shorten(&args[0], limits::TEXT_CHARS)).call(vec![text])
}

/// Builds [`SETTLED`] of a number.
pub(super) fn settled(number: Expr) -> Expr {
    own(SETTLED, 1, None, |args| settle(&args[0])).call(vec![number])
}

/// Settles floats: a single zero, and NULL in place of NaN; other types stay.
pub(super) fn settle(array: &ArrayRef) -> std::result::Result<ArrayRef, RunError> {
    match array.data_type() {
        DataType::Float64 => {
            let floats = array.as_primitive::<Float64Type>();
            let odd = |odd, v: &f64| odd | v.is_nan() | (v.to_bits() == (-0f64).to_bits());
            if !floats.values().iter().fold(false, odd) {
                return Ok(array.clone());
            }
            let none = BooleanArray::from_unary(floats, f64::is_nan);
            Ok(nullif(&floats.unary::<_, Float64Type>(|v| v + 0.0), &none)?)
        }
        DataType::Float32 => {
            let floats = array.as_primitive::<Float32Type>();
            let odd = |odd, v: &f32| odd | v.is_nan() | (v.to_bits() == (-0f32).to_bits());
            if !floats.values().iter().fold(false, odd) {
                return Ok(array.clone());
            }
            let none = BooleanArray::from_unary(floats, f32::is_nan);
            Ok(nullif(&floats.unary::<_, Float32Type>(|v| v + 0.0), &none)?)
        }
        _ => Ok(array.clone()),
    }
}

/// Builds [`REMAINDER`] of two numbers.
pub(super) fn remainder(a: Expr, b: Expr) -> Expr {
    let compute: Compute = |args| {
        let (a, b) = (floats(&args[0])?, floats(&args[1])?);
        let left: Float64Array = binary(a.as_primitive::<Float64Type>(), b.as_primitive::<Float64Type>(), left_over)?;
        Ok(Arc::new(left))
    };
    own(REMAINDER, 2, Some(DataType::Float64), compute).call(vec![a, b])
}

/// Computes the remainder of `a` divided by `b`, with `a`'s sign, in a time independent of the values.
///
/// Equals C's `fmod` for whole numbers below 2^53, and to within an ulp of `a` for others. (`fmod` divides bit by bit: 10 ns or
/// 1 400 by the difference of exponents.)
///
/// By zero and of infinity: NaN. By infinity: `a`. Where the quotient is 2^53 or more, and floats no longer tell one from the
/// next: zero.
#[inline]
pub(super) fn left_over(a: f64, b: f64) -> f64 {
    let quotient = (a / b).trunc();
    let left = a - b * quotient;
    // Rounding may have subtracted `b` once too often, or once too seldom.
    let (size, wrong) = (b.abs(), left != 0.0 && left.is_sign_negative() != a.is_sign_negative());
    let left = if wrong { left + size.copysign(a) } else { left };
    let left = if left.abs() >= size { 0.0 } else { left };
    let left = if quotient.abs() >= QUOTIENTS { 0.0 } else { left };
    let left = if b.is_infinite() { a } else { left };
    // These have no remainder.
    let none = a.is_nan() || b.is_nan() || a.is_infinite() || b == 0.0;
    if none { f64::NAN } else { left.abs().copysign(a) }
}

/// Creates [`LOWER`].
///
/// A capital sigma becomes σ wherever it stands, as in PostgreSQL and DuckDB. DataFusion's own looks at the neighbours of each
/// sigma for the end of a word, which takes twenty times as long as any other letter.
pub(super) fn lower() -> ScalarUDF {
    own(LOWER, 1, None, |args| {
        let texts = cast(&args[0], &DataType::LargeUtf8)?;
        let lowered = texts.as_string::<i64>().iter().map(|text| text.map(lowered)).collect::<LargeStringArray>();
        Ok(cast(&lowered, args[0].data_type())?)
    })
}

fn lowered(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.chars().flat_map(char::to_lowercase).collect() }
}

/// Creates [`ROOT`].
pub(super) fn root() -> ScalarUDF {
    own(ROOT, 1, Some(DataType::Float64), |args| {
        let numbers = floats(&args[0])?;
        let numbers = numbers.as_primitive::<Float64Type>();
        let root = |v: f64| if v < 0.0 { None } else { Some(v.sqrt()) };
        Ok(Arc::new(numbers.unary_opt::<_, Float64Type>(root)))
    })
}

/// Creates [`POWER`].
pub(super) fn power() -> ScalarUDF {
    own(POWER, 2, Some(DataType::Float64), |args| {
        let [base, exponent] = [floats(&args[0])?, floats(&args[1])?];
        let (base, exponent) = (base.as_primitive::<Float64Type>(), exponent.as_primitive::<Float64Type>());
        let power = |(base, exponent): (Option<f64>, Option<f64>)| {
            let (base, exponent) = (base?, exponent?);
            (base != 0.0 || exponent >= 0.0 || exponent.is_nan()).then(|| base.powf(exponent))
        };
        Ok(Arc::new(base.iter().zip(exponent).map(power).collect::<Float64Array>()))
    })
}

/// Builds [`NEAREST`] of a number.
pub(super) fn nearest(number: Expr) -> Expr {
    let compute: Compute = |args| {
        let numbers = floats(&args[0])?;
        Ok(Arc::new(numbers.as_primitive::<Float64Type>().unary::<_, Float64Type>(f64::round_ties_even)))
    };
    own(NEAREST, 1, Some(DataType::Float64), compute).call(vec![number])
}

/// Builds [`START`] of a number.
pub(super) fn start(number: Expr) -> Expr {
    let compute: Compute = |args| {
        let numbers = cast(&args[0], &DataType::Int64)?;
        Ok(Arc::new(numbers.as_primitive::<Int64Type>().unary::<_, Int64Type>(|n| n.clamp(-FAR, FAR))))
    };
    own(START, 1, Some(DataType::Int64), compute).call(vec![number])
}

/// Builds [`LENGTH`] of a number.
pub(super) fn length(number: Expr) -> Expr {
    let compute: Compute = |args| {
        let numbers = cast(&args[0], &DataType::Int64)?;
        let numbers = numbers.as_primitive::<Int64Type>();
        let made: Int64Array = numbers.unary_opt::<_, Int64Type>(|n| (n >= 0).then_some(n.min(FAR)));
        Ok(Arc::new(made))
    };
    own(LENGTH, 1, Some(DataType::Int64), compute).call(vec![number])
}

/// Builds [`CALENDAR`] of a time.
pub(super) fn calendar(time: Expr) -> Expr {
    own(CALENDAR, 1, None, |args| within_calendar(&args[0])).call(vec![time])
}

/// Replaces dates and times outside the calendar by NULL; all others can be cut to the beginning of their year.
///
/// The calendar has the years 1 to 9999, in nanoseconds 1678 to 2262; a time of day has those of one day.
pub(super) fn within_calendar(array: &ArrayRef) -> std::result::Result<ArrayRef, RunError> {
    let per_second = match array.data_type() {
        DataType::Date32 => 1.0 / 86_400.0,
        DataType::Date64 | DataType::Timestamp(TimeUnit::Millisecond, _) => 1e3,
        DataType::Timestamp(TimeUnit::Second, _) => 1.0,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1e6,
        DataType::Timestamp(TimeUnit::Nanosecond, _) | DataType::Time64(TimeUnit::Nanosecond) => 1e9,
        DataType::Time32(TimeUnit::Second) => 1.0,
        DataType::Time32(_) => 1e3,
        DataType::Time64(_) => 1e6,
        _ => return Ok(array.clone()),
    };
    let of_day = matches!(array.data_type(), DataType::Time32(_) | DataType::Time64(_));
    let nanoseconds = matches!(array.data_type(), DataType::Timestamp(TimeUnit::Nanosecond, _));
    // A day more than year 1 has: in a time zone it may be the year's first.
    let inside = match (of_day, nanoseconds) {
        (true, _) => 0.0..86_400.0,
        (_, true) => -9_214_473_600.0..9_223_372_036.0,
        _ => -62_135_683_200.0..253_402_300_800.0,
    };
    let whole =
        if matches!(array.data_type(), DataType::Date32 | DataType::Time32(_)) { DataType::Int32 } else { DataType::Int64 };
    let numbers = floats(&cast(array, &whole)?)?;
    let outside = BooleanArray::from_unary(numbers.as_primitive::<Float64Type>(), |v| !inside.contains(&(v / per_second)));
    if outside.true_count() == 0 {
        return Ok(array.clone());
    }
    if of_day {
        // The value under a NULL must not be left for the engine to multiply.
        let ticks = cast(&cast(array, &whole)?, &DataType::Int64)?;
        let kept = ticks
            .as_primitive::<Int64Type>()
            .unary_opt::<_, Int64Type>(|v| inside.contains(&(v as f64 / per_second)).then_some(v));
        return Ok(cast(&cast(&(Arc::new(kept) as ArrayRef), &whole)?, array.data_type())?);
    }
    Ok(nullif(array, &outside)?)
}

#[cfg(test)]
mod tests {
    use super::left_over;

    const AWKWARD: [f64; 21] = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.1,
        3.0,
        7.0,
        -7.5,
        1e15,
        9_007_199_254_740_991.0,
        1e16,
        1.7e308,
        -1.7e308,
        1e-300,
        5e-324,
        f64::MIN_POSITIVE,
        f64::EPSILON,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        1e22,
    ];

    #[test]
    fn what_is_left_is_what_fmod_leaves_where_floats_tell() {
        for a in -2000..2000 {
            for b in (-50..50).filter(|b| *b != 0) {
                let (a, b) = (f64::from(a), f64::from(b));
                assert_eq!(left_over(a, b).to_bits(), (a % b).to_bits(), "{a} % {b}");
            }
        }
        for a in [9_007_199_254_740_991.0, 9_007_199_254_740_990.0, 4_503_599_627_370_497.0] {
            for b in [1.0, 2.0, 3.0, 7.0, 1000.0, 94_906_267.0] {
                assert_eq!(left_over(a, b), a % b, "{a} % {b}");
            }
        }
        assert_eq!(left_over(5.5, 2.0), 1.5);
        assert!((left_over(1.0, 0.1) - 1.0 % 0.1).abs() < 1e-15 || left_over(1.0, 0.1) < 1e-15);
    }

    /// Whatever the values, it is a number below the divisor with the dividend's sign, or NaN where there is none.
    #[test]
    fn what_is_left_is_always_less_than_what_is_taken() {
        for a in AWKWARD {
            for b in AWKWARD {
                let left = left_over(a, b);
                if a.is_nan() || b.is_nan() || a.is_infinite() || b == 0.0 {
                    assert!(left.is_nan(), "{a} % {b} = {left}");
                } else if b.is_infinite() {
                    assert_eq!(left.to_bits(), a.to_bits(), "{a} % {b}");
                } else {
                    assert!(left.abs() < b.abs() && left.is_sign_negative() == a.is_sign_negative(), "{a} % {b} = {left}");
                }
            }
        }
    }
}
