//! BLAKE3 hash of a file, computed by all processors.
//!
//! Each reads parts of the file into a buffer that stays in its cache, and computes the subtree's value (BLAKE3 paper, section
//! 2.1); the values are joined along the tree.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path};

use blake3::{
    Hasher,
    hazmat::{ChainingValue, HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root},
};
use rayon::prelude::*;
use tidegate_protocol::ContentHash;

/// Number of bytes of a subtree: a power of two of chunks, small enough for a processor's own cache.
const PART: u64 = 1 << 20;
/// Number of subtrees between two reports of progress. Small in tests, so that a small file has several.
const TOGETHER: u64 = if cfg!(test) { 8 } else { 256 };

/// Returns the hash and size of the file at `path`; `progress` is told the bytes hashed.
///
/// # Errors
/// Returns the error of opening or reading, or [`io::ErrorKind::UnexpectedEof`] if the file has shrunk meanwhile.
pub fn hash(path: &Path, progress: &mut dyn FnMut(u64)) -> io::Result<(ContentHash, u64)> {
    let file = tidegate_files::open_given(path)?;
    let size = file.metadata()?.len();
    let parts = size.div_ceil(PART);
    if parts <= 1 {
        let mut bytes = vec![0; size as usize];
        file.read_exact_at(&mut bytes, 0)?;
        progress(size);
        return Ok((ContentHash::of(&bytes), size));
    }
    let (mut values, mut at) = (Vec::with_capacity(parts as usize), 0);
    while at < parts {
        let end = parts.min(at + TOGETHER);
        let some: io::Result<Vec<_>> =
            (at..end).into_par_iter().map_init(Vec::new, |buffer, part| value(&file, part * PART, size, buffer)).collect();
        values.extend(some?);
        at = end;
        progress(size.min(at * PART));
    }
    let (left, right) = halves(&values);
    Ok((ContentHash(*merge_subtrees_root(&merged(left), &merged(right), Mode::Hash).as_bytes()), size))
}

/// Computes the value of the subtree beginning at byte `start`.
fn value(file: &File, start: u64, size: u64, buffer: &mut Vec<u8>) -> io::Result<ChainingValue> {
    buffer.resize((size - start).min(PART) as usize, 0);
    file.read_exact_at(buffer, start)?;
    let mut hasher = Hasher::new();
    hasher.set_input_offset(start).update(buffer);
    Ok(hasher.finalize_non_root())
}

/// Splits for a tree: the left half is the largest complete tree with something left on the right.
fn halves(values: &[ChainingValue]) -> (&[ChainingValue], &[ChainingValue]) {
    values.split_at(values.len().next_power_of_two() / 2)
}

fn merged(values: &[ChainingValue]) -> ChainingValue {
    if let [one] = values {
        return *one;
    }
    let (left, right) = halves(values);
    merge_subtrees_non_root(&merged(left), &merged(right), Mode::Hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_file_s_hash_whatever_its_size() {
        let dir = tempfile::tempdir().unwrap();
        let part = PART as usize;
        for size in [0, 1, 1024, part - 1, part, part + 1, 5 * part / 2, 3 * part, 4 * part, 7 * part + 3, 19 * part + 1025] {
            let (path, bytes) = (dir.path().join("file"), (0..size).map(|i| (i / 7) as u8).collect::<Vec<_>>());
            std::fs::write(&path, &bytes).unwrap();
            let mut told = 0;
            assert_eq!(hash(&path, &mut |done| told = done).unwrap(), (ContentHash::of(&bytes), size as u64), "{size}");
            assert_eq!(told, size as u64);
        }
        assert!(hash(&dir.path().join("none"), &mut |_| {}).is_err());
        assert!(hash(dir.path(), &mut |_| {}).is_err(), "a folder");
    }
}
