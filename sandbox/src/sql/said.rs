//! Translation of the query engine's planning errors into refusals, with the problem and a fix.
//!
//! At this point the engine knows only the query, the schema, and one row of NULLs and defaults: nothing in its messages
//! follows from rows.

use std::collections::BTreeSet;

use datafusion::{
    common::{Column, SchemaError, utils::datafusion_strsim::levenshtein},
    error::DataFusionError,
    sql::sqlparser::parser::ParserError,
};
use tidegate_protocol::Refusal;

use self::known::{CONVERT, between, known, quoted, types};
use super::{
    functions,
    kinds::{in_words, of_time},
    place, refuse,
    titles::readable,
};

mod known;

/// Maximum number of characters passed on from the engine's own message.
const CHARS: usize = 300;
/// Maximum number of columns listed.
const LISTED: usize = 40;
const FUNCTIONS: &str = "docs/reference/sql.md lists the functions under \"Total functions\"";

/// Names that may be listed to the author of the query.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shown<'a> {
    /// Tables available by name.
    pub(super) tables: &'a [&'a str],
    /// Whether columns may be named: whoever may see the dataset's listing sees them there.
    pub(super) columns: bool,
}

/// Translates an engine error into a refusal.
pub(crate) fn engine(e: &DataFusionError) -> Refusal {
    planning(e, Shown::default())
}

/// Like [`engine`], but lists the available names in place of an unknown name.
pub(super) fn planning(e: &DataFusionError, shown: Shown<'_>) -> Refusal {
    place::at_span(said(e, shown), place::of_error(e))
}

fn said(e: &DataFusionError, shown: Shown<'_>) -> Refusal {
    match e.find_root() {
        DataFusionError::Collection(all) if !all.is_empty() => planning(&all[0], shown),
        DataFusionError::SchemaError(e, _) => schema(e, shown),
        DataFusionError::External(e) => e.downcast_ref().cloned().unwrap_or_else(|| words(&e.to_string(), shown)),
        DataFusionError::SQL(e, _) => {
            let (ParserError::TokenizerError(message) | ParserError::ParserError(message)) = &**e else {
                return refuse("brackets and operators nest too deep").fix("Split the query");
            };
            let (message, place) = place::of_message(message);
            let operator =
                message.starts_with("No infix parser").then(|| between(message, "value: \"", "\"").unwrap_or("an operator"));
            let said = match operator {
                Some(word) => format!("{word} is not expected there"),
                // The parser's own words for a token.
                None if message.contains(" { ") => "something is not expected there".to_owned(),
                None => first(message),
            };
            let refusal = refuse(format!("is not read as SQL: {said}"));
            let (line, column) = place.unwrap_or_default();
            // No keyword or operator starts like this, so a name or a text was meant.
            let odd = |c: char| !c.is_ascii() && !c.is_alphanumeric();
            let fix = if message.rsplit_once("found: ").is_some_and(|(_, found)| found.starts_with(odd)) {
                "Write names that have other characters than letters, digits and _ in double quotes (\"), and texts in single ones (')"
            } else {
                "Write one SELECT, as docs/reference/sql.md describes it"
            };
            let fix = if operator == Some("DIV") { "Write trunc(a / b)" } else { fix };
            place::at(refusal.fix(fix), line, column)
        }
        root => words(&root.message(), shown),
    }
}

/// Like [`engine`], for an error given as text.
pub(crate) fn engine_words(text: &str) -> Refusal {
    let kinds = [
        "engine: ",
        "data: ",
        "Error during planning: ",
        "This feature is not implemented: ",
        "Arrow error: ",
        "Execution error: ",
    ];
    words(kinds.iter().fold(text, |text, kind| text.strip_prefix(kind).unwrap_or(text)), Shown::default())
}

