//! Lines of others' texts.

use tidegate_protocol::shown::plain;

use crate::tables;

/// Number of characters of a line where the width of the terminal is not known.
const WIDTH: usize = 120;

/// Returns the lines of a text that are not blank, each safe for a terminal.
pub(crate) fn text(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    lines.map(|line| plain(&line.replace('\t', "    ")).into_owned()).collect()
}

/// Returns a text's first line that is not blank, cut to what the terminal has room for beside `taken` characters.
pub(crate) fn first_line(text: &str, taken: usize) -> String {
    let width = tables::width().unwrap_or(WIDTH);
    cut(text, width.saturating_sub(taken).max(1))
}

/// Returns a text's first line that is not blank, with `…` for what is beyond `most` characters or on other lines.
fn cut(text: &str, most: usize) -> String {
    let lines = self::text(text);
    let line = lines.first().map_or("", |line| line.trim());
    if lines.len() < 2 && line.chars().count() <= most {
        return line.to_owned();
    }
    let kept: String = line.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_told_by_its_first_line() {
        let query = "\n  SELECT COUNT(*) AS n\n\tFROM dataset\n\n";
        assert_eq!(text(query), ["  SELECT COUNT(*) AS n", "    FROM dataset"]);
        assert_eq!(cut(query, 80), "SELECT COUNT(*) AS n…");
        assert_eq!(cut(query, 8), "SELECT…");
        assert_eq!((cut("SELECT 1", 8), cut("SELECT 1", 7), cut("", 7)), ("SELECT 1".into(), "SELECT…".into(), "".into()));
        assert_eq!(text("a\u{1b}[2J"), ["a\u{FFFD}[2J"]);
    }
}
