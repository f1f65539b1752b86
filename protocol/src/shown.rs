//! Safe display of texts from others: no character moves, hides or repaints its surroundings on a terminal or in a log.

use std::borrow::Cow;

/// Replacement for a hidden character.
const HIDDEN: char = '\u{FFFD}';

/// Returns whether a character affects those around it.
///
/// These are controls (Unicode's general category Cc, including escapes and line breaks), line and paragraph separators, and
/// marks of direction (Unicode Standard Annex 9).
pub fn repaints(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Returns whether all of a text may be shown unchanged.
pub fn is_plain(text: &str) -> bool {
    !text.chars().any(repaints)
}

/// Puts a text on a single line, with a mark in place of each character that [`repaints`].
pub fn plain(text: &str) -> Cow<'_, str> {
    if is_plain(text) { text.into() } else { text.chars().map(|c| if repaints(c) { HIDDEN } else { c }).collect() }
}

/// Maximum number of characters of a line shown on each side of the caret's position.
const BESIDE: usize = 60;

/// Renders a line of a text with a caret under a column.
///
/// Both are counted from 1, columns in characters. `None` if the text has no such place.
pub fn pointed(text: &str, line: usize, column: usize) -> Option<String> {
    let shown = text.split('\n').nth(line.checked_sub(1)?)?;
    let chars: Vec<char> = shown.trim_end_matches('\r').chars().collect();
    let at = column.checked_sub(1).filter(|at| *at <= chars.len())?;
    let (from, to) = (at.saturating_sub(BESIDE), chars.len().min(at + BESIDE));
    let cut = |there: bool| if there { "…" } else { "" };
    // A repainting character would shift everything after it, so it becomes one mark; a tab becomes one space.
    let line_of: String = chars[from..to].iter().map(|c| if *c == '\t' { ' ' } else { *c }).collect();
    let number = line.to_string();
    let (margin, before) = (" ".repeat(number.len()), cut(from > 0));
    let caret = " ".repeat(before.chars().count() + at - from);
    Some(format!("{number} | {before}{}{}\n{margin} | {caret}^", plain(&line_of), cut(to < chars.len())))
}

/// Returns whether every text in a JSON value, including keys, may be shown unchanged.
pub(crate) fn is_plain_json(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::String(text) => is_plain(text),
        Value::Array(all) => all.iter().all(is_plain_json),
        Value::Object(fields) => fields.iter().all(|(name, value)| is_plain(name) && is_plain_json(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caret_stands_under_what_is_pointed_at() {
        let query = "SELECT a,\r\n\tbé\u{1b}[2J, c\nFROM x";
        assert_eq!(pointed(query, 1, 8).unwrap(), "1 | SELECT a,\n  |        ^");
        assert_eq!(pointed(query, 2, 9).unwrap(), "2 |  bé\u{FFFD}[2J, c\n  |         ^");
        assert_eq!(pointed(query, 3, 7).unwrap(), "3 | FROM x\n  |       ^");
        let long = format!("{}X{}", "a".repeat(100), "b".repeat(100));
        let shown = pointed(&long, 1, 101).unwrap();
        let (line, caret) = shown.split_once('\n').unwrap();
        assert_eq!(line.chars().position(|c| c == 'X'), caret.chars().position(|c| c == '^'), "{shown}");
        assert!(line.chars().count() < 130 && line.contains('…'), "{shown}");
        for (line, column) in [(0, 1), (1, 0), (4, 1), (1, 99)] {
            assert_eq!(pointed(query, line, column), None);
        }
    }

    #[test]
    fn nothing_that_repaints_is_left_and_letters_of_all_scripts_are() {
        for bad in [
            "\u{1b}[31mred",
            "bell\u{7}",
            "two\nlines",
            "back\rward",
            "\u{9b}31m",
            "\u{7f}",
            "\u{202e}txt.exe",
            "a\u{2028}b",
            "\u{2066}x",
        ] {
            assert!(!is_plain(bad) && is_plain(&plain(bad)), "{bad:?}");
            assert_eq!(plain(bad).chars().count(), bad.chars().count());
        }
        // Joiners belong to the spelling of some languages, and emoji.
        for good in ["age", "größe", "年齢", "می\u{200c}خواهم", "👩\u{200d}🚀", "עברית", "a b"] {
            assert_eq!(plain(good), good);
        }
        let value = serde_json::json!({ "a": [{ "b": "x" }, 1, null, true] });
        assert!(is_plain_json(&value));
        for bad in
            [serde_json::json!({ "a\n": 1 }), serde_json::json!([["\u{1b}"]]), serde_json::json!({ "a": { "b": "\u{85}" } })]
        {
            assert!(!is_plain_json(&bad), "{bad}");
        }
    }
}
