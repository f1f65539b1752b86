//! Dates and times: functions for queries, and the meaning of `+` and `-` between dates and times.
//!
//! These are our own functions, so that no row can raise an error, and a time with a zone is what the clocks of its zone show.
//! The planner learns of the arithmetic before type coercion ([`arithmetic`]): its own uses nanoseconds, which end in 2262.

use std::sync::LazyLock;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::{
    common::DataFusionError,
    logical_expr::{Expr, ScalarUDF, Signature, Volatility, lit, try_cast},
};
use tidegate_protocol::Refusal;

pub(super) use self::{arithmetic::Arithmetic, template::Template};
use self::{between::Unit, function::TimeFunction};
use super::refuse;

mod arithmetic;
mod between;
mod calendar;
mod function;
mod moved;
mod template;

/// Operation of a function.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum What {
    /// `year(x)` and the like: a part, as in date_part.
    Part(&'static str),
    /// `date_diff('day', a, b)`: the number of beginnings of a unit between two times.
    Between,
    /// `to_char(x, format)`.
    Text,
    /// `to_date(x)`, `to_date(x, format)`.
    Date,
    /// `to_timestamp(x)`, `to_timestamp(x, format)`.
    Time,
    /// A time written in a format.
    Written(Template),
    /// A text parsed as a date or a time.
    Read(Template, DataType),
    /// `a - b` of dates: days.
    Days,
    /// `a - b` of times: a length of time.
    Span,
    /// A part of a length of time.
    OfSpan(SpanPart),
    /// `time + interval`, or a date and a whole number of days.
    On,
    /// `time - interval`.
    Back,
    /// `interval * number`.
    Times,
}

/// Parts of a length of time, as in PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum SpanPart {
    Day,
    Hour,
    Minute,
    Second,
    Epoch,
}

impl SpanPart {
    /// Returns the part's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Minute => "minute",
            Self::Second => "second",
            Self::Epoch => "epoch",
        }
    }
}

/// Functions for parts of a time, each called like its part, with their aliases.
const PARTS: [(&str, &[&str]); 9] = [
    ("year", &[]),
    ("quarter", &[]),
    ("month", &[]),
    ("week", &["weekofyear"]),
    ("day", &["dayofmonth"]),
    ("dayofyear", &[]),
    ("hour", &[]),
    ("minute", &[]),
    ("second", &[]),
];

fn make(what: What, name: &'static str, aliases: &[&str]) -> ScalarUDF {
    let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
    let signature = Signature::variadic_any(Volatility::Immutable);
    ScalarUDF::new_from_impl(TimeFunction { what, name, aliases, signature })
}

/// Returns the functions available to queries by name.
pub(super) fn named() -> &'static [ScalarUDF] {
    static ALL: LazyLock<Vec<ScalarUDF>> = LazyLock::new(|| {
        let others: [(What, &'static str, &[&str]); 4] = [
            (What::Between, "date_diff", &["datediff"]),
            (What::Text, "to_char", &["strftime"]),
            (What::Date, "to_date", &[]),
            (What::Time, "to_timestamp", &[]),
        ];
        let parts = PARTS.iter().map(|(name, aliases)| make(What::Part(name), name, aliases));
        parts.chain(others.map(|(what, name, aliases)| make(what, name, aliases))).collect()
    });
    &ALL
}

/// Returns whether a word is a unit of time.
pub(super) fn is_unit(word: &str) -> bool {
    Unit::of(word).is_ok()
}

/// Returns the operation of a date or time function; `None` for others.
pub(super) fn of(function: &ScalarUDF) -> Option<&What> {
    function.inner().downcast_ref::<TimeFunction>().map(|f| &f.what)
}

/// Returns the type of times without a zone, in microseconds, as results have.
fn micro() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

/// Returns a hint on how a function is written.
fn usage(what: &What) -> &'static str {
    match what {
        What::Between => "Write date_diff('day', earlier, later)",
        What::Text => "Write to_char(day, 'YYYY-MM')",
        What::Date => "Write to_date(x, 'DD.MM.YYYY')",
        What::Time => "Write to_timestamp(x, 'YYYY-MM-DD HH24:MI')",
        _ => "docs/reference/sql.md lists the functions under \"Total functions\"",
    }
}

fn needs_literal(name: &str) -> Refusal {
    let fix = named().iter().find(|f| f.name() == name).and_then(of).map_or("", usage);
    refuse(format!("{name} needs a literal {}", if name == "date_diff" { "unit" } else { "format" })).fix(fix)
}

/// Wraps a refusal for the engine to pass on.
fn external(refusal: Refusal) -> DataFusionError {
    DataFusionError::External(Box::new(refusal))
}

