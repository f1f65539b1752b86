//! Groups beyond the memory limit: their sums so far lie on disk, in parts by a keyed hash of the key, added up part by part.
//!
//! However many groups a query makes, and whoever's rows make them, a worker's memory use stays the same: if memory ran out,
//! everybody's result would show it.

use std::{
    fs::File,
    io::Cursor,
    os::unix::fs::FileExt as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow::{
    array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, RecordBatch, UInt64Array},
    buffer::Buffer,
    compute::take,
    datatypes::{DataType, Field, Schema},
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::{Fold, LANES, UNITS};
use crate::{
    RunError,
    sql::{groups::converter, table::Table},
};

/// Number of parts.
const PARTS: usize = 64;
/// Divisor of the memory for a part being added up: keys and sums grow in steps.
const PART_OF_ROOM: usize = 4;
/// Minimum bytes of a piece: less is never worth another pass.
const LEAST_PIECE: usize = 64 << 10;

/// File for sums beyond the memory limit.
#[derive(Debug)]
pub struct Spill {
    file: File,
    end: AtomicU64,
    room: usize,
}

impl Spill {
    /// Creates a spill: groups take about `room` bytes of memory, and the others go to `file`, which should have no name.
    pub fn new(file: File, room: usize) -> Self {
        Self { file, end: AtomicU64::new(0), room }
    }

    /// Starts after the first `end` bytes of the file, which are kept.
    #[must_use]
    pub fn after(self, end: u64) -> Self {
        Self { end: AtomicU64::new(end), ..self }
    }

    /// Returns how many bytes of the file are written, or about to be.
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    /// Returns the share of the memory for each of `folds` folds.
    pub(in crate::sql) fn share(&self, folds: usize) -> usize {
        self.room / folds.max(1)
    }

    fn put(&self, bytes: &[u8]) -> std::io::Result<u64> {
        let at = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.write_all_at(bytes, at)?;
        Ok(at)
    }
}

/// Parts of a grouping set.
pub(in crate::sql) struct Parts<'a> {
    spill: &'a Spill,
    hash: SipHasher13,
    segments: Mutex<Vec<Segment>>,
}

/// Segments written by a piece of a job, by grouping set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written(pub(in crate::sql) Vec<Vec<Segment>>);

/// Some groups of a part, as a range of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sql) struct Segment {
    part: usize,
    at: u64,
    len: usize,
}

impl<'a> Parts<'a> {
    /// Creates parts without groups. No buyer can aim at collisions: `prf` keys the hash.
    pub(in crate::sql) fn new(spill: &'a Spill, prf: &[u8; 32]) -> Self {
        let seed = blake3::derive_key("tidegate parts of spilled groups", prf);
        Self { spill, hash: SipHasher13::new_with_key(&std::array::from_fn(|i| seed[i])), segments: Mutex::default() }
    }