fn schema(e: &SchemaError, shown: Shown<'_>) -> Refusal {
    match e {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let refusal = refuse(format!("there is no column {} that the policy lets queries read", name(field)));
            let refusal = place::of_name(refusal, &field.name);
            let Some(columns) = listed(valid_fields).filter(|_| shown.columns) else {
                return refusal.fix("See the dataset's columns: `tidegate list`");
            };
            refusal.fix(match nearest(field, valid_fields) {
                Some(column) if column.name.eq_ignore_ascii_case(&field.name) => {
                    let name = name(column);
                    format!("Write {name}: names have upper-case letters in double quotes alone. There are: {columns}")
                }
                // The engine folds the case of A to Z only.
                Some(column) if column.name.to_lowercase() == field.name.to_lowercase() => {
                    let name = name(column);
                    format!(
                        "Write {name}: in names without double quotes A to Z alone are read in either case. There are: {columns}"
                    )
                }
                Some(column) => format!("Perhaps it is {}. There are: {columns}", name(column)),
                None => format!("There are: {columns}"),
            })
        }
        SchemaError::AmbiguousReference { field } => {
            let refusal = refuse(format!("column {} is in several tables", field.name));
            place::of_name(refusal.fix(format!("Name the table too, as in a.{}", field.name)), &field.name)
        }
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            refuse(format!("two columns are called {}", readable(name)))
                .fix("Give one of them another name with AS; a key of GROUP BY stands there once")
        }
    }
}

/// Formats a column for SQL, in double quotes where needed.
fn name(column: &Column) -> String {
    column.quoted_flat_name().replace("dataset.", "")
}

/// Finds the column whose name is closest to an unknown name; `None` if none is close.
fn nearest<'c>(field: &Column, columns: &'c [Column]) -> Option<&'c Column> {
    let asked = field.name.to_lowercase();
    let far = |column: &&Column| levenshtein(&column.name.to_lowercase(), &asked);
    columns.iter().min_by_key(far).filter(|column| far(column) <= asked.chars().count().min(9) / 3)
}

/// Lists the names of columns, without duplicates and names that the engine made of literals.
fn listed(columns: &[Column]) -> Option<String> {
    let made = |name: &String| ["Float64(", "Int64(", "Utf8("].iter().any(|literal| name.contains(literal));
    let names: BTreeSet<_> = columns.iter().map(name).filter(|name| !made(name)).collect();
    let more = if names.len() > LISTED { ", …" } else { "" };
    let names: Vec<_> = names.into_iter().take(LISTED).collect();
    (!names.is_empty()).then(|| format!("{}{more}", names.join(", ")))
}

/// Returns the first sentence or two of the engine's message, without the candidates and advice that follow.
fn first(message: &str) -> String {
    let ends =
        ["\n", ". Did you mean", "Valid fields are", "No function matches", "This issue was likely", ". Consider aliasing"];
    let short = ends.iter().fold(message, |short, end| short.split(end).next().unwrap_or_default());
    let kinds =
        ["Error during planning: ", "Schema error: ", "type_coercion", "caused by", "DataFusion error: ", "Arrow error: "];
    let short = kinds.iter().fold(short.replace("dataset.", ""), |short, kind| short.replace(kind, ""));
    let short = in_words(&short);
    short.trim().trim_end_matches(['.', ',', ':']).chars().take(CHARS).collect()
}

/// Returns whether types, in SQL's words, begin with a date or time type.
fn is_time(kinds: &str) -> bool {
    kinds.starts_with("DATE") || kinds.starts_with("TIMESTAMP")
}

