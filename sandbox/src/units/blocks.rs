//! Rows by block, in bounded memory: admission derives from public numbers how many blocks are held at a time
//! (`sql/cost/fit.rs`), and the files are read again for the others.

use std::{collections::BTreeMap, ops::Range};

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, RecordBatch, UInt32Array},
    compute::{concat_batches, take_record_batch},
    datatypes::{DataType, SchemaRef},
};

use tidegate_protocol::{job::Blocks, limits};

use super::{
    gather::{By, split_by},
    plain::plain,
    runs::UnitRef,
};
use crate::{Extent, RunError, prf::Prf, sql::Select};

/// Limits on rows held in memory.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Room {
    /// Bytes of rows read before the kept rows are copied out of their batches.
    pub(crate) window: usize,
    /// Maximum number of blocks kept at a time.
    pub(crate) blocks: u32,
    /// Maximum bytes of a block: more could not be passed to a guest, whose memory is no larger.
    pub(crate) block: usize,
}

impl Room {
    /// Derives the limits for the rows of `select` and guests with `memory` bytes.
    pub(crate) fn of(select: &Select, memory: usize) -> Self {
        Self { window: 64 << 20, blocks: select.reach.blocks.unwrap_or(u32::MAX), block: memory.min(limits::BLOCK_BYTES) }
    }
}

/// Calls `visit` for each of `blocks`, or each block of the piece, in order.
///
/// A block's rows come in parts, as columns made [`plain`]. A block with more than a guest could take gets `None`, which is what
/// its call would amount to.
///
/// # Errors
/// As for [`split_by`]; also errors of `visit`.
pub(crate) fn each_block(
    files: Extent<'_>,
    select: &Select,
    blocks: Blocks,
    prf: &[u8; 32],
    room: Room,
    ways: usize,
    visit: &mut dyn FnMut(Option<Vec<RecordBatch>>) -> Result<(), RunError>,
) -> Result<(), RunError> {
    let prf = Prf::new(prf, "blocks of units");
    let numbers = |unit: UnitRef<'_>, into: &mut Vec<u32>| unit.with_bytes(|unit| draw(&prf, unit, blocks, into));
    let by = By { of: plain, numbers };
    let Range { start: mut from, end: blocks } = files.blocks(blocks.number);
    while from < blocks {
        // Each thread has a share of the window.
        let share = Room { window: room.window / ways, ..room };
        // The count follows from public numbers: if it depended on the rows, one of them could force everything to be read again.
        let end = blocks.min(from.saturating_add(room.blocks.max(1)));
        let begin = || Kept { room: share, blocks: from..end, ..Kept::default() };
        let (mut parts, nobody) = split_by(files, select, ways, &by, begin, Kept::add)?;
        settle_all(&mut parts)?;
        for block in from..end {
            let held: Vec<Held> = parts.iter_mut().filter_map(|kept| kept.held.remove(&block)).collect();
            let over = held.iter().any(|held| held.over) || held.iter().map(|held| held.bytes).sum::<usize>() > room.block;
            let rows: Vec<RecordBatch> = held.into_iter().flat_map(|held| held.parts).collect();
            // An empty block is visited too: its number of units is not public.
            let rows = if rows.is_empty() { vec![nobody.clone()] } else { rows };
            visit((!over).then_some(rows))?;
        }
        from = end;
    }
    Ok(())
}

/// Reads rows as [`each_block`] does, and discards them.
///
/// # Errors
/// As for [`split_by`].
pub(crate) fn read(files: Extent<'_>, select: &Select) -> Result<(), RunError> {
    let ways = std::thread::available_parallelism().map_or(1, usize::from);
    let by = By { of: plain, numbers: |_: UnitRef<'_>, into: &mut Vec<u32>| into.push(0) };
    split_by(files, select, ways, &by, || (), |(), _, _| Ok(())).map(drop)
}

/// Copies the kept rows of all parts, with a thread per part.
fn settle_all(parts: &mut [Kept]) -> Result<(), RunError> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = parts.iter_mut().map(|kept| scope.spawn(|| kept.settle())).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(settled) => settled,
            Err(_) => Err(RunError::Engine("a thread died".into())),
        })
    })
}

