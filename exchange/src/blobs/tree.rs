//! BLAKE3 trees of files, stored beside the served files: each pair of hashes of all groups, before the pairs below it (bao's
//! outboard in pre-order, with chunk groups).
//!
//! All processors make them: each reads a part into a buffer that stays in its cache, and joins its hashes (BLAKE3 paper, section
//! 2.1). The groups are larger than the groups sent: BLAKE3 then hashes more at once, and the content of a group is hashed anyway
//! before it is sent.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::FileExt as _,
};

use bao_tree::{BaoTree, BlockSize};
use blake3::{
    Hasher,
    hazmat::{ChainingValue, HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root},
};
use iroh_blobs::store::IROH_BLOCK_SIZE;
use rayon::prelude::*;
use tidegate_protocol::ContentHash;

/// Number of bytes of a group in a stored tree: 2^6 chunks.
pub(super) const GROUP: u64 = KEPT.bytes() as u64;
const KEPT: BlockSize = BlockSize::from_chunk_log(6);
/// Number of bytes of a group as sent.
pub(super) const SENT: u64 = IROH_BLOCK_SIZE.bytes() as u64;
/// Number of groups in a part, which is read and hashed at once: a power of two.
const PART: u64 = 16;
/// Number of groups in a stretch, whose pairs are adjacent and written together: a power of two. Small in tests, so that a small
/// file has several.
const STRETCH: u64 = if cfg!(test) { 64 } else { 4096 };
/// Number of bytes of two hashes.
pub(super) const PAIR: u64 = 64;

/// Subtree over adjacent groups: its hash, and all its pairs.
type Subtree = (ChainingValue, Vec<u8>);

/// Returns the tree of a file with this size, as sent.
pub(super) fn of(size: u64) -> BaoTree {
    BaoTree::new(size, IROH_BLOCK_SIZE)
}

/// Returns the tree of a file with this size, as stored.
pub(super) fn kept(size: u64) -> BaoTree {
    BaoTree::new(size, KEPT)
}

