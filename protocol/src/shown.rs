//! Texts of others' as they may be shown: no character of theirs moves, hides or repaints what stands around it on a terminal or in a log.

use std::borrow::Cow;

/// What stands for a character that is not shown.
const HIDDEN: char = '\u{FFFD}';

/// Whether a character does something to those around it: controls (Unicode's general category Cc: escapes and line breaks among them), line and paragraph
/// separators, and marks of direction (Unicode Standard Annex 9).
pub fn repaints(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Whether all of a text may be shown as it is.
pub fn is_plain(text: &str) -> bool {
    !text.chars().any(repaints)
}

/// A text on one line, with a mark in the place of each character that [`repaints`].
pub fn plain(text: &str) -> Cow<'_, str> {
    if is_plain(text) { text.into() } else { text.chars().map(|c| if repaints(c) { HIDDEN } else { c }).collect() }
}

/// Whether every text in a JSON value, keys among them, may be shown as it is.
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
