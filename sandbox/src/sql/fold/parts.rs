//! Parts of the groups beyond the memory limit, on disk, by a keyed hash of the key.

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
    array::{ArrayRef, RecordBatch, UInt64Array},
    compute::take,
    datatypes::{Field, Schema},
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use crate::{RunError, sql::groups::converter};

/// Number of parts.
pub(super) const PARTS: usize = 64;

/// File for sums beyond the memory limit.
#[derive(Debug)]
pub struct Spill {
    file: File,
    end: AtomicU64,
    pub(super) room: usize,
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
    pub(super) spill: &'a Spill,
    hash: SipHasher13,
    pub(super) segments: Mutex<Vec<Segment>>,
}

/// Segments written by a piece of a job, by grouping set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written(pub(in crate::sql) Vec<Vec<Segment>>);

/// Some groups of a part, as a range of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sql) struct Segment {
    pub(super) part: usize,
    at: u64,
    pub(super) len: usize,
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
    pub(super) fn put(&self, keys: &[ArrayRef], sums: ArrayRef) -> Result<(), RunError> {
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

    pub(super) fn read(&self, segment: Segment, piece: u64, pieces: u64) -> Result<(Vec<ArrayRef>, ArrayRef), RunError> {
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