/// Returns the hash and size in bytes of a single-group file, which needs no tree.
///
/// # Errors
/// Returns the error of reading, or [`io::ErrorKind::InvalidData`] if the file has grown meanwhile.
pub(super) fn small(data: &File) -> io::Result<(ContentHash, u64)> {
    let mut bytes = vec![];
    data.take(GROUP + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > GROUP {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it grows while being read"));
    }
    Ok((ContentHash::of(&bytes), bytes.len() as u64))
}

/// Writes the tree of `data` to `to`; returns its hash and its size in bytes. `progress` is told the bytes hashed.
///
/// # Errors
/// Returns the error of reading or writing, or [`io::ErrorKind::UnexpectedEof`] if the file has shrunk meanwhile.
pub(super) fn make(data: &File, to: &File, progress: &mut dyn FnMut(u64)) -> io::Result<(ContentHash, u64)> {
    let size = data.metadata()?.len();
    to.set_len(kept(size).outboard_size())?;
    let (groups, mut values) = (size.div_ceil(GROUP).max(1), vec![]);
    for from in (0..groups).step_by(STRETCH as usize) {
        let end = groups.min(from + STRETCH);
        let parts: Vec<_> = (from..end).step_by(PART as usize).collect();
        let read = |buffer: &mut Vec<u8>, at| part(data, at * GROUP, size, groups <= PART, buffer);
        let parts: io::Result<Vec<_>> = parts.into_par_iter().map_init(Vec::new, read).collect();
        let mut pairs = vec![];
        values.push(joined(&parts?, &mut pairs, groups <= STRETCH));
        to.write_all_at(&pairs, place(groups, from) * PAIR)?;
        progress(size.min(end * GROUP));
    }
    Ok((ContentHash(above(&values, 0, to, true)?), size))
}

/// Hashes the part beginning at byte `start`.
fn part(data: &File, start: u64, size: u64, root: bool, buffer: &mut Vec<u8>) -> io::Result<Subtree> {
    buffer.resize((size - start).min(PART * GROUP) as usize, 0);
    data.read_exact_at(buffer, start)?;
    if root && buffer.len() as u64 <= GROUP {
        return Ok((value(start, buffer, true), vec![]));
    }
    let groups = (start..).step_by(GROUP as usize).zip(buffer.chunks(GROUP as usize));
    let groups: Vec<_> = groups.map(|(at, group)| (value(at, group, false), vec![])).collect();
    let mut pairs = Vec::with_capacity(groups.len() * PAIR as usize);
    let value = joined(&groups, &mut pairs, root);
    Ok((value, pairs))
}

/// Splits for a tree: the left half is the largest complete tree with something left on the right.
fn halves<T>(values: &[T]) -> (&[T], &[T]) {
    values.split_at(values.len().next_power_of_two() / 2)
}

/// Computes the hash of the group beginning at byte `start`, as an inner node or as the root.
pub(super) fn value(start: u64, group: &[u8], root: bool) -> ChainingValue {
    if root { ContentHash::of(group).0 } else { Hasher::new().set_input_offset(start).update(group).finalize_non_root() }
}

/// Computes the hash above two hashes.
pub(super) fn parent(left: &ChainingValue, right: &ChainingValue, root: bool) -> ChainingValue {
    if root { merge_subtrees_root(left, right, Mode::Hash).into() } else { merge_subtrees_non_root(left, right, Mode::Hash) }
}

/// Joins adjacent subtrees; a single subtree stays unchanged.
fn joined(subtrees: &[Subtree], pairs: &mut Vec<u8>, root: bool) -> ChainingValue {
    if let [(value, own)] = subtrees {
        pairs.extend(own);
        return *value;
    }
    let ((left, right), at) = (halves(subtrees), pairs.len());
    pairs.extend([0; PAIR as usize]);
    let (left, right) = (joined(left, pairs, false), joined(right, pairs, false));
    pairs[at..at + 32].copy_from_slice(&left);
    pairs[at + 32..at + 64].copy_from_slice(&right);
    parent(&left, &right, root)
}

/// Joins the hashes of stretches; the first pair written is number `at` of all.
fn above(values: &[ChainingValue], at: u64, to: &File, root: bool) -> io::Result<ChainingValue> {
    if let [one] = values {
        return Ok(*one);
    }
    let (left, right) = halves(values);
    // A tree has one pair fewer than groups.
    let right_at = at + left.len() as u64 * STRETCH;
    let (left, right) = (above(left, at + 1, to, false)?, above(right, right_at, to, false)?);
    to.write_all_at(&[left, right].concat(), at * PAIR)?;
    Ok(parent(&left, &right, root))
}

/// Returns the number of pairs before the ones of the stretch beginning with group `from`, in a tree of `groups` groups.
fn place(mut groups: u64, mut from: u64) -> u64 {
    let mut at = 0;
    while groups > STRETCH {
        let left = groups.next_power_of_two() / 2;
        if from < left {
            (at, groups) = (at + 1, left);
        } else {
            (at, from, groups) = (at + left, from - left, groups - left);
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use bao_tree::io::outboard::PreOrderMemOutboard;

    use super::*;

    #[test]
    fn a_file_that_becomes_shorter_is_an_error_and_ends() {
        let (data, to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let first = STRETCH * GROUP;
        data.set_len(first + 1).unwrap();
        let made = make(&data, &to, &mut |_| data.set_len(first).unwrap());
        assert_eq!(made.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn it_is_bao_s_tree_whatever_the_size() {
        let dir = tempfile::tempdir().unwrap();
        let part = (PART * GROUP) as usize;
        for size in [
            0,
            1,
            1024,
            65536,
            65537,
            160_000,
            part - 1,
            part,
            part + 1,
            2 * part,
            5 * part / 2,
            7 * part + 3,
            4 * part,
            4 * part + 1,
            11 * part + 1025,
            21 * part - 1,
            32 * part,
        ] {
            let bytes: Vec<u8> = (0..size).map(|i| (i / 7) as u8).collect();
            let path = dir.path().join("file");
            std::fs::write(&path, &bytes).unwrap();
            let (data, mut to, mut told) = (File::open(&path).unwrap(), tempfile::tempfile().unwrap(), 0);
            assert_eq!(make(&data, &to, &mut |done| told = done).unwrap(), (ContentHash::of(&bytes), size as u64), "{size}");
            assert_eq!(told, size as u64);
            let mut made = vec![];
            std::io::Seek::rewind(&mut to).unwrap();
            to.read_to_end(&mut made).unwrap();
            assert!(made == PreOrderMemOutboard::create(&bytes, KEPT).data, "{size}");
        }
    }
}
