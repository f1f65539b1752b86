//! Replacement of the words for the current day or time in a query.
//!
//! The buyer's side writes literals in their place before it signs the job, so that the job asks the same question on every day.

use datafusion::sql::sqlparser::{
    dialect::GenericDialect,
    tokenizer::{Location, Token, TokenWithSpan, Tokenizer},
};

/// Words for the day, and whether they need brackets.
const DAYS: [(&str, bool); 2] = [("current_date", false), ("today", true)];
/// Words for the time, and whether they need brackets.
const TIMES: [(&str, bool); 2] = [("current_timestamp", false), ("now", true)];

/// Replaces CURRENT_DATE, today(), CURRENT_TIMESTAMP and now() in `query` by literals; also returns each word with its literal.
///
/// `day` is such as `2024-01-31`, and `time`, with its zone, such as `2024-01-31T10:30:00Z`.
pub fn dated(query: &str, day: &str, time: &str) -> (String, Vec<(String, String)>) {
    // Invalid SQL is refused where it is parsed.
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, query).tokenize_with_location() else {
        return (query.to_owned(), vec![]);
    };
    let tokens: Vec<&TokenWithSpan> = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    let at = |i: usize| tokens.get(i).map(|token| &token.token);
    let (mut made, mut replaced, mut copied) = (String::with_capacity(query.len()), Vec::new(), 0);
    for (i, token) in tokens.iter().enumerate() {
        let Token::Word(word) = &token.token else { continue };
        let of = |words: &[(&str, bool)]| {
            words
                .iter()
                .find(|(name, _)| word.quote_style.is_none() && word.value.eq_ignore_ascii_case(name))
                .map(|(_, call)| *call)
        };
        let (call, literal) = match (of(&DAYS), of(&TIMES)) {
            (Some(call), _) => (call, format!("DATE '{day}'")),
            (_, Some(call)) => (call, format!("TIMESTAMPTZ '{time}'")),
            _ => continue,
        };
        // A column's name and an alias are not replaced.
        let before = i.checked_sub(1).and_then(at);
        let named =
            matches!(before, Some(Token::Period)) || matches!(before, Some(Token::Word(w)) if w.value.eq_ignore_ascii_case("as"));
        let called = at(i + 1) == Some(&Token::LParen) && at(i + 2) == Some(&Token::RParen);
        let other = matches!(at(i + 1), Some(Token::Period)) || at(i + 1) == Some(&Token::LParen) && !called;
        let Some(start) = place(query, token.span.start) else { continue };
        if named || other || call && !called {
            continue;
        }
        let end = if called {
            tokens.get(i + 2).and_then(|last| Some(place(query, last.span.start)? + 1))
        } else {
            Some(start + word.value.len())
        };
        let Some((between, was)) = end.and_then(|end| Some((query.get(copied..start)?, query.get(start..end)?))) else {
            continue;
        };
        made += between;
        made += &literal;
        copied = start + was.len();
        replaced.push((was.to_owned(), literal));
    }
    made += query.get(copied..).unwrap_or_default();
    (made, replaced)
}

/// Returns the byte at a line and column, both counted from 1.
fn place(text: &str, at: Location) -> Option<usize> {
    let line = text.split_inclusive('\n').take(at.line as usize - 1).map(str::len).sum::<usize>();
    let (byte, _) = text.get(line..)?.char_indices().nth(at.column.checked_sub(1)? as usize)?;
    Some(line + byte)
}

#[cfg(test)]
mod tests {
    use super::dated;

    #[test]
    fn the_day_is_written_in_the_place_of_its_words_and_of_nothing_else() {
        for (query, right) in [
            ("SELECT 1 WHERE day < CURRENT_DATE", "SELECT 1 WHERE day < DATE 'D'"),
            ("day<current_date-1 AND\n  é = today ( )\n", "day<DATE 'D'-1 AND\n  é = DATE 'D'\n"),
            ("at > now() AND at < Current_Timestamp", "at > TIMESTAMPTZ 'T' AND at < TIMESTAMPTZ 'T'"),
            // Names, texts, comments, and what takes an argument.
            ("SELECT t.current_date, now, \"current_date\", 'now()', x AS current_date -- now()\n", ""),
            ("SELECT current_timestamp(3), now(1), today, current_date.x /* CURRENT_DATE */", ""),
            ("SELECT 'open", ""),
        ] {
            let (made, replaced) = dated(query, "D", "T");
            let right = if right.is_empty() { query } else { right };
            assert_eq!((made.as_str(), replaced.is_empty()), (right, right == query), "{query}");
        }
        let (_, replaced) = dated("SELECT now ()", "D", "T");
        assert_eq!(replaced, [("now ()".to_owned(), "TIMESTAMPTZ 'T'".to_owned())]);
    }
}
