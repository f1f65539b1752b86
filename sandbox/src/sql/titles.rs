//! Names of result columns in SQL's words: `count(*)`, `sum(clamp(x, 0, 5))`.

/// Returns a column's derived name with its literals as SQL writes them; a name without such stays.
pub(super) fn readable(name: &str) -> String {
    // COUNT(*) is planned as COUNT(1).
    let name = name.replace("count(Int64(1))", "count(*)");
    let (mut said, mut rest, mut literals) = (String::with_capacity(name.len()), name.as_str(), 0);
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, after) = rest.split_at(if end == 0 { first.len_utf8() } else { end });
        let inner = after.strip_prefix('(').filter(|_| end > 0);
        if let Some((value, after)) = inner.and_then(|inner| literal(word, inner)) {
            said += &value;
            rest = after;
            literals += 1;
            continue;
        }
        said += word;
        rest = after;
        if word == "," && rest.starts_with(|c: char| c != ' ') {
            said.push(' ');
        }
    }
    if literals == 0 { name } else { said }
}

/// Reads the engine's form of a literal after its type and bracket; returns it as SQL has it, and what follows.
fn literal<'a>(kind: &str, inner: &'a str) -> Option<(String, &'a str)> {
    let quoted = || inner.strip_prefix('"').and_then(|inner| inner.split_once("\")"));
    match kind {
        "Boolean" | "Float32" | "Float64" | "Int16" | "Int32" | "Int64" | "Int8" | "UInt16" | "UInt32" | "UInt64" | "UInt8" => {
            let (value, after) = inner.split_once(')')?;
            let plain = value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+'));
            plain.then(|| (value.to_owned(), after))
        }
        "LargeUtf8" | "Utf8" | "Utf8View" => {
            let (value, after) = quoted()?;
            Some((format!("'{}'", value.replace('\'', "''")), after))
        }
        "Date32" => {
            let (value, after) = quoted()?;
            Some((format!("DATE '{value}'"), after))
        }
        "IntervalMonthDayNano" => {
            let (value, after) = quoted()?;
            Some((format!("INTERVAL '{}'", interval(value)?), after))
        }
        _ => None,
    }
}

/// Returns an interval in words, from the engine's form with months, days and nanoseconds.
fn interval(value: &str) -> Option<String> {
    let number = |part: &str| -> Option<i64> {
        let (_, after) = value.split_once(part)?;
        after.split(|c: char| c != '-' && !c.is_ascii_digit()).next()?.parse().ok()
    };
    let nanoseconds = number("nanoseconds: ")?;
    let mut parts = vec![(number("months: ")?, "months"), (number("days: ")?, "days")];
    parts.push(match nanoseconds % 1_000_000_000 {
        0 => (nanoseconds / 1_000_000_000, "seconds"),
        _ => (nanoseconds / 1000, "microseconds"),
    });
    let parts: Vec<String> = parts.into_iter().filter(|(n, _)| *n != 0).map(|(n, part)| format!("{n} {part}")).collect();
    Some(if parts.is_empty() { "0 days".to_owned() } else { parts.join(" ") })
}

/// Gives names after the first `from` a number behind where an earlier one is the same.
pub(super) fn distinct(names: &mut [String], from: usize) {
    for i in from..names.len() {
        let (name, mut number) = (names[i].clone(), 1);
        while names[..i].contains(&names[i]) {
            number += 1;
            names[i] = format!("{name} {number}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{distinct, readable};

    #[test]
    fn derived_names_are_as_sql_has_them() {
        for (engine, said) in [
            ("count(Int64(1))", "count(*)"),
            ("approx_percentile_cont(x,Float64(0.5))", "approx_percentile_cont(x, 0.5)"),
            ("avg(clamp(stays.temp,Int64(-500),Int64(1000)))", "avg(clamp(stays.temp, -500, 1000))"),
            ("upper(Utf8(\"it's, so\")) = Größe_Int64(x)", "upper('it''s, so') = Größe_Int64(x)"),
            ("day > Date32(\"2024-01-31\") AND Boolean(true)", "day > DATE '2024-01-31' AND true"),
            (
                "day + IntervalMonthDayNano(\"IntervalMonthDayNano { months: 0, days: 1, nanoseconds: 0 }\")",
                "day + INTERVAL '1 days'",
            ),
            ("a,b,", "a,b,"),
            ("clamp(a,b, Int64(1))", "clamp(a, b, 1)"),
            ("", ""),
        ] {
            assert_eq!(readable(engine), said);
        }
        let mut names = ["a", "a", "b", "a", "a 2"].map(str::to_owned);
        distinct(&mut names, 1);
        assert_eq!(names, ["a", "a 2", "b", "a 3", "a 2 2"]);
    }
}
