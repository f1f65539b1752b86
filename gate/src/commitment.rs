//! Commitment to the sums before noise: a salted digest of the exact sums, which reveals nothing without its salt; whoever has
//! salt and rows can recompute it.
//!
//! Groups come in pieces and in any order, so their digests are added up (LtHash: Bellare and Micciancio 1997, "A new paradigm
//! for collision-free hashing"; parameters of Lewi, Kim, Maykov and Weis 2019, "Securing update propagation with homomorphic
//! hashing": 1024 numbers of 16 bits, over 200 bits of security).

use tidegate_protocol::{ContentHash, Sha256Digest, job::Key};

use crate::GroupSums;

/// Number of integers in the added-up digest.
const NUMBERS: usize = 1024;

/// BLAKE3 key derivation context for the hash of a group.
const CONTEXT: &str = "tidegate.dev 2026-11 group of sums";

/// Minimum number of groups per thread.
const GROUPS_A_THREAD: usize = 512;

/// Running commitment to sums, as they arrive.
#[derive(Clone)]
pub struct Committing {
    state: [u16; NUMBERS],
    groups: u64,
}

impl Default for Committing {
    fn default() -> Self {
        Self { state: [0; NUMBERS], groups: 0 }
    }
}

impl std::fmt::Debug for Committing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Committing(withheld)")
    }
}

impl Committing {
    /// Commits to these groups alone.
    pub fn to(groups: &[GroupSums]) -> Self {
        let mut committing = Self::default();
        committing.add(groups);
        committing
    }

