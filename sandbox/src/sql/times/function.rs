//! Date and time functions for the engine: their argument types, result types and values.

use std::sync::Arc;

use arrow::{
    array::{Array as _, ArrayRef, AsArray, Int64Array, StringArray, StringArrayType},
    compute::{DatePart, cast, date_part},
    datatypes::{DataType, Float64Type, IntervalUnit, TimeUnit},
};
use datafusion::{
    common::{DataFusionError, ScalarValue},
    error::Result,
    logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDFImpl, Signature},
};
use tidegate_protocol::Refusal;

use super::{
    between,
    calendar::{self, micros},
    moved,
    template::Template,
    what::{SpanPart, What, external, micro, needs_literal, usage},
};
use crate::{
    RunError,
    sql::{kinds, own::within_calendar, refuse},
};

/// A date or time function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct TimeFunction {
    pub(super) what: What,
    pub(super) name: &'static str,
    pub(super) aliases: Vec<String>,
    pub(super) signature: Signature,
}

fn is_time(kind: &DataType) -> bool {
    matches!(kind, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) | DataType::Null)
}

impl TimeFunction {
    /// Returns the type of the result.
    fn gives(&self, kinds: &[DataType]) -> std::result::Result<DataType, Refusal> {
        let name = self.name;
        let count =
            |least: usize, most: usize, how: &str| match kinds.len() {
                n if (least..=most).contains(&n) => Ok(()),
                n => Err(refuse(format!("function {name} has {n} argument{}", if n == 1 { "" } else { "s" }))
                    .fix(format!("Write {how}"))),
            };
        let times = |kinds: &[DataType]| {
            match kinds.iter().find(|kind| !is_time(kind)) {
            None => Ok(()),
            Some(kind) => Err(refuse(format!("{name} takes dates and times, and is given a value of type {}", kinds::kind(kind))).fix(
                "Write DATE '2024-01-31' of a literal; CAST(x AS DATE) reads texts such as 2024-01-31, and to_date(x, 'DD.MM.YYYY') others",
            )),
        }
        };
        let text = |kind: Option<&DataType>, what: &str| match kind {
            Some(kind) if !kind.is_string() && !kind.is_null() => {
                Err(refuse(format!("{name} takes {what}, and is given a value of type {}", kinds::kind(kind)))
                    .fix(usage(&self.what)))
            }
            _ => Ok(()),
        };
        Ok(match &self.what {
            What::Part(part) => {
                count(1, 1, &format!("{name}(x)"))?;
                let of_day = matches!(*part, "hour" | "minute" | "second")
                    && matches!(kinds[0], DataType::Time32(_) | DataType::Time64(_));
                if !of_day {
                    times(kinds)?;
                }
                DataType::Int32
            }
            What::Between => {
                count(2, 3, usage(&self.what).trim_start_matches("Write "))?;
                times(&kinds[kinds.len() - 2..])?;
                text(Some(&kinds[0]).filter(|_| kinds.len() == 3), "a unit, a date and a later one")?;
                DataType::Int64
            }
            What::Text => {
                count(2, 2, usage(&self.what).trim_start_matches("Write "))?;
                times(&kinds[..1])?;
                text(kinds.get(1), "a date and a format")?;
                DataType::Utf8
            }
            What::Date | What::Time => {
                count(1, 2, usage(&self.what).trim_start_matches("Write "))?;
                let number = self.what == What::Time && kinds[0].is_numeric() && kinds.len() == 1;
                if !number && (kinds.len() == 2 || !is_time(&kinds[0])) {
                    text(kinds.first(), "a text")?;
                }
                text(kinds.get(1), "a text and a format")?;
                if self.what == What::Date { DataType::Date32 } else { micro() }
            }
            What::Written(_) => DataType::Utf8,
            What::Read(_, kind) => kind.clone(),
            What::Days => DataType::Int64,
            What::Span => DataType::Duration(TimeUnit::Microsecond),
            What::OfSpan(SpanPart::Epoch) => DataType::Float64,
            What::OfSpan(_) => DataType::Int32,
            What::On | What::Back => moved::gives(&kinds[0]),
            What::Times => DataType::Interval(IntervalUnit::MonthDayNano),
        })
    }

    fn compute(&self, args: &[ArrayRef]) -> std::result::Result<ArrayRef, RunError> {
        // An array without a type has no values.
        let typed = |array: &ArrayRef| {
            if array.data_type().is_null() { Ok(cast(array, &micro())?) } else { Ok::<_, RunError>(array.clone()) }
        };
        let first = typed(&args[0])?;
        Ok(match &self.what {
            What::Part(part) => part_of(part, &first)?,
            What::Written(template) => Arc::new(written(template, &first)?),
            What::Read(template, kind) => read(template, &first, kind)?,
            What::Time => seconds(&first)?,
            What::Days => between::days(&first, &typed(&args[1])?)?,
            What::Span => between::span(&first, &typed(&args[1])?)?,
            What::OfSpan(part) => between::of_span(*part, &first)?,
            What::On => moved::moved(&first, &args[1], 1)?,
            What::Back => moved::moved(&first, &args[1], -1)?,
            What::Times => moved::times(&first, &args[1])?,
            What::Between | What::Text | What::Date => return Err(RunError::Engine(format!("{} has no literal", self.name))),
        })
    }

