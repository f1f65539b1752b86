//! Calls of date and time functions made total, with their literals checked.

use arrow::{array::ArrayRef, datatypes::DataType};
use datafusion::{
    common::ScalarValue,
    logical_expr::{Expr, lit, try_cast},
};
use tidegate_protocol::Refusal;

use super::{
    super::{
        literal::{constant, text_literal},
        refuse,
    },
    arithmetic::{BACK, DAYS, ON, SPAN, TIMES},
    between::Unit,
    calls::call,
    moved::moved,
    template::Template,
    what::{PARTS, SpanPart, What, micro, needs_literal},
};

/// Builds a call of a date or time function from total arguments, and checks its literals.
///
/// # Errors
/// Returns a [`Refusal`] for a missing or invalid literal.
pub(in crate::sql) fn total(what: &What, name: &str, mut args: Vec<Expr>) -> Result<Expr, Refusal> {
    let literal = |arg: Option<&Expr>| {
        let text = arg.and_then(text_literal).flatten();
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
        (What::On | What::Back | What::Times, _) => moved_total(what, name, args),
        (what, _) => Ok(call(what.clone(), fixed(name), args)),
    }
}

/// Returns the static form of one of these functions' names.
fn fixed(name: &str) -> &'static str {
    let of_operators = [DAYS, SPAN];
    let names = PARTS.iter().map(|(name, _)| *name).chain(["to_timestamp"]).chain(of_operators);
    names.into_iter().find(|known| *known == name).unwrap_or("date")
}

/// Builds the extraction of a part of a length of time.
///
/// # Errors
/// Returns a [`Refusal`] for a part that lengths of time do not have.
pub(in crate::sql) fn of_span(part: &str, span: Expr) -> Result<Expr, Refusal> {
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

/// Builds a call of [`moved()`], evaluated once if all arguments are constant, or of [`times`](super::moved::times).
fn moved_total(what: &What, name: &str, args: Vec<Expr>) -> Result<Expr, Refusal> {
    let name = [ON, BACK, TIMES].into_iter().find(|known| *known == name).unwrap_or(ON);
    let constants: Option<Vec<ScalarValue>> = args.iter().map(constant).collect();
    let Some(values) = constants.filter(|_| *what != What::Times) else { return Ok(call(what.clone(), name, args)) };
    let arrays: Vec<ArrayRef> = values.iter().filter_map(|value| value.to_array().ok()).collect();
    let made = match arrays.as_slice() {
        [time, by] => moved(time, by, if *what == What::On { 1 } else { -1 }).ok(),
        _ => None,
    };
    let made = made.filter(|made| made.null_count() == 0 || values.iter().any(ScalarValue::is_null));
    let made = made.and_then(|made| ScalarValue::try_from_array(&made, 0).ok());
    made.map(lit).ok_or_else(|| {
        refuse("the date is beyond the years 1 to 9999")
            .fix("Write the interval beside a date that stays within them, as in DATE '2024-03-31' - INTERVAL '30 days'")
    })
}
