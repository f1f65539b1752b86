//! Rows by block, in bounded memory: as many blocks at a time as there is room for, and the files are read again for the others.

use std::{collections::BTreeMap, fs::File, ops::Range};

use arrow::{
    array::{RecordBatch, UInt32Array},
    compute::{concat_batches, take_record_batch},
    datatypes::{Schema, SchemaRef},
};

use tidegate_protocol::limits;

use super::values;
use crate::{RunError, sql::Select, units::each_batch_by};

/// How much of the rows lies in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Bytes of rows that are read before those that are kept are copied out of what was read.
    pub(super) window: usize,
    /// Bytes of rows that are kept, of all blocks.
    pub(super) all: usize,
    /// Of one block: one with more could not be handed to a guest, whose memory is no larger.
    pub(super) block: usize,
}

impl Room {
    /// For guests of so many bytes of memory.
    pub(super) fn of(memory: usize) -> Self {
        Self { window: 64 << 20, all: 512 << 20, block: memory.min(limits::BLOCK_BYTES) }
    }
}

/// Calls `visit` for each of `blocks` blocks, in order, with its rows as columns made [`values::plain`]; with nothing for one that has more than a guest
/// could take, which is what its call would come to.
///
/// # Errors
/// As [`each_batch_by`]; `visit`'s own.
pub(super) fn each_block(
    files: &[File],
    select: &Select,
    blocks: u32,
    prf: &[u8; 32],
    room: Room,
    visit: &mut dyn FnMut(Option<RecordBatch>) -> Result<(), RunError>,
) -> Result<(), RunError> {
    let mut from = 0;
    while from < blocks {
        let mut kept = Kept { room, blocks: from..blocks, ..Kept::default() };
        each_batch_by(
            files,
            select,
            values::plain,
            |unit| unit.with_bytes(|unit| block_of(unit, blocks, prf)),
            |block, rows| kept.add(block, rows),
        )?;
        kept.settle()?;
        for block in kept.blocks.clone() {
            // An empty block is called too: its number of units is not public.
            visit(match (kept.held.remove(&block), &kept.schema) {
                (Some(Held { over: true, .. }), _) => None,
                (Some(held), Some(schema)) => Some(concat_batches(schema, &held.parts)?),
                _ => Some(RecordBatch::new_empty(Schema::empty().into())),
            })?;
        }
        from = kept.blocks.end;
    }
    Ok(())
}

impl Default for Room {
    fn default() -> Self {
        Self::of(usize::MAX)
    }
}

/// The rows of some blocks.
#[derive(Default)]
struct Kept {
    room: Room,
    /// Whose rows are kept: fewer, where there is no room for all.
    blocks: Range<u32>,
    schema: Option<SchemaRef>,
    /// Rows since the last copy: parts of larger batches, which they keep in memory.
    fresh: BTreeMap<u32, Vec<RecordBatch>>,
    /// Bytes of all rows since the last copy.
    read: usize,
    held: BTreeMap<u32, Held>,
    bytes: usize,
}

#[derive(Default)]
struct Held {
    parts: Vec<RecordBatch>,
    bytes: usize,
    /// More than a guest could take: nothing is kept.
    over: bool,
}

impl Kept {
    fn add(&mut self, block: u32, rows: RecordBatch) -> Result<(), RunError> {
        self.read += size(&rows);
        self.schema.get_or_insert_with(|| rows.schema());
        if self.blocks.contains(&block) {
            self.fresh.entry(block).or_default().push(rows);
        }
        if self.read > self.room.window { self.settle() } else { Ok(()) }
    }

    /// Copies what is kept, and lets go of the last blocks where it is too much.
    fn settle(&mut self) -> Result<(), RunError> {
        self.read = 0;
        let Some(schema) = &self.schema else { return Ok(()) };
        for (block, parts) in std::mem::take(&mut self.fresh) {
            let held = self.held.entry(block).or_default();
            if held.over {
                continue;
            }
            // Of one part the whole batch would be kept.
            let copy = match parts.as_slice() {
                [one] => take_record_batch(one, &UInt32Array::from_iter_values(0..one.num_rows() as u32))?,
                parts => concat_batches(schema, parts)?,
            };
            held.bytes += size(&copy);
            self.bytes += size(&copy);
            held.parts.push(copy);
            if held.bytes > self.room.block {
                self.bytes -= std::mem::take(&mut held.bytes);
                (held.parts, held.over) = (vec![], true);
            }
        }
        while self.bytes > self.room.all && self.held.len() > 1 {
            if let Some((block, held)) = self.held.pop_last() {
                self.bytes -= held.bytes;
                self.blocks.end = block;
            }
        }
        Ok(())
    }
}

pub(super) fn size(rows: &RecordBatch) -> usize {
    // A column whose size is not to be had has none of its own.
    rows.columns().iter().map(|c| c.to_data().get_slice_memory_size().unwrap_or_default()).sum()
}

/// A unit's block: a keyed PRF of the unit alone.
fn block_of(unit: &[u8], blocks: u32, prf: &[u8; 32]) -> u32 {
    let hash = blake3::keyed_hash(prf, unit);
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    // 64 bits against at most 2^20 blocks: the bias is below 2^-44.
    (u64::from_le_bytes(first) % u64::from(blocks)) as u32
}
