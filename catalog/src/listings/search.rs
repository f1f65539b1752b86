//! Words: listings that have all of them, the best match first (BM25, as SQLite's FTS5 has it; a name counts most, then keywords).

use std::time::SystemTime;

use rusqlite::params;

use super::{
    Catalogue, CatalogueError, Kept,
    rows::{kept, nanoseconds, row},
};

/// Most words of a search.
const WORDS: usize = 16;

/// Letters that a beginning of a word has at least.
const LETTERS: usize = 3;
/// Most listings of an answer.
const MOST: usize = 10_000;

/// A text of words as FTS5 takes it: each word quoted, so that none is an operator, and taken as the beginning of one.
fn expression(words: &str) -> String {
    let words = words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).take(WORDS);
    // Very many words begin with one or two letters: such a word is taken as it is.
    let begin = |word: &str| if word.chars().count() < LETTERS { "" } else { "*" };
    words.map(|word| format!("\"{word}\"{}", begin(word))).collect::<Vec<_>>().join(" ")
}

impl Catalogue {
    /// The listings, good at `now`, that have all of these words or words that begin like them; the best first, `most` at most. Where no word is
    /// given, the latest.
    ///
    /// # Errors
    /// [`CatalogueError`].
    pub fn search(&self, words: &str, now: SystemTime, most: usize) -> Result<Vec<Kept>, CatalogueError> {
        let (expression, most) = (expression(words), i64::try_from(most.min(MOST)).unwrap_or(i64::MAX));
        let db = self.db();
        let rows: Vec<_> = if expression.is_empty() {
            let mut all = db.prepare_cached(
                "SELECT owner, id, envelope FROM listings WHERE expires > ?1 ORDER BY issued DESC, id LIMIT ?2",
            )?;
            all.query_map(params![nanoseconds(now), most], row)?.collect::<Result<_, _>>()?
        } else {
            // The best are chosen before their texts are read; some room for those that are over and not forgotten yet.
            let mut found = db.prepare_cached(
                "SELECT owner, id, envelope FROM (SELECT rowid, rank FROM words WHERE words MATCH ?1 ORDER BY rank LIMIT ?3 + 50) AS best
                 JOIN listings ON listings.row = best.rowid WHERE expires > ?2 ORDER BY best.rank, id LIMIT ?3",
            )?;
            found.query_map(params![expression, nanoseconds(now), most], row)?.collect::<Result<_, _>>()?
        };
        rows.into_iter().map(kept).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_is_an_operator() {
        assert_eq!(expression("heart failure"), "\"heart\"* \"failure\"*");
        assert_eq!(expression("a\" OR NOT (b) NEAR:c* ^x --"), "\"a\" \"OR\" \"NOT\"* \"b\" \"NEAR\"* \"c\" \"x\"");
        assert_eq!(expression(" \"*\" "), "");
        assert_eq!(expression(&"w ".repeat(100)).matches('w').count(), WORDS);
    }
}