/// Rows of some blocks.
#[derive(Default)]
struct Kept {
    room: Room,
    /// Blocks whose rows are kept.
    blocks: Range<u32>,
    schema: Option<SchemaRef>,
    /// Rows since the last copy: slices of larger batches, which they keep in memory.
    fresh: BTreeMap<u32, Vec<RecordBatch>>,
    /// Bytes of all rows read since the last copy.
    read: usize,
    held: BTreeMap<u32, Held>,
    bytes: usize,
}

#[derive(Default)]
struct Held {
    parts: Vec<RecordBatch>,
    bytes: usize,
    /// Whether the block has more than a guest could take; nothing is kept then.
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

    /// Copies the kept rows out of the batches read.
    ///
    /// # Errors
    /// Returns [`RunError::Engine`] if there are more bytes than public numbers allow.
    fn settle(&mut self) -> Result<(), RunError> {
        self.read = 0;
        let Some(schema) = &self.schema else { return Ok(()) };
        for (block, parts) in std::mem::take(&mut self.fresh) {
            let held = self.held.entry(block).or_default();
            if held.over {
                continue;
            }
            // Concatenating a single part would keep its whole batch in memory.
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
        if self.bytes > limits::BLOCKS_BYTES {
            return Err(RunError::Engine("rows by block outgrew their memory".into()));
        }
        Ok(())
    }
}

/// Returns the bytes of rows made [`plain`], however they are split into batches.
pub(crate) fn size(rows: &RecordBatch) -> usize {
    let between = |offsets: &[i32]| offsets.last().zip(offsets.first()).map_or(0, |(end, start)| (end - start) as usize);
    let one = |column: &ArrayRef| match column.data_type() {
        DataType::Boolean => 0,
        DataType::Utf8 => 4 * column.len() + between(column.as_string::<i32>().value_offsets()),
        DataType::Binary => 4 * column.len() + between(column.as_binary::<i32>().value_offsets()),
        _ => 8 * column.len(),
    };
    // One more byte per value for validity; for a flag it includes the value.
    rows.columns().iter().map(|column| column.len() + one(column)).sum()
}

/// Draws a unit's blocks, all distinct and each equally likely (Floyd's sampling: Bentley and Floyd 1987).
fn draw(prf: &Prf, unit: &[u8], blocks: Blocks, into: &mut Vec<u32>) {
    let first = into.len();
    for most in blocks.number - blocks.resample..blocks.number {
        let drawn = prf.below(most + 1, unit, most);
        into.push(if into[first..].contains(&drawn) { most } else { drawn });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each unit is in so many blocks, none twice, and all blocks have about as many.
    #[test]
    fn every_unit_is_in_as_many_blocks_as_any_other() {
        let prf = Prf::new(&[3; 32], "blocks of units");
        for (number, resample) in [(2, 1), (10, 1), (10, 9), (10, 4), (1000, 16)] {
            let mut sizes = vec![0u32; number as usize];
            let units = 20_000;
            for unit in 0..units {
                let mut mine = vec![];
                draw(&prf, &u32::to_le_bytes(unit), Blocks { number, resample }, &mut mine);
                mine.iter().for_each(|block| sizes[*block as usize] += 1);
                mine.sort_unstable();
                mine.dedup();
                assert_eq!(mine.len(), resample as usize);
            }
            let share = f64::from(resample) / f64::from(number);
            let (mean, deviation) = (f64::from(units) * share, (f64::from(units) * share * (1.0 - share)).sqrt());
            assert!(sizes.iter().all(|size| (f64::from(*size) - mean).abs() < 5.0 * deviation), "{number} {resample}: {sizes:?}");
        }
    }
}
