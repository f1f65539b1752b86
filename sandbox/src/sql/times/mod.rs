//! Dates and times: functions for queries, and the meaning of `+` and `-` between dates and times.
//!
//! These are our own functions, so that no row can raise an error, and a time with a zone is what the clocks of its zone show.
//! The planner learns of the arithmetic before type coercion ([`arithmetic`]): its own uses nanoseconds, which end in 2262.

pub(super) use self::{
    arithmetic::Arithmetic,
    calls::{named, of},
    totals::{of_span, total},
    what::What,
};
use self::{between::Unit, what::SpanPart};

mod arithmetic;
mod between;
mod calendar;
mod calls;
mod function;
mod moved;
mod template;
mod totals;
mod what;

/// Returns whether a word is a unit of time.
pub(super) fn is_unit(word: &str) -> bool {
    Unit::of(word).is_ok()
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
