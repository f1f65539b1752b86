//! Format of a journal, and recovery of a file from its journal.
//!
//! A piece consists of: magic, epoch, sequence, length of its acts, the file's first bytes as they were before, BLAKE3 digest of
//! all these and of the acts; then the acts: offset, length, bytes. All numbers are little-endian. A length of [`RESIZE`] means
//! that the file's size becomes `offset` bytes.

use std::{io::Result, ops::Range};

use redb::StorageBackend;

pub(super) const MAGIC: [u8; 8] = *b"tgredo01";
/// Number of leading bytes identifying the file: the database's header is among them.
pub(super) const HEAD: usize = 512;
pub(super) const DIGEST_AT: usize = 8 + 16 + 8 + 8 + HEAD;
pub(super) const HEADER: usize = DIGEST_AT + blake3::OUT_LEN;
pub(super) const ACT: usize = 8 + 4;
pub(super) const RESIZE: u32 = u32::MAX;

/// Change of the file.
pub(super) enum Act<'a> {
    Write(u64, &'a [u8]),
    Resize(u64),
}

fn number(bytes: &[u8]) -> u64 {
    let mut number = [0; 8];
    number[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(number)
}

/// Lists the acts of a piece. Ends at an incomplete act, of which a piece with the right digest has none.
pub(super) fn acts(mut left: &[u8]) -> impl Iterator<Item = Act<'_>> {
    std::iter::from_fn(move || {
        let (offset, length) = (number(left.get(..8)?), u32::from_le_bytes(left.get(8..ACT)?.try_into().ok()?));
        if length == RESIZE {
            left = &left[ACT..];
            return Some(Act::Resize(offset));
        }
        let data = left.get(ACT..ACT + length as usize)?;
        left = &left[ACT + length as usize..];
        Some(Act::Write(offset, data))
    })
}

/// Returns the overlap of `data` at `offset` with `length` bytes from `from` on: the range there, and its start in the data.
fn overlap(from: u64, length: usize, offset: u64, data: usize) -> Option<(Range<usize>, usize)> {
    let (begin, end) = (from.max(offset), (from + length as u64).min(offset + data as u64));
    (begin < end).then(|| ((begin - from) as usize..(end - from) as usize, (begin - offset) as usize))
}

/// Applies an act to `out`, which holds the file's content from `from` on.
pub(super) fn overlay(out: &mut [u8], from: u64, act: &Act<'_>) {
    match act {
        Act::Write(offset, data) => {
            if let Some((range, start)) = overlap(from, out.len(), *offset, data.len()) {
                let count = range.len();
                out[range].copy_from_slice(&data[start..start + count]);
            }
        }
        // Bytes cut off come back as zeros.
        Act::Resize(len) => {
            let kept = len.saturating_sub(from).min(out.len() as u64) as usize;
            out[kept..].fill(0);
        }
    }
}

/// Applies an act to the file.
pub(super) fn act(file: &impl StorageBackend, act: &Act<'_>) -> Result<()> {
    match act {
        Act::Write(offset, data) => file.write(*offset, data),
        Act::Resize(len) => file.set_len(*len),
    }
}

/// Returns the first bytes, which identify a file, padded with zeros.
pub(super) fn head(file: &impl StorageBackend) -> Result<[u8; HEAD]> {
    let mut head = [0; HEAD];
    let there = file.len()?.min(HEAD as u64) as usize;
    file.read(0, &mut head[..there])?;
    Ok(head)
}

/// Computes the digest of a piece.
pub(super) fn digest(header: &[u8], acts: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&header[..DIGEST_AT]).update(acts);
    hasher.finalize()
}

/// Reads the piece at `at`, if complete and next to the previous piece.
fn piece(journal: &impl StorageBackend, at: u64, before: Option<([u8; 16], u64)>) -> Result<Option<Vec<u8>>> {
    let left = journal.len()?.saturating_sub(at);
    if left < HEADER as u64 {
        return Ok(None);
    }
    let mut piece = vec![0; HEADER];
    journal.read(at, &mut piece)?;
    let (sequence, length) = (number(&piece[24..32]), number(&piece[32..40]));
    let follows = before.map_or(sequence == 0, |(epoch, last)| piece[8..24] == epoch && sequence == last + 1);
    if piece[..8] != MAGIC || !follows || length > left - HEADER as u64 {
        return Ok(None);
    }
    piece.resize(HEADER + length as usize, 0);
    journal.read(at + HEADER as u64, &mut piece[HEADER..])?;
    let (header, acts) = piece.split_at(HEADER);
    Ok((digest(header, acts) == header[DIGEST_AT..]).then_some(piece))
}

fn each(journal: &impl StorageBackend, mut see: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let (mut at, mut before) = (0, None);
    while let Some(piece) = piece(journal, at, before)? {
        see(&piece)?;
        at += piece.len() as u64;
        let mut epoch = [0; 16];
        epoch.copy_from_slice(&piece[8..24]);
        before = Some((epoch, number(&piece[24..32])));
    }
    Ok(())
}

/// Writes the journal's content to the file, and empties the journal.
///
/// Returns false, with nothing changed, if the journal does not belong to this file, as when another file was put in its place.
pub(super) fn recover(file: &impl StorageBackend, journal: &impl StorageBackend) -> Result<bool> {
    let (found, mut some, mut known) = (head(file)?, false, false);
    each(journal, |piece| {
        some = true;
        let mut head = [0; HEAD];
        head.copy_from_slice(&piece[40..DIGEST_AT]);
        known |= head == found;
        for each in acts(&piece[HEADER..]) {
            overlay(&mut head, 0, &each);
            known |= head == found;
        }
        Ok(())
    })?;
    if some && !known {
        return Ok(false);
    }
    if some {
        each(journal, |piece| {
            acts(&piece[HEADER..]).try_for_each(|each| {
                // The file was longer then, if a later piece truncates it.
                if let Act::Write(offset, data) = each
                    && file.len()? < offset + data.len() as u64
                {
                    file.set_len(offset + data.len() as u64)?;
                }
                act(file, &each)
            })
        })?;
        file.sync_data()?;
    }
    if journal.len()? > 0 {
        journal.set_len(0)?;
        journal.sync_data()?;
    }
    Ok(true)
}