    /// Adds whole groups; none may come twice. An empty group counts as absent.
    pub fn add(&mut self, groups: &[GroupSums]) {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(groups.len().div_ceil(GROUPS_A_THREAD));
        if threads <= 1 {
            return groups.iter().for_each(|group| self.add_one(group));
        }
        std::thread::scope(|scope| {
            let some = groups.chunks(groups.len().div_ceil(threads));
            let parts: Vec<_> = some.map(|some| scope.spawn(|| some.iter().fold(Self::default(), Self::with))).collect();
            for part in parts {
                match part.join() {
                    Ok(part) => self.merge(&part),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
    }

    fn with(mut self, group: &GroupSums) -> Self {
        self.add_one(group);
        self
    }

    fn merge(&mut self, other: &Self) {
        self.groups += other.groups;
        self.state.iter_mut().zip(&other.state).for_each(|(all, one)| *all = all.wrapping_add(*one));
    }

    fn add_one(&mut self, group: &GroupSums) {
        if group.units == 0 && group.lanes.iter().all(|lane| *lane == 0) {
            return;
        }
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        write(group, &mut hasher);
        let mut expanded = [0; 2 * NUMBERS];
        hasher.finalize_xof().fill(&mut expanded);
        let numbers = expanded.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        self.state.iter_mut().zip(numbers).for_each(|(all, one)| *all = all.wrapping_add(one));
        self.groups += 1;
    }

    /// Returns the SHA-256 of salt (32 bytes), job (32), number of groups (8, little-endian) and the added-up digest (2048).
    pub fn salted(&self, salt: &[u8; 32], job: &ContentHash) -> Sha256Digest {
        let mut bytes = Vec::with_capacity(72 + 2 * NUMBERS);
        bytes.extend(salt);
        bytes.extend(job.0);
        bytes.extend(self.groups.to_le_bytes());
        bytes.extend(self.state.iter().flat_map(|number| number.to_le_bytes()));
        Sha256Digest::of(&bytes)
    }
}

/// Writes a group to a hash, injectively: every part states its length or has a fixed length.
fn write(group: &GroupSums, to: &mut blake3::Hasher) {
    let mut put = |bytes: &[u8]| {
        to.update(bytes);
    };
    let length = |n: usize| (n as u64).to_le_bytes();
    put(&length(group.key.len()));
    for key in &group.key {
        match key {
            Key::Null => put(&[0]),
            Key::Bool(value) => put(&[1, u8::from(*value)]),
            Key::Int(value) => {
                put(&[2]);
                put(&value.to_le_bytes());
            }
            Key::Float(value) => {
                put(&[3]);
                put(&value.to_bits().to_le_bytes());
            }
            Key::Text(value) => {
                put(&[4]);
                put(&length(value.len()));
                put(value.as_bytes());
            }
        }
    }
    put(&group.units.to_le_bytes());
    put(&length(group.lanes.len()));
    group.lanes.iter().for_each(|lane| put(&lane.to_le_bytes()));
    group.kinds.write(&mut put);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, Keys, Kinds, Measure, Plan, Shape};

    fn group(key: &[Key], units: i64, lanes: &[i128]) -> GroupSums {
        GroupSums { key: key.to_vec(), units, lanes: lanes.to_vec(), kinds: Kinds::default() }
    }

    fn digest(groups: &[GroupSums]) -> Sha256Digest {
        Committing::to(groups).salted(&[7; 32], &ContentHash([1; 32]))
    }

    #[test]
    fn order_and_pieces_do_not_matter_and_everything_else_does() {
        let text = |s: &str| Key::Text(s.into());
        let groups: Vec<_> = (0..3000).map(|i| group(&[Key::Int(i)], 1 + i, &[i128::from(i) << 70, -3])).collect();
        let mut pieces = Committing::default();
        groups.rchunks(700).for_each(|some| pieces.add(some));
        assert_eq!(pieces.salted(&[7; 32], &ContentHash([1; 32])), digest(&groups));

        let one = group(&[text("a"), Key::Null], 5, &[1, 2]);
        let mut seen = std::collections::BTreeSet::from([digest(std::slice::from_ref(&one)), digest(&[])]);
        let columns = vec![Column::new("n", Measure::Count), Column::new("m", Measure::Count)];
        let shape = Shape { key_names: vec![], keys: Keys::None, columns, max_groups: 1, max_rows: 9, blocks: None };
        let codes = Plan::new(shape).unwrap().codes();
        let kinds = |tally: &[i64]| {
            let mut kinds = Kinds::default();
            kinds.add(&codes, tally);
            kinds
        };
        let others = [
            vec![GroupSums { units: 6, ..one.clone() }],
            vec![GroupSums { lanes: vec![1, 3], ..one.clone() }],
            vec![GroupSums { lanes: vec![2, 1], ..one.clone() }],
            vec![GroupSums { lanes: vec![1, 2, 0], ..one.clone() }],
            vec![GroupSums { key: vec![text("a")], ..one.clone() }],
            vec![GroupSums { key: vec![text("aN"), Key::Null], ..one.clone() }],
            vec![GroupSums { key: vec![text(""), text("a")], ..one.clone() }],
            vec![GroupSums { kinds: kinds(&[1, 2]), ..one.clone() }],
            vec![GroupSums { kinds: kinds(&[1, 3]), ..one.clone() }],
            vec![GroupSums { kinds: kinds(&[2, 2]), ..one.clone() }],
            vec![group(&[Key::Int(1)], 5, &[1, 2])],
            vec![group(&[Key::Float(1.0)], 5, &[1, 2])],
            vec![group(&[Key::Bool(true)], 5, &[1, 2])],
            vec![one.clone(), group(&[Key::Int(1)], 5, &[1, 2])],
        ];
        for other in &others {
            assert!(seen.insert(digest(other)));
        }
        // Nobody is in it: as if it had not come.
        assert_eq!(digest(&[one.clone(), group(&[text("b")], 0, &[0, 0])]), digest(std::slice::from_ref(&one)));
        for (salt, job) in [([8; 32], [1; 32]), ([7; 32], [2; 32])] {
            assert!(seen.insert(Committing::to(std::slice::from_ref(&one)).salted(&salt, &ContentHash(job))));
        }
    }
}
