//! Where rows and numbers lie in the shared memory.
//!
//! So many slots one after the other, each with room for as many rows: an area for each input, row by row as a tensor lies, and one for the numbers that come out.

use crate::wire::Model;

/// Bytes of all slots together, unless a few large ones take more.
const BYTES: usize = 64 << 20;
/// Rows of all slots together: more would not help to fill batches, and leave a processor's caches.
const ROWS: usize = 128 << 10;
/// Fewest slots, and most.
const SLOTS: std::ops::RangeInclusive<usize> = 6..=288;
/// Every area begins at a multiple of so many bytes: what processors load at once.
const ALIGN: usize = 64;

/// Most bytes of shared memory: [`SLOTS`]' least, of the largest that are admitted.
pub const MOST_BYTES: u64 = 1 << 30;

/// Sizes and places, from a model's public numbers alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Slots.
    pub slots: usize,
    /// Rows of a slot.
    pub rows: usize,
    /// Of each input: where it begins in a slot, and bytes of a row.
    inputs: Vec<(usize, usize)>,
    /// Where the numbers begin in a slot.
    out: usize,
    /// Bytes of a slot.
    slot: usize,
}

impl Layout {
    /// For a model.
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

    /// Bytes of all.
    pub fn bytes(&self) -> u64 {
        (self.slot as u64).saturating_mul(self.slots as u64)
    }

    /// Where the values of row `row` of a slot begin for an input.
    #[inline]
    pub(crate) fn row(&self, slot: usize, input: usize, row: usize) -> usize {
        let (begin, bytes) = self.inputs[input];
        slot * self.slot + begin + row * bytes
    }

    /// Bytes of a row of an input.
    pub(crate) fn width(&self, input: usize) -> usize {
        self.inputs[input].1
    }

    /// Where a row counted over all slots begins.
    #[inline]
    pub(crate) fn place(&self, place: u32, input: usize) -> usize {
        // Batches have a power of two of rows: each row's division would cost as much as its copy.
        let rows = self.rows as u32;
        let (slot, row) = if rows.is_power_of_two() {
            (place >> rows.trailing_zeros(), place & (rows - 1))
        } else {
            (place / rows, place % rows)
        };
        self.row(slot as usize, input, row as usize)
    }

    /// Where the numbers of a slot begin.
    pub(crate) fn out(&self, slot: usize) -> usize {
        slot * self.slot + self.out
    }
}
