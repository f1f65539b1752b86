//! Weights: operations of functions, casts and columns, each the worst that was measured over all kinds of values, and a little more.

use datafusion::{
    arrow::datatypes::DataType,
    common::DFSchema,
    logical_expr::{Expr, ExprSchemable as _, expr::ScalarFunction},
};
use tidegate_protocol::{Refusal, limits};

use super::term::Term;
use crate::sql::{
    clamp::CLAMP,
    exact::{CLOCK, INSTANT, ORDER, UNZONED, is_cut},
    kinds, matching,
    own::{CALENDAR, LENGTH, NEAREST, REMAINDER, ROOT, SETTLED, SHORT, START},
    public::Lookup,
    refuse,
    said::engine,
};

/// A row on its way: its unit is found, its order looked at.
pub(super) const ROW: u64 = 40;
/// A number of a row that is read, copied or put together.
pub(super) const COLUMN: u64 = 10;
/// A value that is told from the others of its unit: encoded, and sorted twice among as many as are held. The bytes of a text are hashed beside that.
pub(super) const DISTINCT: u64 = 250;
/// A value among those that a percentile of its unit is chosen from.
pub(super) const PERCENTILE: u64 = 40;
/// What an aggregate does of a unit's values once they are there.
pub(super) const HELD: u64 = 100;

/// The type of an expression.
pub(super) fn kind(expr: &Expr, schema: &DFSchema) -> Result<DataType, Refusal> {
    expr.get_type(schema).map_err(|e| engine(&e))
}

/// Whether values of a type are texts or bytes, of any length.
pub(super) fn is_text(kind: &DataType) -> bool {
    kind.is_string() || kind.is_binary()
}

/// Operations for a value to be read from a file, whose text has so many bytes at most.
pub(super) fn read(kind: &DataType, text: Option<u64>) -> u64 {
    match kind {
        kind if is_text(kind) => 30 + text.unwrap_or(4 * limits::TEXT_CHARS as u64) / 2,
        DataType::Dictionary(_, value) => read(value, text),
        _ => COLUMN,
    }
}

/// Operations of a cast, and bytes of the longest text that it may give.
pub(super) fn cast(from: &DataType, to: &DataType, bytes: u64) -> Result<(u64, u64), Refusal> {
    if from.is_nested() || to.is_nested() {
        return Err(refuse(format!("a cast from {} to {} is not supported", kinds::kind(from), kinds::kind(to))));
    }
    Ok(match (is_text(from), is_text(to)) {
        (true, true) => (10 + bytes, bytes),
        (true, false) if to.is_decimal() => (100 + 80 * bytes, 0),
        // Each of its pairs is read before it is looked at, and all of it is in the error of what is none.
        (true, false) if matches!(to, DataType::Interval(_)) => (900 + 4 * bytes, 0),
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

/// Decimals of more digits than a machine's integers have.
pub(super) fn is_wide(kind: &DataType) -> bool {
    matches!(kind, DataType::Decimal256(..))
}

/// Operations of a function's own, and bytes of the longest text that it may give.
pub(super) fn function(call: &ScalarFunction, terms: &[Term<'_>], column: u64) -> Result<(u64, u64), Refusal> {
    let bytes = |i: usize| terms.get(i).map_or(0, |term| term.bytes);
    let all = terms.iter().map(|term| term.bytes).fold(0, u64::saturating_add);
    let (text, count) = (bytes(0), terms.len() as u64);
    // Of one text in another.
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
        // Quotients below the least normal number take a processor longest.
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
        // No more of a text is looked at than a time has.
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
        "lower" | "upper" => Ok((30 + 14 * text, 3 * text)),
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

/// Bytes of so many characters, where the number is a literal; `bytes` where it is none.
fn whole(count: &Expr, bytes: u64) -> u64 {
    let literal = crate::sql::functions::bound(std::slice::from_ref(count), 0);
    literal.filter(|n| *n >= 0.0 && *n < 1e9).map_or(bytes, |n| 4 * n as u64)
}