    /// Compiles the literal format of a call, if there is one; also returns how many arguments remain.
    fn compiled(&self, args: &[ColumnarValue]) -> Result<Option<(What, usize)>> {
        let literal = |i: usize| match args.get(i) {
            Some(ColumnarValue::Scalar(value)) => Ok(value.try_as_str().flatten().unwrap_or_default().to_owned()),
            _ => Err(external(needs_literal(self.name))),
        };
        let template = |text: String| Template::new(&text).map_err(external);
        Ok(match (&self.what, args.len()) {
            (What::Text, _) => Some((What::Written(template(literal(1)?)?), 1)),
            (What::Date | What::Time, 2) => {
                let kind = if self.what == What::Date { DataType::Date32 } else { micro() };
                Some((What::Read(template(literal(1)?)?.reads().map_err(external)?, kind), 1))
            }
            _ => None,
        })
    }
}

impl ScalarUDFImpl for TimeFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Names arithmetic as written, by its operator.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let operator = match &self.what {
            What::Days | What::Span | What::Back => "-",
            What::On => "+",
            What::Times => "*",
            _ => {
                let args: Vec<_> = args.iter().map(|e| e.schema_name().to_string()).collect();
                return Ok(format!("{}({})", self.name, args.join(",")));
            }
        };
        Ok(format!("{} {operator} {}", args[0].schema_name(), args[1].schema_name()))
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        self.gives(kinds).map_err(external)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let engine = |e: RunError| DataFusionError::Execution(e.to_string());
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let made = match (&self.what, self.compiled(&args.args)?) {
            (_, Some((what, taken))) => {
                let arrays = ColumnarValue::values_to_arrays(&args.args[..taken])?;
                let compiled = Self { what, name: self.name, aliases: vec![], signature: self.signature.clone() };
                compiled.compute(&arrays).map_err(engine)?
            }
            (What::Between, None) => between::called(&args.args).map_err(engine)?,
            (What::Date, None) => cast(&ColumnarValue::values_to_arrays(&args.args)?[0], &DataType::Date32)?,
            _ => self.compute(&ColumnarValue::values_to_arrays(&args.args)?).map_err(engine)?,
        };
        // With constants alone there is one row.
        if constant { Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?)) } else { Ok(ColumnarValue::Array(made)) }
    }
}

/// Extracts a part of times; NULL beyond the calendar.
fn part_of(part: &str, times: &ArrayRef) -> std::result::Result<ArrayRef, RunError> {
    let part = match part {
        "year" => DatePart::Year,
        "quarter" => DatePart::Quarter,
        "month" => DatePart::Month,
        "week" => DatePart::Week,
        "day" => DatePart::Day,
        "dayofyear" => DatePart::DayOfYear,
        "hour" => DatePart::Hour,
        "minute" => DatePart::Minute,
        _ => DatePart::Second,
    };
    Ok(date_part(&within_calendar(times)?, part)?)
}

/// Formats times as shown by the clocks of their zone.
fn written(template: &Template, times: &ArrayRef) -> std::result::Result<StringArray, RunError> {
    let mut text = String::new();
    let made = micros(&calendar::by_clock(times)?)?;
    let made = made.iter().map(|v| {
        v.map(|v| {
            text.clear();
            template.write(v, &mut text);
            text.clone()
        })
    });
    Ok(made.collect())
}

/// Parses texts by a format, reading no more of a text than the format covers, however long the text is.
fn read(template: &Template, texts: &ArrayRef, kind: &DataType) -> std::result::Result<ArrayRef, RunError> {
    let made = match texts.data_type() {
        DataType::Utf8 => readings(template, texts.as_string::<i32>()),
        DataType::LargeUtf8 => readings(template, texts.as_string::<i64>()),
        DataType::Utf8View => readings(template, texts.as_string_view()),
        _ => Int64Array::new_null(texts.len()),
    };
    calendar::as_times(made, kind)
}

fn readings<'a>(template: &Template, texts: impl StringArrayType<'a>) -> Int64Array {
    texts.iter().map(|text| template.read(text?)).collect()
}

/// Converts seconds since 1970 to times.
fn seconds(numbers: &ArrayRef) -> std::result::Result<ArrayRef, RunError> {
    if !numbers.data_type().is_numeric() {
        return Ok(cast(numbers, &micro())?);
    }
    let numbers = cast(numbers, &DataType::Float64)?;
    let numbers = numbers.as_primitive::<Float64Type>();
    let made = numbers.unary_opt(|v: f64| (v.abs() < 1e12).then(|| (v * 1e6).round() as i64));
    calendar::as_times(made, &micro())
}
