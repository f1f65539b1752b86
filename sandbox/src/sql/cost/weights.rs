//! Weights: operations of functions, casts and columns, each the worst measured over all kinds of values, and a little more.

use datafusion::{
    arrow::datatypes::DataType,
    common::DFSchema,
    logical_expr::{Expr, ExprSchemable as _, expr::ScalarFunction},
};
use tidegate_protocol::{Refusal, limits};

use super::case::Term;
use crate::sql::{
    clamp::CLAMP,
    exact::{CLOCK, INSTANT, ORDER, UNZONED, is_cut},
    kinds, matching,
    own::{CALENDAR, LENGTH, NEAREST, REMAINDER, ROOT, SETTLED, SHORT, START},
    public::Lookup,
    refuse,
    said::engine,
};

/// Operations for passing on a row: finding its unit and checking its order.
pub(super) const ROW: u64 = 40;
/// Operations for reading, copying or combining a number of a row.
pub(super) const COLUMN: u64 = 10;
/// Operations for telling a value from the others of its unit: encoded, and sorted twice among the held values.
///
/// Hashing the bytes of a text comes in addition.
pub(super) const DISTINCT: u64 = 250;
/// Operations for a value among the values from which its unit's percentile is chosen.
pub(super) const PERCENTILE: u64 = 40;
/// Operations of an aggregate for a unit's held values once all are present.
pub(super) const HELD: u64 = 100;

/// Returns the type of an expression.
pub(super) fn kind(expr: &Expr, schema: &DFSchema) -> Result<DataType, Refusal> {
    expr.get_type(schema).map_err(|e| engine(&e))
}

/// Returns whether values of a type are texts or bytes, of any length.
pub(super) fn is_text(kind: &DataType) -> bool {
    kind.is_string() || kind.is_binary()
}

/// Returns the operations for reading a value from a file, with a text of at most so many bytes.
pub(super) fn read(kind: &DataType, text: Option<u64>) -> u64 {
    match kind {
        kind if is_text(kind) => 30 + text.unwrap_or(4 * limits::TEXT_CHARS as u64) / 2,
        DataType::Dictionary(_, value) => read(value, text),
        _ => COLUMN,
    }
}

/// Returns the operations of a cast, and the bytes of its longest result text.
pub(super) fn cast(from: &DataType, to: &DataType, bytes: u64) -> Result<(u64, u64), Refusal> {
    if from.is_nested() || to.is_nested() {
        return Err(refuse(format!("a cast from {} to {} is not supported", kinds::kind(from), kinds::kind(to))));
    }
    if is_text(from) && matches!(to, DataType::Interval(_) | DataType::Duration(_)) {
        // What reading one takes is not known: the reader goes over a text again and again, and writes it into an error.
        return Err(refuse("a text of a row is not read as an INTERVAL")
            .fix("Write the interval: x + INTERVAL '36 hours', or x + INTERVAL '1 hour' * n for a number of each row"));
    }
    Ok(match (is_text(from), is_text(to)) {
        (true, true) => (10 + bytes, bytes),
        (true, false) if to.is_decimal() => (100 + 80 * bytes, 0),
        (true, false) if to.is_temporal() => (900 + bytes, 0),
        (true, false) => (100 + 4 * bytes, 0),
        (false, true) if from.is_decimal() => (300, 256),
        (false, true) if from.is_temporal() => (400, 64),
        (false, true) => (100, 32),
        _ if from.is_temporal() || to.is_temporal() => (120, 0),
        _ if is_wide(from) || is_wide(to) => (2000, 0),
        _ if from.is_decimal() || to.is_decimal() => (40, 0),
        _ => (10, 0),
    })
}

/// Returns whether a type has decimals with more digits than a machine's integers.
pub(super) fn is_wide(kind: &DataType) -> bool {
    matches!(kind, DataType::Decimal256(..))
}

/// Returns a function's own operations, and the bytes of its longest result text.
pub(super) fn function(call: &ScalarFunction, terms: &[Term<'_>], column: u64) -> Result<(u64, u64), Refusal> {
    let bytes = |i: usize| terms.get(i).map_or(0, |term| term.bytes);
    let all = terms.iter().map(|term| term.bytes).fold(0, u64::saturating_add);
    let (text, count) = (bytes(0), terms.len() as u64);
    // Search for one text in another.
    let search = || 40 + 6 * all + text.saturating_mul(bytes(1)) / 16;
    if let Some(pattern) = matching::pattern(&call.func) {
        return Ok((60u64.saturating_add(pattern.per_byte.saturating_mul(text)), 0));
    }
    if call.func.inner().downcast_ref::<Lookup>().is_some() {
        return Ok((200 + 2 * all, limits::TEXT_CHARS as u64));
    }
    let number = |work: u64| Ok((work, 0));
    match call.name() {
        "abs" | "ceil" | "degrees" | "floor" | "isnan" | "nanvl" | "pi" | "radians" | "round" | "signum" | "trunc" => number(6),
        SETTLED | NEAREST => number(6),
        ORDER => number(120),
        name if is_cut(name) => number(100),
        ROOT | LENGTH | START => number(12),
        // Quotients below the least normal number are the slowest.
        REMAINDER => number(40),
        CLAMP => number(20),
        "greatest" | "least" => number(12 * count),
        "acos" | "asin" | "atan" | "atan2" | "cbrt" | "cosh" | "exp" | "ln" | "log10" | "log2" | "sinh" => number(40),
        "cos" | "cot" | "power" | "sin" | "tan" => number(150),
        "date_part" => number(100),
        "date_trunc" => number(600),
        CLOCK => number(150),
        INSTANT => number(1000),
        CALENDAR => Ok((12, text)),
        // No more of a text is read than a time has.
        UNZONED => Ok((80 + text / 4, text)),
        SHORT => {
            let most = 4 * limits::TEXT_CHARS as u64;
            Ok((6 + if text > limits::TEXT_CHARS as u64 { text / 2 } else { 0 }, text.min(most)))
        }
        "ascii" | "octet_length" => number(30),
        "character_length" => number(30 + text / 4),
        "contains" | "strpos" => number(search()),
        "starts_with" | "ends_with" => number(40 + bytes(1)),
        "btrim" | "ltrim" | "rtrim" => {
            let set = if count > 1 { 3 + bytes(1) } else { 2 };
            Ok((40u64.saturating_add(text.saturating_mul(set)), text))
        }
        "lower" | "upper" => Ok((30 + 16 * text, 3 * text)),
        "initcap" => Ok((40 + 40 * text, 3 * text)),
        "reverse" => Ok((30 + 4 * text, text)),
        "left" | "right" => Ok((30 + 2 * text, text.min(whole(&call.args[1], text)))),
        "substr" => Ok((30 + 2 * text, call.args.get(2).map_or(text, |n| text.min(whole(n, text))))),
        "split_part" => Ok((60 + search(), text)),
        "concat" => Ok((30 * count + all, all)),
        "concat_ws" => Ok((40 * count + 2 * all, all.saturating_add(bytes(0).saturating_mul(count)))),
        "replace" => Ok((60 + 20 * text, 4 * text)),
        "nullif" => Ok((column + text / 4, text)),
        other => Err(refuse(format!("function {other} has no known cost"))),
    }
}

/// Returns the bytes of so many characters if the number is a literal, otherwise `bytes`.
fn whole(count: &Expr, bytes: u64) -> u64 {
    let literal = crate::sql::literal::bound(std::slice::from_ref(count), 0);
    literal.filter(|n| *n >= 0.0 && *n < 1e9).map_or(bytes, |n| 4 * n as u64)
}
