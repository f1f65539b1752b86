//! Engine's messages that are known, and what is said in their place.
//!
//! No other text of the engine leaves: it is of the engine's own plans and types.

use tidegate_protocol::Refusal;

use crate::sql::{place, refuse};

/// Advice where a number is wanted.
pub(super) const CONVERT: &str = "Convert the value first, as in CAST(x AS DOUBLE)";

const LISTS: (&str, &str) = ("lists of values, as in ARRAY[1, 2], are not supported", "Write x IN (1, 2)");
const TUPLES: (&str, &str) =
    ("a list of values in brackets is not compared as one", "Compare the columns one by one, as in a = 1 AND b = 2");
const PARTS: (&str, &str) = ("parts of values, as in x[1] and x.y, are not supported", "Name a column of the table");
const PATTERNS: (&str, &str) =
    ("RLIKE and REGEXP are not supported", "Write x ~ 'pattern', or x ~* 'pattern' for letters in either case");
const COLUMNS: (&str, &str) = ("a subquery that is compared has more than one column", "Select one column in it");
const PLACES: (&str, &str) = ("GROUP BY or ORDER BY has a place that SELECT does not have", "Write places from 1, or names");

/// Part of a message, with what is said and what to do.
const KNOWN: &[(&str, (&str, &str))] = &[
    (
        "cannot be nested",
        (
            "aggregates cannot be nested",
            "Aggregate each unit's rows in a subquery that groups by the unit, and its results outside",
        ),
    ),
    (
        "single SQL statement",
        ("there are several statements, and a job has one", "Write one SELECT, and send a job for each other"),
    ),
    ("not allowed in the WHERE", ("WHERE has a condition on an aggregate", "Write it in HAVING")),
    (
        "HAVING clause references",
        ("HAVING names what is neither grouped by nor aggregated", "Add it to GROUP BY, or aggregate it"),
    ),
    ("only return one column", COLUMNS),
    ("different number of columns", ("the parts of a UNION differ in their number of columns", "Select as many columns in each")),
    ("rder by column out of bounds", PLACES),
    ("Cannot find column with position", PLACES),
    ("Expected LIMIT", ("LIMIT takes a whole number", "Write LIMIT 10")),
    ("Expected OFFSET", ("OFFSET takes a whole number", "Write OFFSET 10")),
    ("FETCH clause", ("FETCH is not supported", "Write LIMIT 10")),
    ("is not defined!", ("OVER names a window that is not there", "Add WINDOW w AS (ORDER BY n), or write OVER (ORDER BY n)")),
    ("Invalid escape character", ("ESCAPE takes a single character", r"Write LIKE '10\%' ESCAPE '\'")),
    ("to grouping function", ("GROUPING(…) takes a column that the query groups by", "Name one of those in GROUP BY")),
    ("Empty tuple", ("an empty list () is not supported there", "Write GROUP BY GROUPING SETS ((city), ())")),
    ("HexStringLiteral", ("X'…' takes pairs of the digits 0 to 9 and A to F", "Write X'00FF'")),
    ("type interval", ("an INTERVAL is not read", "Write INTERVAL '30 days' or INTERVAL '1 hour 30 minutes'")),
    (
        "Unsupported SQL type",
        ("a cast names a type that is not there", "Use INT, BIGINT, DOUBLE, DECIMAL(10, 2), TEXT, BOOLEAN, DATE or TIMESTAMP"),
    ),
    (
        "0 < precision",
        ("a DECIMAL has from 1 to 76 digits, and no more of them after its point than in all", "Write DECIMAL(10, 2)"),
    ),
    ("array literal", LISTS),
    ("array_has", LISTS),
    ("type ARRAY", LISTS),
    ("in tuples", TUPLES),
    ("GetFieldAccess", PARTS),
    ("Cannot access field", PARTS),
    ("compound identifier", PARTS),
    (
        "date_trunc granularity",
        ("date_trunc has no such part", "Write date_trunc('month', x), or year, quarter, week, day or hour"),
    ),
    ("binary operator", ("an operator is not supported", "Use AND, OR, =, <>, <, >, +, -, *, /, %, ||, ~ and LIKE")),
    ("variable [", ("variables, as @x, are not supported", "Write the value in its place")),
    (": RLike", PATTERNS),
    (
        ": Collate",
        (
            "COLLATE is not supported: texts compare by their characters",
            "Leave it out; lower(x) makes letters of either case equal",
        ),
    ),
    (": Convert", ("CONVERT is not supported", "Write CAST(x AS DOUBLE)")),
    ("'-' only supports", ("a minus is of a number", CONVERT)),
];

/// Returns the text between the first two quotes of a message.
pub(super) fn quoted(message: &str) -> &str {
    message.split('\'').nth(1).unwrap_or_default()
}

