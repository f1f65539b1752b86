//! Batches of one size with rows of any units, each at a place determined by its unit.

use std::{collections::VecDeque, ops::Range};

use super::{Inference, Model, NOWHERE, close::Closer, source::Rows};
use crate::{RunError, prf::Prf};

/// Maximum number of slots running, or waiting to run, while others are filled; otherwise a sixth of all slots.
const BUSY: usize = 16;

/// Batches being filled and batches being run.
pub(super) struct Batches<'a> {
    inference: &'a dyn Inference,
    /// Rows per batch.
    rows: u32,
    numbers: usize,
    most: usize,
    prf: Prf,
    slots: u64,
    /// Number of batches filled at a time.
    window: u64,
    /// First batch not submitted yet.
    base: u64,
    /// First batch not done yet; `done` tells for this and later batches whether they are done.
    front: u64,
    done: VecDeque<bool>,
    /// First batch in which each place is free.
    free: Vec<u64>,
    /// Number of places taken in each slot.
    taken: Vec<u32>,
    /// Owner of each place of each slot: [`NOBODY`], [`LONE`] or an index into `owners`.
    ///
    /// Kept small, as it is written at random.
    owned: Vec<u32>,
    /// Label of a lone row for each place of each slot; empty for a model without labels.
    labels: Vec<f64>,
    /// Open unit and its row number, by index; `unused` holds the indices free for reuse.
    owners: Vec<(u32, u32)>,
    unused: Vec<u32>,
    open: Vec<Open>,
    spare: Vec<u32>,
    current: Option<u32>,
    read: Vec<f32>,
    /// Places of the rows being added.
    places: Vec<u32>,
}

/// Owner of a free place.
const NOBODY: u32 = u32::MAX;
/// Owner of a place with the only row of its unit.
const LONE: u32 = NOBODY - 1;

/// Owner of a row.
enum Owner {
    /// The row is the only row of its unit, and has this label.
    Lone(f64),
    /// The row has this number in this open unit.
    Open(u32, u32),
}

/// Unit or block with numbers still to come.
#[derive(Default)]
struct Open {
    numbers: Vec<f32>,
    labels: Vec<f64>,
    /// Place of its first row.
    place: u32,
    rows: usize,
    /// Number of rows whose numbers have not come yet.
    left: u32,
    /// Whether no more rows follow.
    ended: bool,
}

/// Consecutive rows of a unit or block.
pub(super) struct Span<'n> {
    pub(super) rows: Range<usize>,
    /// Name of their unit or block, if its rows begin here.
    pub(super) begins: Option<&'n [u8]>,
    /// Whether more rows of the same unit or block may follow.
    pub(super) goes_on: bool,
}

impl<'a> Batches<'a> {
    pub(super) fn new(model: &Model, inference: &'a dyn Inference, key: &[u8; 32]) -> Self {
        let rows = model.spec.most();
        let slots = inference.slots();
        let busy = (slots / 6).clamp(1, BUSY);
        Self {
            rows,
            numbers: model.spec.numbers as usize,
            most: model.most,
            prf: Prf::new(key, "places of rows"),
            slots: slots as u64,
            window: (slots - busy).max(1) as u64,
            base: 0,
            front: 0,
            done: VecDeque::new(),
            free: vec![0; rows as usize],
            taken: vec![0; slots],
            owned: vec![NOBODY; slots * rows as usize],
            labels: if model.label.is_some() { vec![f64::NAN; slots * rows as usize] } else { vec![] },
            owners: vec![],
            unused: vec![],
            open: vec![],
            spare: vec![],
            current: None,
            read: vec![],
            places: vec![],
            inference,
        }
    }

    /// Begins a unit or block of possibly several rows.
    fn begin(&mut self, place: u32) {
        let at = self.spare.pop().unwrap_or_else(|| {
            self.open.push(Open::default());
            self.open.len() as u32 - 1
        });
        let open = &mut self.open[at as usize];
        open.numbers.clear();
        open.labels.clear();
        (open.place, open.rows, open.left, open.ended) = (place, 0, 0, false);
        self.current = Some(at);
    }

