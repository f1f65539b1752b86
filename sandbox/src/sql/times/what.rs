//! Operations of date and time functions.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::DataFusionError;
use tidegate_protocol::Refusal;

use super::{super::refuse, template::Template};

/// Operation of a function.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::sql) enum What {
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
pub(in crate::sql) enum SpanPart {
    Day,
    Hour,
    Minute,
    Second,
    Epoch,
}

impl SpanPart {
    /// Returns the part's name.
    pub(in crate::sql) fn name(self) -> &'static str {
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
pub(super) const PARTS: [(&str, &[&str]); 9] = [
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

/// Returns the functions available to queries by name that are no parts, with their aliases.
pub(super) fn others() -> [(What, &'static str, &'static [&'static str]); 4] {
    [
        (What::Between, "date_diff", &["datediff"]),
        (What::Text, "to_char", &["strftime"]),
        (What::Date, "to_date", &[]),
        (What::Time, "to_timestamp", &[]),
    ]
}

/// Returns the type of times without a zone, in microseconds, as results have.
pub(super) fn micro() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

/// Returns a hint on how a function is written.
pub(super) fn usage(what: &What) -> &'static str {
    match what {
        What::Between => "Write date_diff('day', earlier, later)",
        What::Text => "Write to_char(day, 'YYYY-MM')",
        What::Date => "Write to_date(x, 'DD.MM.YYYY')",
        What::Time => "Write to_timestamp(x, 'YYYY-MM-DD HH24:MI')",
        _ => "docs/reference/sql.md lists the functions under \"Total functions\"",
    }
}

/// Refuses a call whose unit or format is no literal.
pub(super) fn needs_literal(name: &str) -> Refusal {
    let other = others().iter().find(|(_, known, _)| *known == name).map(|(what, ..)| usage(what));
    let part = PARTS.iter().find(|(known, _)| *known == name).map(|(known, _)| usage(&What::Part(known)));
    let fix = other.or(part).unwrap_or_default();
    refuse(format!("{name} needs a literal {}", if name == "date_diff" { "unit" } else { "format" })).fix(fix)
}

/// Wraps a refusal for the engine to pass on.
pub(super) fn external(refusal: Refusal) -> DataFusionError {
    DataFusionError::External(Box::new(refusal))
}
