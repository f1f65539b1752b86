//! Positions in a query's text: refusals name line and column after their field, as in `program.query:2:14`.
//!
//! Whoever has the text can show them.

use datafusion::{
    common::{Column, DataFusionError, Span},
    logical_expr::Expr,
    sql::sqlparser::{
        dialect::GenericDialect,
        tokenizer::{Token, TokenWithSpan, Tokenizer},
    },
};
use tidegate_protocol::Refusal;

/// Marker before a function's name in a field, until [`found`] looks the name up in the text. No field has this character.
const CALL: char = '\u{1}';
/// Like [`CALL`], before any other name.
const NAME: char = '\u{2}';
const FIELD: &str = "program.query";

/// Sets the line and column of `refusal`.
pub(super) fn at(refusal: Refusal, line: u64, column: u64) -> Refusal {
    match refusal.field.as_deref() {
        Some(FIELD) if line > 0 && column > 0 => refusal.at(format!("{FIELD}:{line}:{column}")),
        _ => refusal,
    }
}

/// Sets the position of `refusal` to the start of a span.
pub(super) fn at_span(refusal: Refusal, span: Option<Span>) -> Refusal {
    match span {
        Some(span) => at(refusal, span.start.line, span.start.column),
        None => refusal,
    }
}

/// Returns the position of an error as given by the engine.
pub(super) fn of_error(e: &DataFusionError) -> Option<Span> {
    let first = match e {
        DataFusionError::Collection(all) => all.first().unwrap_or(e),
        e => e,
    };
    first.diagnostic().and_then(|diagnostic| diagnostic.span)
}

/// Sets the position of `refusal` to the first column named in an expression.
pub(super) fn of_expr(refusal: Refusal, expr: &Expr) -> Refusal {
    let mut columns: Vec<&Column> = expr.column_refs().into_iter().collect();
    columns.sort_by_key(|column| column.spans().first());
    at_span(refusal, columns.iter().find_map(|column| column.spans().first()))
}

/// Marks `refusal` for the call of a function, which [`found`] locates.
pub(super) fn of_call(refusal: Refusal, function: &str) -> Refusal {
    refusal.at(format!("{FIELD}{CALL}{function}"))
}

/// Marks `refusal` for a name, which [`found`] locates.
pub(super) fn of_name(refusal: Refusal, name: &str) -> Refusal {
    refusal.at(format!("{FIELD}{NAME}{name}"))
}

/// Resolves the marker of `refusal` to a position in the query's text.
pub(super) fn found(refusal: Refusal, text: &str) -> Refusal {
    let Some(field) = refusal.field.clone().filter(|field| field.contains([CALL, NAME])) else { return refusal };
    let (calls, name) = (field.contains(CALL), field.split([CALL, NAME]).nth(1).unwrap_or_default());
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location().unwrap_or_default();
    let tokens: Vec<TokenWithSpan> = tokens.into_iter().filter(|t| !matches!(t.token, Token::Whitespace(_))).collect();
    let is_it = |(i, token): &(usize, &TokenWithSpan)| {
        let named = matches!(&token.token, Token::Word(word) if word.value.eq_ignore_ascii_case(name));
        named && (!calls || tokens.get(i + 1).is_some_and(|next| next.token == Token::LParen))
    };
    let start = tokens.iter().enumerate().find(is_it).map(|(_, token)| token.span.start);
    let refusal = refusal.at(FIELD);
    match start {
        Some(start) => at(refusal, start.line, start.column),
        None => refusal,
    }
}

/// Splits a parser's message into the text and the position at its end.
pub(super) fn of_message(message: &str) -> (&str, Option<(u64, u64)>) {
    let Some((words, place)) = message.rsplit_once(" at Line: ") else { return (message, None) };
    let place = place.split_once(", Column: ").and_then(|(line, column)| Some((line.parse().ok()?, column.parse().ok()?)));
    (words, place)
}
