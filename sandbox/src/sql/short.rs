//! Lookup of the numbers of keys with a few short texts: each row's texts are packed in a word, looked up before the group table.

use std::hash::{BuildHasher as _, RandomState};

use arrow::array::{Array as _, ArrayRef, AsArray};

/// Number of entries of the table, a power of two.
const PLACES: usize = 1 << 12;
/// Maximum number of words in the table, which stays sparse.
const MOST: usize = PLACES / 4;
/// Word of no row: a text's code begins with its length plus one.
const NONE: u64 = u64::MAX;

/// Positions of known keys.
pub(super) struct Short {
    /// Word and number, at a position given by a hash; nobody can aim at collisions.
    places: Vec<(u64, u32)>,
    factor: u64,
    known: usize,
    words: Vec<u64>,
}

impl Default for Short {
    fn default() -> Self {
        Self { places: vec![], factor: RandomState::new().hash_one(0) | 1, known: 0, words: vec![] }
    }
}

impl Short {
    /// Finds the numbers of a batch's keys, if all are known.
    pub(super) fn find(&mut self, keys: &[ArrayRef], numbers: &mut Vec<usize>) -> bool {
        if self.known > MOST || !self.pack(keys) {
            self.words.clear();
            return false;
        }
        if self.places.is_empty() {
            return false;
        }
        numbers.clear();
        let mut known = true;
        numbers.extend(self.words.iter().map(|word| match self.places[self.place(*word)] {
            (NONE, _) => {
                known = false;
                0
            }
            (_, number) => number as usize,
        }));
        known
    }

    /// Records the group table's numbers for the keys of the last [`Short::find`].
    pub(super) fn learn(&mut self, numbers: &[usize]) {
        if self.words.is_empty() || self.known > MOST {
            return;
        }
        if self.places.is_empty() {
            self.places = vec![(NONE, 0); PLACES];
        }
        for (i, number) in numbers.iter().enumerate().take(self.words.len()) {
            let place = self.place(self.words[i]);
            if let ((NONE, _), Ok(number)) = (self.places[place], u32::try_from(*number)) {
                self.places[place] = (self.words[i], number);
                self.known += 1;
                if self.known > MOST {
                    // Too many to be of use.
                    self.places = vec![];
                    return;
                }
            }
        }
    }

    /// Returns the position of a word, present or not.
    ///
    /// The position is given by the uppermost bits of the word's product with an odd factor, in which all of its bits have a
    /// part. However words are chosen, two of them share a position for at most two factors in [`PLACES`] (Dietzfelbinger,
    /// Hagerup, Katajainen and Penttonen 1997, Lemma 2.4).
    #[inline]
    fn place(&self, word: u64) -> usize {
        let mut place = (word.wrapping_mul(self.factor) >> (u64::BITS - PLACES.ilog2())) as usize;
        while self.places[place].0 != NONE && self.places[place].0 != word {
            place = (place + 1) % PLACES;
        }
        place
    }

