//! Layout of rows and numbers in the shared memory.
//!
//! The memory is a sequence of slots, each with room for the same number of rows: an area for each input, row by row as in a
//! tensor, and an area for the output numbers.

use crate::wire::Model;

/// Bytes of all slots together, unless the minimum number of large slots takes more.
const BYTES: usize = 64 << 20;
/// Rows of all slots together: more would not help to fill batches, and would not fit in a processor's caches.
const ROWS: usize = 128 << 10;
/// Range of the number of slots.
const SLOTS: std::ops::RangeInclusive<usize> = 6..=288;
/// Alignment of every area in bytes: the width of a processor's loads.
const ALIGN: usize = 64;

/// Maximum bytes of shared memory: the minimum of [`SLOTS`], at the largest admitted size.
pub const MOST_BYTES: u64 = 1 << 30;

/// Sizes and offsets, from a model's public numbers alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Number of slots.
    pub slots: usize,
    /// Rows of a slot.
    pub rows: usize,
    /// Offset in a slot and bytes of a row, for each input.
    inputs: Vec<(usize, usize)>,
    /// Offset of the output numbers in a slot.
    out: usize,
    /// Bytes of a slot.
    slot: usize,
}

impl Layout {
    /// Computes the layout for a model.
    pub fn of(model: &Model) -> Self {
        let mut at = 0usize;
        let mut area = |bytes: usize| {
            let begin = at;
            at = at.saturating_add(bytes).next_multiple_of(ALIGN);
            begin
        };
        let rows = model.rows as usize;
        let inputs = model.inputs.iter().map(|input| (area(rows.saturating_mul(input.bytes())), input.bytes())).collect();
        let out = area(rows.saturating_mul(model.numbers as usize).saturating_mul(4));
        let slots = (BYTES / at.max(1)).min(ROWS / rows.max(1)).clamp(*SLOTS.start(), *SLOTS.end());
        Self { slots, rows, inputs, out, slot: at }
    }

    /// Returns the bytes of all slots.
    pub fn bytes(&self) -> u64 {
        (self.slot as u64).saturating_mul(self.slots as u64)
    }

    /// Returns the offset of the values of row `row` of a slot for an input.
    #[inline]
    pub(crate) fn row(&self, slot: usize, input: usize, row: usize) -> usize {
        let (begin, bytes) = self.inputs[input];
        slot * self.slot + begin + row * bytes
    }

    /// Returns the bytes of a row of an input.
    pub(crate) fn width(&self, input: usize) -> usize {
        self.inputs[input].1
    }

    /// Returns the offset of a row whose index is counted over all slots.
    #[inline]
    pub(crate) fn place(&self, place: u32, input: usize) -> usize {
        // Batches have a power of two of rows: a division per row would cost as much as its copy.
        let rows = self.rows as u32;
        let (slot, row) = if rows.is_power_of_two() {
            (place >> rows.trailing_zeros(), place & (rows - 1))
        } else {
            (place / rows, place % rows)
        };
        self.row(slot as usize, input, row as usize)
    }

    /// Returns the offset of a slot's output numbers.
    pub(crate) fn out(&self, slot: usize) -> usize {
        slot * self.slot + self.out
    }
}