    /// Returns the segments written so far.
    pub(in crate::sql) fn written(&self) -> Vec<Segment> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds groups written by others under the same `prf`.
    pub(in crate::sql) fn with(self, segments: impl IntoIterator<Item = Segment>) -> Self {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner).extend(segments);
        self
    }

    pub(in crate::sql) fn is_empty(&self) -> bool {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn hashes(&self, keys: &[ArrayRef]) -> Result<Vec<u64>, RunError> {
        let encoded = converter(keys.iter().map(|key| key.data_type()))?.convert_columns(keys)?;
        Ok(encoded.iter().map(|key| self.hash.hash(key.data())).collect())
    }

    /// Writes groups to the file, each part's together.
    fn put(&self, keys: &[ArrayRef], sums: ArrayRef) -> Result<(), RunError> {
        let hashes = self.hashes(keys)?;
        let mut order: Vec<u64> = (0..hashes.len() as u64).collect();
        order.sort_by_key(|&i| part_of(hashes[i as usize]));
        let order = UInt64Array::from(order);
        let columns = keys.iter().chain([&sums]).map(|c| Ok(take(c, &order, None)?)).collect::<Result<Vec<_>, RunError>>()?;
        let field = |(i, c): (usize, &ArrayRef)| Field::new(i.to_string(), c.data_type().clone(), true);
        let schema = Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>());
        let sorted = RecordBatch::try_new(schema.into(), columns)?;
        let of = |i: usize| part_of(hashes[order.value(i) as usize]);
        let mut start = 0;
        while start < order.len() {
            let part = of(start);
            let end = (start..order.len()).find(|&i| of(i) != part).unwrap_or(order.len());
            let mut writer = StreamWriter::try_new(Vec::new(), &sorted.schema())?;
            writer.write(&sorted.slice(start, end - start))?;
            let bytes = writer.into_inner()?;
            let at = self.spill.put(&bytes).map_err(|e| RunError::Engine(format!("groups do not fit on disk: {e}")))?;
            let segment = Segment { part, at, len: bytes.len() };
            self.segments.lock().unwrap_or_else(PoisonError::into_inner).push(segment);
            start = end;
        }
        Ok(())
    }

    /// Adds up the written groups, piece by piece: `fold` makes an empty fold, `done` takes a full fold. No key is in two folds.
    pub(in crate::sql) fn add_up<'f>(
        &self,
        fold: impl Fn() -> Fold<'f>,
        mut done: impl FnMut(Fold<'f>) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let segments = std::mem::take(&mut *self.segments.lock().unwrap_or_else(PoisonError::into_inner));
        for part in 0..PARTS {
            let mine: Vec<Segment> = segments.iter().copied().filter(|s| s.part == part).collect();
            let bytes: usize = mine.iter().map(|s| s.len).sum();
            let pieces = bytes.div_ceil((self.spill.room / PART_OF_ROOM).max(LEAST_PIECE)).max(1) as u64;
            for piece in 0..pieces {
                let mut sum = fold();
                for segment in &mine {
                    let (keys, sums) = self.read(*segment, piece, pieces)?;
                    sum.add_spilled(&keys, &sums)?;
                }
                done(sum)?;
            }
        }
        Ok(())
    }

    fn read(&self, segment: Segment, piece: u64, pieces: u64) -> Result<(Vec<ArrayRef>, ArrayRef), RunError> {
        let mut bytes = vec![0; segment.len];
        self.spill.file.read_exact_at(&mut bytes, segment.at).map_err(|e| RunError::Engine(e.to_string()))?;
        let mut reader = StreamReader::try_new(Cursor::new(bytes), None)?;
        let batch = reader.next().ok_or_else(|| RunError::Engine("an empty segment".into()))??;
        let mut columns = batch.columns().to_vec();
        if pieces > 1 {
            let hashes = self.hashes(&columns[..columns.len() - 1])?;
            let mine = (0u64..).zip(&hashes).filter(|(_, hash)| (**hash >> 32) % pieces == piece);
            let mine = mine.map(|(i, _)| i).collect::<UInt64Array>();
            columns = columns.iter().map(|c| Ok(take(c, &mine, None)?)).collect::<Result<_, RunError>>()?;
        }
        let sums = columns.pop().ok_or_else(|| RunError::Engine("a segment without sums".into()))?;
        Ok((columns, sums))
    }
}

/// Returns the part for a hash. Pieces of a part use other bits of the hash.
fn part_of(hash: u64) -> usize {
    hash as usize % PARTS
}