/// Rewrites the engine's message as a refusal.
fn words(message: &str, shown: Shown<'_>) -> Refusal {
    let text = first(message);
    let casts = |kind: &str| ["CAST", "TRY_CAST"].iter().any(|cast| text.contains(&format!("Unsupported {cast} from {kind}")));
    if text.starts_with("table '") && text.ends_with("not found") {
        let table = quoted(&text);
        let table = table.strip_prefix("datafusion.").unwrap_or(table);
        let table = table.strip_prefix("public.").unwrap_or(table);
        let refusal = place::of_name(refuse(format!("there is no table {table}")), table.rsplit('.').next().unwrap_or(table));
        return refusal.fix(format!("There are: {}", shown.tables.join(", ")));
    }
    if text.starts_with("Invalid function '") {
        let function = quoted(&text);
        let like = functions::like(function).map_or_else(String::new, |like| format!("Perhaps it is {like}. "));
        return place::of_call(refuse(format!("there is no function {function}")).fix(format!("{like}{FUNCTIONS}")), function);
    }
    if let Some((call, given)) = text.split_once("but received ").filter(|(call, _)| call.contains("unction '")) {
        return arguments(quoted(call), given.split([' ', '.', ',', '(']).next().unwrap_or_default());
    }
    if let Some(given) = between(&text, "coercion from ", " to the signature") {
        let arguments =
            "Give it the arguments that it takes; docs/reference/sql.md lists the functions under \"Total functions\"";
        let fix = if is_time(given) { of_time("x", "0.5") } else { arguments.to_owned() };
        let given = types(given).unwrap_or("values of these types");
        return place::of_call(refuse(format!("{} does not take ({given})", quoted(&text))).fix(fix), quoted(&text));
    }
    if text.contains("temporal operation") || ["DATE", "TIMESTAMP", "Duration", "INTERVAL"].into_iter().any(casts) {
        return refuse("arithmetic over dates and times that is no difference and no interval is not supported")
            .fix("Take numbers of them: date_part('year', day), date_diff('day', a, b), date_part('epoch', a - b)");
    }
    if let Some(column) = between(&text, "column \"", "\" must appear in the GROUP BY") {
        let refusal = refuse(format!("column {column} is neither grouped by nor aggregated"));
        let bare = column.rsplit('.').next().unwrap_or(column);
        return place::of_name(refusal.fix("Add it to GROUP BY, or aggregate it"), bare);
    }
    if text.contains("require unique expression names") {
        return refuse("two columns of the result have the same name").fix("Give one of them another name with AS");
    }
    let other = || refuse("this form of SQL is not supported").fix("Compare it with docs/reference/sql.md");
    let refusal = known(&text).unwrap_or_else(other);
    match located(message) {
        Some((line, column)) => place::at(refusal, line, column),
        None => refusal,
    }
}

/// Refuses a call that is given a value of a wrong type, or a wrong number of values.
fn arguments(function: &str, given: &str) -> Refusal {
    let takes = match function {
        "round" | "trunc" => Some(("a number, and a literal number of decimal places", "round(x, 2)")),
        "median" => Some(("one number", "MEDIAN(x), or APPROX_PERCENTILE_CONT(x, 0.9) for another percentile")),
        name if name.starts_with("approx_percentile") => {
            Some(("a number, and a literal percentile from 0 to 1", "APPROX_PERCENTILE_CONT(x, 0.5)"))
        }
        _ => None,
    };
    let counted = given.parse::<usize>().ok().map(|n| format!("{n} argument{}", if n == 1 { "" } else { "s" }));
    let (said, fix) = match (takes, counted) {
        (_, None) if is_time(given) => {
            let numbers = ["approx_", "avg", "corr", "covar", "median", "std", "sum", "var"]
                .iter()
                .any(|start| function.starts_with(start));
            let part = "Write to_char(x, 'YYYY-MM-DD') for a text of it, or date_part('year', x) for a number";
            let fix = if numbers { of_time("x", "0.5") } else { part.to_owned() };
            (format!("{function} does not take values of type {given}"), fix)
        }
        (_, None) if given == "TIME" => {
            (format!("{function} does not take values of type TIME"), "Take a number of it, as date_part('hour', x)".to_owned())
        }
        (Some((takes, like)), counted) => {
            // A number is not at fault: another argument is, and the engine names the first.
            let given =
                counted.or_else(|| matches!(given, "BOOLEAN" | "bytes" | "text").then(|| format!("a value of type {given}")));
            let given = given.map(|given| format!(", and is given {given}")).unwrap_or_default();
            (format!("{function} takes {takes}{given}"), format!("Write {like}"))
        }
        (None, Some(given)) => {
            (format!("{function} does not take {given}"), format!("Give {function} the arguments that it takes: {FUNCTIONS}"))
        }
        (None, None) if given == "bytes" => {
            (format!("{function} does not take bytes"), "Compare bytes, or name a column of texts or numbers".to_owned())
        }
        (None, None) if given == "text" => (format!("{function} does not take values of type text"), CONVERT.to_owned()),
        (None, None) => {
            let fix = "Give it a value of another type; CAST(x AS TEXT) makes a text of any".to_owned();
            (format!("{function} does not take values of type {given}"), fix)
        }
    };
    place::of_call(refuse(said).fix(fix), function)
}

/// Returns the line and column in the engine's description of a piece of SQL.
fn located(message: &str) -> Option<(u64, u64)> {
    let (line, column) = between(message, "Location(", ")")?.split_once(',')?;
    Some((line.trim().parse().ok()?, column.trim().parse().ok()?))
}

#[cfg(test)]
mod tests;