    /// Packs each row's keys in a word: each column's text in its share of the bits, after its length plus one; 0 is NULL.
    fn pack(&mut self, keys: &[ArrayRef]) -> bool {
        if keys.is_empty() || keys.len() > 4 {
            return false;
        }
        let bits = 64 / keys.len();
        self.words.clear();
        self.words.resize(keys[0].len(), 0);
        for key in keys {
            let Some(texts) = key.as_string_opt::<i32>() else { return false };
            let (bytes, nulls) = (texts.value_data(), texts.nulls().filter(|n| n.null_count() > 0));
            for (i, (word, ends)) in self.words.iter_mut().zip(texts.value_offsets().windows(2)).enumerate() {
                let text = &bytes[ends[0] as usize..ends[1] as usize];
                if text.len() >= bits / 8 {
                    return false;
                }
                let there = nulls.is_none_or(|nulls| nulls.is_valid(i));
                let code =
                    if there { text.iter().fold(text.len() as u64 + 1, |code, byte| code << 8 | u64::from(*byte)) } else { 0 };
                *word = word.checked_shl(bits as u32).unwrap_or(0) | code;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, sync::Arc};

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    fn texts(values: &[Option<&str>]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    /// Every pair of short texts has a word of its own.
    #[test]
    fn no_two_keys_have_one_word() {
        let parts = [
            None,
            Some(""),
            Some("\0"),
            Some("\u{1}"),
            Some("a"),
            Some("\0\0"),
            Some("a\0"),
            Some("\0a"),
            Some("ab"),
            Some("\0\0\0"),
        ];
        for columns in [1, 2] {
            let all: Vec<Vec<Option<&str>>> = match columns {
                1 => parts.iter().map(|a| vec![*a]).collect(),
                _ => parts.iter().flat_map(|a| parts.iter().map(|b| vec![*a, *b])).collect(),
            };
            let keys: Vec<ArrayRef> = (0..columns).map(|c| texts(&all.iter().map(|row| row[c]).collect::<Vec<_>>())).collect();
            let (mut short, mut numbers) = (Short::default(), vec![]);
            assert!(!short.find(&keys, &mut numbers));
            let mut seen = HashMap::new();
            for (word, row) in short.words.iter().zip(&all) {
                assert_eq!(seen.insert(*word, row.clone()), None, "{row:?}");
            }
            short.learn(&(0..all.len()).collect::<Vec<_>>());
            assert!(short.find(&keys, &mut numbers));
            assert_eq!(numbers, (0..all.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_not_short_or_not_text_or_unknown_is_left_alone() {
        let (mut short, mut numbers) = (Short::default(), vec![]);
        assert!(!short.find(&[texts(&[Some("a"), Some("b")])], &mut numbers));
        short.learn(&[3, 4]);
        assert!(short.find(&[texts(&[Some("b"), Some("a"), Some("b")])], &mut numbers) && numbers == [4, 3, 4]);
        for unknown in [Some("c"), Some(""), None, Some("aaaaaaaa")] {
            assert!(!short.find(&[texts(&[Some("a"), unknown])], &mut numbers), "{unknown:?}");
        }
        // Nothing is learnt of what was not packed.
        short.learn(&[9, 9]);
        assert!(short.find(&[texts(&[Some("a")])], &mut numbers) && numbers == [3]);
        assert!(!short.find(&[Arc::new(Int64Array::from(vec![1]))], &mut numbers));
        assert!(!short.find(&[], &mut numbers));
        // A batch that is a slice of a larger one.
        let slice = texts(&[Some("longer than that"), Some("b")]).slice(1, 1);
        assert!(short.find(&[slice], &mut numbers) && numbers == [4]);
        // Very many.
        let many: Vec<String> = (0..2000).map(|i| i.to_string()).collect();
        let many = [Arc::new(StringArray::from(many)) as ArrayRef];
        assert!(!short.find(&many, &mut numbers));
        short.learn(&(0..2000).collect::<Vec<_>>());
        assert!(!short.find(&many, &mut numbers) && !short.find(&[texts(&[Some("a")])], &mut numbers));
    }

    /// Texts that end alike are found about as fast as others: none is far from its own place, whatever the factor.
    #[test]
    fn texts_that_were_chosen_do_not_share_a_place() {
        let letters = || ('a'..='z').chain('A'..='Z');
        let chosen: Vec<String> = letters().flat_map(|a| letters().map(move |b| format!("{a}{b}aaaaa"))).take(1000).collect();
        let keys = [Arc::new(StringArray::from(chosen)) as ArrayRef];
        let (mut short, mut numbers) = (Short::default(), vec![]);
        assert!(!short.find(&keys, &mut numbers));
        short.learn(&(0..1000).collect::<Vec<_>>());
        let own = |word: u64| (word.wrapping_mul(short.factor) >> (u64::BITS - PLACES.ilog2())) as usize;
        let far = short.words.iter().map(|word| (short.place(*word) + PLACES - own(*word)) % PLACES).max().unwrap();
        assert!(far < 64, "{far} places");
    }
}