impl Fold<'_> {
    /// Returns the bytes of a group in the form of [`Fold::written`].
    fn written_bytes(&self) -> usize {
        8 + 16 * self.width + 8 * (self.stride - LANES - self.width)
    }

    /// Spills groups beyond the fold's share of memory.
    ///
    /// Called between batches, when an open unit has its place among the groups and nothing in them.
    pub(super) fn make_room(&mut self) -> Result<(), RunError> {
        let Some((_, room)) = self.spill else { return Ok(()) };
        let Some(table) = &self.table else { return Ok(()) };
        let bytes = table.groups.size() + 8 * self.sums.capacity() + 16 * self.moved.capacity();
        if bytes <= room { Ok(()) } else { self.write_down() }
    }

    /// Spills all groups in which somebody counts.
    pub(in crate::sql) fn write_down(&mut self) -> Result<(), RunError> {
        let (Some((parts, _)), Some(mut table)) = (self.spill, self.table.take()) else { return Ok(()) };
        self.move_on();
        let count = table.groups.len();
        let keys = table.groups.take()?;
        let some: Vec<u64> =
            (0..self.groups().min(count)).filter(|i| self.sums[i * self.stride + UNITS] > 0).map(|i| i as u64).collect();
        let sums = self.written(&some)?;
        (self.sums, self.moved) = (Vec::new(), Vec::new());
        let pick = |rows: UInt64Array| keys.iter().map(|k| Ok(take(k, &rows, None)?)).collect::<Result<Vec<_>, RunError>>();
        if !some.is_empty() {
            parts.put(&pick(some.into())?, sums)?;
        }
        // The open unit's groups, with new numbers.
        let held = self.open.len();
        let open = pick(self.open.iter().chain(&self.lost).map(|n| u64::from(*n)).collect())?;
        let mut fresh = Table::new(&keys, self.declared)?;
        if open.first().is_some_and(|o| !o.is_empty()) {
            fresh.groups.number(&open, &mut fresh.numbers)?;
            let numbers: Vec<u32> = fresh.numbers.iter().map(|n| *n as u32).collect();
            (self.open, self.lost) = (numbers[..held].to_vec(), numbers[held..].to_vec());
            self.index();
            self.sums.resize(fresh.groups.len() * self.stride, 0);
            self.moved.resize(fresh.groups.len() * self.width, 0);
        }
        self.table = Some(fresh);
        Ok(())
    }

    /// Encodes units, sums and bins of some groups.
    fn written(&self, groups: &[u64]) -> Result<ArrayRef, RunError> {
        let bytes = self.written_bytes();
        let mut out = Vec::with_capacity(groups.len() * bytes);
        for &group in groups {
            let at = group as usize;
            let numbers = &self.sums[at * self.stride..][..self.stride];
            out.extend_from_slice(&numbers[UNITS].to_le_bytes());
            for sum in &self.moved[at * self.width..][..self.width] {
                out.extend_from_slice(&sum.to_le_bytes());
            }
            for bin in &numbers[LANES + self.width..] {
                out.extend_from_slice(&bin.to_le_bytes());
            }
        }
        let array = FixedSizeBinaryArray::try_new(bytes as i32, Buffer::from_vec(out), None)?;
        Ok(std::sync::Arc::new(array))
    }

    /// Adds spilled groups.
    fn add_spilled(&mut self, keys: &[ArrayRef], written: &ArrayRef) -> Result<(), RunError> {
        if *written.data_type() != DataType::FixedSizeBinary(self.written_bytes() as i32) {
            return Err(RunError::Engine("a segment of another shape".into()));
        }
        let (mut sums, mut moved) = (Vec::new(), Vec::new());
        for record in written.as_fixed_size_binary().iter().flatten() {
            let (units, rest) = record.split_at(8);
            let (wide, bins) = rest.split_at(16 * self.width);
            sums.extend([0, i64::from_le_bytes(std::array::from_fn(|i| units[i]))]);
            sums.resize(sums.len() + self.width, 0);
            sums.extend(bins.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)));
            moved.extend(wide.as_chunks().0.iter().map(|b| i128::from_le_bytes(*b)));
        }
        self.add_groups(keys, &sums, &moved, None)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Decimal128Array;

    use super::*;

    /// Decimals that a hash by multiplication has in one place whatever its seed, since its factor is a public constant, lie in all parts.
    #[test]
    fn keys_that_were_chosen_lie_in_all_parts() {
        const FACTOR: i128 = 0xc0ac_29b7_c97c_50dd;
        let keys: ArrayRef = Arc::new((0..4096).map(|i| FACTOR << 64 | i).collect::<Decimal128Array>());
        let spill = Spill::new(tempfile::tempfile().unwrap(), 1 << 20);
        let parts = |prf| {
            let hashes = Parts::new(&spill, &[prf; 32]).hashes(std::slice::from_ref(&keys)).unwrap();
            hashes.into_iter().map(part_of).collect::<Vec<_>>()
        };
        let (one, other) = (parts(1), parts(2));
        for part in 0..PARTS {
            let here = one.iter().filter(|of| **of == part).count();
            assert!((16..=160).contains(&here), "{here} of 4096 keys are in part {part}");
        }
        assert_ne!(one, other, "where keys lie follows from the secret");
    }
}