/// Returns the part of `text` between two words.
pub(super) fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(within, _)| within)
}

/// Says a message in own words; `None` if it is not known.
pub(super) fn known(text: &str) -> Option<Refusal> {
    let plain = ["(s)", "(ms)", "(µs)", "(ns)"].iter().fold(text.replace("Duration", "INTERVAL"), |t, unit| t.replace(unit, ""));
    typed(&plain).or_else(|| {
        let (_, (said, fix)) = KNOWN.iter().find(|(part, _)| text.contains(part))?;
        Some(refuse(said).fix(*fix))
    })
}

/// Says a message about types.
fn typed(text: &str) -> Option<Refusal> {
    if let Some(sum) = between(text, "arithmetic expression ", " to valid types") {
        let fix = match sum {
            sum if sum.contains("BOOLEAN") => "Write CASE WHEN x THEN 1 ELSE 0 END for a BOOLEAN",
            sum if sum.contains("bytes") => "Compare bytes, or name a column of numbers",
            sum if of_time(sum) => "Take numbers of times: date_part('year', day), date_diff('day', a, b)",
            _ => CONVERT,
        };
        return Some(refuse(format!("{} is not computed", types(sum)?)).fix(fix));
    }
    if text.starts_with("Cannot infer common") {
        let (_, both) = text.split_once(" operation ")?;
        let both = types(both)?;
        return Some(if both.contains('~') {
            refuse(format!("{both} is no match of a text and a pattern")).fix("Write x ~ 'pattern'; CAST(x AS TEXT) makes a text")
        } else if text.contains("bitwise") {
            refuse(format!("{both} is not computed: operators on bits take whole numbers")).fix("Use arithmetic and %")
        } else if both.contains(" AND ") || both.contains(" OR ") {
            refuse(format!("{both} does not join two conditions")).fix("Write a condition on both sides, as in x > 0 AND y > 0")
        } else if both.contains("TIME ") || both.ends_with("TIME") {
            refuse(format!("{both} is not compared"))
                .fix("Write a time of day in quotes alone, as in x > '08:00:00', or compare date_part('hour', x)")
        } else {
            refuse(format!("{both} is not compared")).fix(to_other(both))
        });
    }
    if text.contains("non-boolean predicate") {
        let kind = text.rsplit_once(" returning ").and_then(|(_, kind)| types(kind)).unwrap_or("no BOOLEAN");
        return Some(
            refuse(format!("WHERE, HAVING and ON take a condition, and are given a value of type {kind}"))
                .fix("Compare it, as in x > 0"),
        );
    }
    if let Some((_, kind)) = text.split_once("requires a boolean expression, got ") {
        let kind = types(kind).unwrap_or("no BOOLEAN");
        return Some(
            refuse(format!("NOT takes a condition, and is given a value of type {kind}")).fix("Compare it, as in NOT x > 0"),
        );
    }
    if let Some((_, kinds)) = text.split_once("CAST from ") {
        let (from, to) = kinds.split_once(" to ")?;
        return Some(refuse(format!("a cast from {} to {} is not supported", types(from)?, types(to)?)).fix(to_other(kinds)));
    }
    if let Some(part) = between(text, "DATE part '", "' not supported") {
        let part: String = part.chars().filter(char::is_ascii_alphanumeric).take(20).collect();
        return Some(
            refuse(format!("dates and times have no part {part}"))
                .fix("Use year, quarter, month, week, day, dow, doy, hour, minute, second or epoch"),
        );
    }
    if text.contains("user-defined coercion failed") {
        let function = quoted(text);
        return Some(place::of_call(
            refuse(format!("{function} takes values of one type")).fix("Give it such: CAST(x AS TEXT) makes a text of any"),
            function,
        ));
    }
    None
}

/// Returns advice for a value of a wrong type: a cast to DOUBLE only beside a number.
fn to_other(types: &str) -> &'static str {
    let number = |word: &str| matches!(word, "BIGINT" | "INT" | "SMALLINT" | "TINYINT" | "DOUBLE" | "REAL" | "DECIMAL");
    if types.contains("text") && types.split(|c: char| !c.is_alphanumeric()).any(number) {
        CONVERT
    } else {
        "Write both of one type; CAST(x AS TEXT) makes a text of any"
    }
}

fn of_time(types: &str) -> bool {
    ["DATE", "TIME", "INTERVAL"].iter().any(|kind| types.contains(kind))
}

/// Returns `text` if it has only names of SQL's types, operators and numbers.
pub(super) fn types(text: &str) -> Option<&str> {
    let plain = |word: &str| matches!(word, "text" | "bytes" | "number") || !word.chars().any(char::is_lowercase);
    text.split(|c: char| !c.is_alphanumeric()).all(plain).then_some(text)
}
