//! Groups beyond the memory limit: their sums so far lie on disk, in parts by a keyed hash of the key, added up part by part.
//!
//! However many groups a query makes, and whoever's rows make them, a worker's memory use stays the same: if memory ran out,
//! everybody's result would show it.

use std::sync::PoisonError;

use arrow::{
    array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, UInt64Array},
    buffer::Buffer,
    compute::take,
    datatypes::DataType,
};

use super::{
    Fold, LANES, UNITS,
    parts::{PARTS, Parts, Segment},
};
use crate::{RunError, sql::table::Table};

/// Divisor of the memory for a part being added up: keys and sums grow in steps.
const PART_OF_ROOM: usize = 4;
/// Minimum bytes of a piece: less is never worth another pass.
const LEAST_PIECE: usize = 64 << 10;

impl Parts<'_> {
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
