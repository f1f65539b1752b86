//! Word search: listings with all of the words, the best match first (BM25 of SQLite's FTS5; a name counts most, then keywords).

use std::time::SystemTime;

use rusqlite::params;

use super::{
    Catalogue, CatalogueError, Kept,
    rows::{kept, nanoseconds, row},
};

/// Maximum number of words of a search.
const WORDS: usize = 16;

/// Minimum number of letters for a prefix search.
const LETTERS: usize = 3;
/// Maximum number of listings of an answer.
const MOST: usize = 10_000;

/// Formats words for FTS5: each word is quoted, as none must be an operator, and searched as a prefix.
fn expression(words: &str) -> String {
    let words = words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).take(WORDS);
    // Very many words begin with the same one or two letters: such a short word is searched as a whole word.
    let begin = |word: &str| if word.chars().count() < LETTERS { "" } else { "*" };
    words.map(|word| format!("\"{word}\"{}", begin(word))).collect::<Vec<_>>().join(" ")
}

impl Catalogue {
    /// Lists the listings, valid at `now`, with all of these words or words beginning with them; the best first, at most `most`.
    ///
    /// Without a word, the latest.
    ///
    /// # Errors
    /// Returns [`CatalogueError`] if the file cannot be used.
    pub fn search(&self, words: &str, now: SystemTime, most: usize) -> Result<Vec<Kept>, CatalogueError> {
        let (expression, most) = (expression(words), i64::try_from(most.min(MOST)).unwrap_or(i64::MAX));
        let db = self.db();
        let rows: Vec<_> = if expression.is_empty() {
            let mut all = db.prepare_cached(
                "SELECT owner, id, envelope FROM listings WHERE expires > ?1 ORDER BY issued DESC, id LIMIT ?2",
            )?;
            all.query_map(params![nanoseconds(now), most], row)?.collect::<Result<_, _>>()?
        } else {
            // The best are chosen before their texts are read; some extra for expired ones not removed yet.
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
