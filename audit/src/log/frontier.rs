//! Root of a growing tree from its leaves, in memory proportional to the number of its levels.

use serde::{Deserialize, Serialize};
use tlog_tiles::{EMPTY_HASH, Hash, node_hash, record_hash};

/// Roots of the perfect subtrees of a tree of `size` entries (RFC 9162, section 2.1.1), largest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Frontier {
    size: u64,
    #[serde(with = "hashes")]
    subtrees: Vec<Hash>,
}

impl Frontier {
    /// Returns the number of entries so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds an entry.
    pub fn push(&mut self, entry: &[u8]) {
        self.push_hash(record_hash(entry));
    }

    /// Adds an entry by its leaf hash.
    pub fn push_hash(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // Two subtrees of equal size merge into one of the next size, like a carry in binary addition.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.subtrees.pop() {
                hash = node_hash(left, hash);
            }
        }
        self.subtrees.push(hash);
        self.size += 1;
    }

    /// Returns the RFC 6962 root.
    pub fn root(&self) -> Hash {
        let mut subtrees = self.subtrees.iter().rev();
        let Some(smallest) = subtrees.next() else { return EMPTY_HASH };
        subtrees.fold(*smallest, |right, left| node_hash(*left, right))
    }

    /// Returns whether the number of subtrees fits the size; a frontier read from a file might not fit.
    pub fn is_whole(&self) -> bool {
        self.subtrees.len() == self.size.count_ones() as usize
    }
}

/// Hashes as hexadecimal texts.
mod hashes {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use tlog_tiles::Hash;

    pub(super) fn serialize<S: Serializer>(hashes: &[Hash], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(hashes.iter().map(|hash| tidegate_protocol::Sha256Digest(hash.0)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Hash>, D::Error> {
        let read = Vec::<tidegate_protocol::Sha256Digest>::deserialize(d)?;
        if read.len() > 64 {
            return Err(D::Error::custom("more than 64 subtrees"));
        }
        Ok(read.into_iter().map(|digest| Hash(digest.0)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_that_of_the_tree_at_every_size() {
        let (mut frontier, mut stored) = (Frontier::default(), Vec::new());
        assert_eq!(frontier.root(), EMPTY_HASH);
        for n in 0..300u64 {
            let entry = n.to_be_bytes();
            let new = tlog_tiles::stored_hashes(n, &entry, &InOrder(&stored)).unwrap();
            stored.extend(new);
            frontier.push(&entry);
            assert_eq!(frontier.root(), tlog_tiles::tree_hash(n + 1, &InOrder(&stored)).unwrap(), "{n}");
            let kept: Frontier = serde_json::from_str(&serde_json::to_string(&frontier).unwrap()).unwrap();
            assert_eq!(kept, frontier);
            assert!(kept.is_whole());
        }
    }

    struct InOrder<'a>(&'a [Hash]);
    impl tlog_tiles::HashReader for InOrder<'_> {
        fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
            Ok(indexes.iter().map(|&i| self.0[i as usize]).collect())
        }
    }
}