    /// Gives rows their places.
    ///
    /// The spans passed back by `each` name the rows' owners, and follow one another from the first row on.
    pub(super) fn add(
        &mut self,
        rows: &Rows,
        each: impl FnOnce(&mut dyn FnMut(Span<'_>) -> Result<(), RunError>) -> Result<(), RunError>,
        closer: &mut Closer<'_>,
    ) -> Result<(), RunError> {
        let mut written = 0;
        self.places.clear();
        each(&mut |span| {
            if let Some(name) = span.begins {
                self.end_current(closer)?;
                let place = self.prf.place(self.rows, name);
                if span.rows.len() == 1 && !span.goes_on {
                    return self.lone(rows, span.rows.start, place, &mut written, closer);
                }
                self.begin(place);
            }
            span.rows.into_iter().try_for_each(|row| self.row(rows, row, &mut written, closer))
        })?;
        self.write(rows, written);
        while self.taken[(self.base % self.slots) as usize] == self.rows && self.base < self.front + self.slots {
            self.submit(closer)?;
        }
        Ok(())
    }

    /// Places the only row of its unit.
    fn lone(
        &mut self,
        rows: &Rows,
        row: usize,
        place: u32,
        written: &mut usize,
        closer: &mut Closer<'_>,
    ) -> Result<(), RunError> {
        if rows.whole.as_ref().is_some_and(|whole| whole.is_null(row)) {
            self.places.push(NOWHERE);
            return closer.fail();
        }
        let label = rows.label.as_ref().map_or(f64::NAN, |labels| labels[row]);
        self.put(Owner::Lone(label), place, rows, written, closer)
    }

    /// Places a row of the current unit or block.
    fn row(&mut self, rows: &Rows, row: usize, written: &mut usize, closer: &mut Closer<'_>) -> Result<(), RunError> {
        let Some(at) = self.current else { return Err(RunError::Engine("a row without a privacy unit".into())) };
        let open = &mut self.open[at as usize];
        if open.rows >= self.most {
            self.places.push(NOWHERE);
            return Ok(());
        }
        let number = open.rows as u32;
        open.rows += 1;
        open.numbers.resize(open.numbers.len() + self.numbers, f32::NAN);
        let whole = rows.whole.as_ref().is_none_or(|whole| whole.is_valid(row));
        if let Some(labels) = &rows.label {
            // Same as for a lone row: whether another row may follow depends on the batch of rows that was read, and so on other
            // people's.
            open.labels.push(if whole { labels[row] } else { f64::NAN });
        }
        if !whole {
            self.places.push(NOWHERE);
            return Ok(());
        }
        open.left += 1;
        let place = (u64::from(open.place) + u64::from(number)) % u64::from(self.rows);
        self.put(Owner::Open(at, number), place as u32, rows, written, closer)
    }

    /// Gives a row the next batch with its place free.
    fn put(
        &mut self,
        owner: Owner,
        place: u32,
        rows: &Rows,
        written: &mut usize,
        closer: &mut Closer<'_>,
    ) -> Result<(), RunError> {
        let mut batch = self.free[place as usize].max(self.base);
        if batch >= self.base + self.window {
            // There is no room until the first batch is submitted, full or not. Rows with places are written first.
            self.write(rows, *written);
            *written += self.places.len();
            self.places.clear();
            while batch >= self.base + self.window {
                self.submit(closer)?;
            }
            batch = batch.max(self.base);
        }
        while batch >= self.front + self.slots {
            self.wait(closer)?;
        }
        self.free[place as usize] = batch + 1;
        let slot = (batch % self.slots) as usize;
        let address = slot as u32 * self.rows + place;
        self.taken[slot] += 1;
        self.owned[address as usize] = match owner {
            Owner::Lone(label) => {
                if let Some(of) = self.labels.get_mut(address as usize) {
                    *of = label;
                }
                LONE
            }
            Owner::Open(at, row) => {
                let number = self.unused.pop().unwrap_or_else(|| {
                    self.owners.push((at, row));
                    self.owners.len() as u32 - 1
                });
                self.owners[number as usize] = (at, row);
                number
            }
        };
        self.places.push(address);
        Ok(())
    }

    /// Writes the placed rows, starting with row `from`.
    fn write(&mut self, rows: &Rows, from: usize) {
        rows.write(self.inference, &self.places, from);
    }

    fn submit(&mut self, closer: &mut Closer<'_>) -> Result<(), RunError> {
        let slot = (self.base % self.slots) as usize;
        self.done.push_back(false);
        self.base += 1;
        if self.taken[slot] > 0 {
            return self.inference.submit(slot, &[self.rows]);
        }
        // The batch is empty.
        self.finish(slot, closer)
    }

    fn wait(&mut self, closer: &mut Closer<'_>) -> Result<(), RunError> {
        let slot = self.inference.wait()?;
        if slot >= self.taken.len() {
            return Err(RunError::Engine("the runner names a shared-memory buffer that does not exist".into()));
        }
        self.finish(slot, closer)
    }

    /// Takes the numbers of a finished slot.
    fn finish(&mut self, slot: usize, closer: &mut Closer<'_>) -> Result<(), RunError> {
        if self.taken[slot] > 0 {
            self.inference.read(slot, &mut self.read);
            let first = slot * self.rows as usize;
            for place in 0..self.rows as usize {
                let owner = std::mem::replace(&mut self.owned[first + place], NOBODY);
                let from = self.read.get(place * self.numbers..(place + 1) * self.numbers);
                let from = from.ok_or_else(|| RunError::Engine("the runner gave too few numbers".into()))?;
                let (at, row) = match owner {
                    NOBODY => continue,
                    LONE => {
                        closer.close(from, &[self.labels.get(first + place).copied().unwrap_or(f64::NAN)])?;
                        continue;
                    }
                    number => {
                        self.unused.push(number);
                        self.owners[number as usize]
                    }
                };
                let open = &mut self.open[at as usize];
                open.numbers[row as usize * self.numbers..][..self.numbers].copy_from_slice(from);
                open.left -= 1;
                if open.ended && open.left == 0 {
                    closer.close(&open.numbers, &open.labels)?;
                    self.spare.push(at);
                }
            }
            self.taken[slot] = 0;
        }
        let ahead = (slot as u64 + self.slots - self.front % self.slots) % self.slots;
        match self.done.get_mut(ahead as usize) {
            Some(done) => *done = true,
            None => return Err(RunError::Engine("the runner names a shared-memory buffer that does not exist".into())),
        }
        while self.done.front() == Some(&true) {
            self.done.pop_front();
            self.front += 1;
        }
        Ok(())
    }

    fn end_current(&mut self, closer: &mut Closer<'_>) -> Result<(), RunError> {
        let Some(at) = self.current.take() else { return Ok(()) };
        let open = &mut self.open[at as usize];
        open.ended = true;
        if open.left == 0 {
            closer.close(&open.numbers, &open.labels)?;
            self.spare.push(at);
        }
        Ok(())
    }

    /// Finishes all batches; no row follows.
    pub(super) fn end(mut self, closer: &mut Closer<'_>) -> Result<(), RunError> {
        self.end_current(closer)?;
        let last = self.free.iter().copied().max().unwrap_or(0);
        while self.base < last {
            self.submit(closer)?;
        }
        while self.front < self.base {
            self.wait(closer)?;
        }
        Ok(())
    }
}