/// Builds a call of a date or time function from total arguments, and checks its literals.
///
/// # Errors
/// Returns a [`Refusal`] for a missing or invalid literal.
pub(super) fn total(what: &What, name: &str, mut args: Vec<Expr>) -> Result<Expr, Refusal> {
    let literal = |arg: Option<&Expr>| {
        let text = arg.and_then(super::literal::text_literal).flatten();
        text.ok_or_else(|| needs_literal(name))
    };
    match (what, args.len()) {
        (What::Between, 2) => {
            let (later, earlier) = (args.swap_remove(0), args.pop());
            Ok(call(What::Between, "date_diff", std::iter::once(lit("day")).chain(earlier).chain([later]).collect()))
        }
        (What::Between, _) => {
            args[0] = lit(Unit::of(&literal(args.first())?)?.name());
            Ok(call(What::Between, "date_diff", args))
        }
        (What::Text, _) => {
            let template = Template::new(&literal(args.get(1))?)?;
            args.truncate(1);
            Ok(call(What::Written(template), "to_char", args))
        }
        (What::Date | What::Time, 2) => {
            let template = Template::new(&literal(args.get(1))?)?.reads()?;
            let (name, kind) = if *what == What::Date { ("to_date", DataType::Date32) } else { ("to_timestamp", micro()) };
            args.truncate(1);
            Ok(call(What::Read(template, kind), name, args))
        }
        // Read as by a cast.
        (What::Date, _) => Ok(try_cast(args.swap_remove(0), DataType::Date32)),
        (What::On | What::Back | What::Times, _) => moved::total(what, name, args),
        (what, _) => Ok(call(what.clone(), fixed(name), args)),
    }
}

/// Returns the static form of one of these functions' names.
fn fixed(name: &str) -> &'static str {
    let arithmetic = [arithmetic::DAYS, arithmetic::SPAN];
    let names = PARTS.iter().map(|(name, _)| *name).chain(["to_timestamp"]).chain(arithmetic);
    names.into_iter().find(|known| *known == name).unwrap_or("date")
}

fn call(what: What, name: &'static str, args: Vec<Expr>) -> Expr {
    make(what, name, &[]).call(args)
}

/// Builds the extraction of a part of a length of time.
///
/// # Errors
/// Returns a [`Refusal`] for a part that lengths of time do not have.
pub(super) fn of_span(part: &str, span: Expr) -> Result<Expr, Refusal> {
    let part = match part.to_lowercase().as_str() {
        "day" => SpanPart::Day,
        "hour" => SpanPart::Hour,
        "minute" => SpanPart::Minute,
        "second" => SpanPart::Second,
        "epoch" => SpanPart::Epoch,
        other => {
            return Err(refuse(format!("what lies between two times has no {other}: how long it is depends on which it is"))
                .fix(format!("Write date_diff('{other}', earlier, later)")));
        }
    };
    Ok(call(What::OfSpan(part), "date_part", vec![span]))
}

/// Returns the public bounds of a function's value, if they follow from its operation.
pub(super) fn bounds(what: &What) -> Option<(f64, f64)> {
    match what {
        What::Part("month") => Some((1.0, 12.0)),
        What::Part("quarter") => Some((1.0, 4.0)),
        What::Part("week") => Some((1.0, 53.0)),
        What::Part("day") => Some((1.0, 31.0)),
        What::Part("dayofyear") => Some((1.0, 366.0)),
        What::Part("hour") => Some((0.0, 23.0)),
        What::Part("minute" | "second") => Some((0.0, 60.0)),
        What::OfSpan(SpanPart::Hour) => Some((-23.0, 23.0)),
        What::OfSpan(SpanPart::Minute | SpanPart::Second) => Some((-59.0, 59.0)),
        _ => None,
    }
}

/// Returns a function's own operations, where `zones` of its arguments have a zone, and the bytes of its longest result text.
pub(super) fn cost(what: &What, zones: u64, mixed: bool) -> (u64, u64) {
    let clocks = 150 * zones + if mixed { 1000 } else { 0 };
    match what {
        What::Part(_) => (100, 0),
        What::Written(template) => (100 + 130 * template.pieces() + template.bytes() + clocks, template.bytes()),
        What::Read(template, _) => (120 + 200 * template.pieces(), 0),
        What::Date | What::Time => (120 + clocks, 0),
        What::Between => (300 + clocks, 0),
        What::Days | What::Span => (200 + clocks, 0),
        What::OfSpan(_) => (20, 0),
        // The new clock time has to be mapped back to an instant.
        What::On | What::Back => (250 + if zones > 0 { 1200 } else { 0 }, 0),
        What::Times => (40, 0),
        What::Text => (0, 0),
    }
}
