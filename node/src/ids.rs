//! Ids as people write them: in full, or as many leading characters as are unique.

use tidegate_protocol::ContentHash;

use crate::NodeError;

/// Minimum length of an abbreviated id.
const LEAST: usize = 6;

/// Returns whether `word` is the id, or a long enough prefix.
pub fn names(id: &ContentHash, word: &str) -> bool {
    word.len() >= LEAST && id.to_string().starts_with(word)
}

/// Returns the only element of `all` whose id is named by `word`; `None` if there is none.
///
/// # Errors
/// [`NodeError::Ambiguous`] if there are several.
pub fn only<T>(all: impl IntoIterator<Item = T>, id: impl Fn(&T) -> ContentHash, word: &str) -> Result<Option<T>, NodeError> {
    let mut found: Option<T> = None;
    for one in all.into_iter().filter(|one| names(&id(one), word)) {
        if found.as_ref().is_some_and(|found| id(found) != id(&one)) {
            return Err(NodeError::Ambiguous { id: word.to_owned(), of: "several ids" });
        }
        found = Some(one);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_an_id_stands_for_it_where_it_is_the_only_one() {
        let ids = [[0xab; 32], [0xac; 32]].map(ContentHash);
        let mut near = ids[0];
        near.0[31] = 0;
        let only = |all: &[ContentHash], word: &str| only(all.to_vec(), |id| *id, word);
        assert_eq!(only(&ids, "ababab").unwrap(), Some(ids[0]));
        assert_eq!(only(&ids, &ids[1].to_string()).unwrap(), Some(ids[1]));
        assert_eq!(only(&ids, "ababa").unwrap(), None, "too short");
        assert_eq!(only(&ids, "bababa").unwrap(), None, "no beginning");
        assert!(only(&[ids[0], near], "ababab").is_err());
        assert_eq!(only(&[ids[0], near], &near.to_string()).unwrap(), Some(near));
    }
}
