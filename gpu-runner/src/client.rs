//! The client side: the worker, over two pipes and shared memory.

use std::{
    fs::File,
    io::{Read, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tidegate_lockdown::Standing;

use crate::{
    error::{InferenceFailed, failed},
    layout::Layout,
    shared::{Plain, Shared},
    wire::{Loaded, Model, number, read, write, write_runs},
};

/// Index of a row not to be written.
const NOWHERE: u32 = u32::MAX;

/// A loaded model at the other end of two pipes. Several threads may use slots of the model, each its own.
pub struct Client<W: Write, R: Read> {
    to: Mutex<W>,
    from: Mutex<R>,
    memory: Shared,
    layout: Layout,
    numbers: usize,
    by_row: bool,
    runtime: String,
    walls: Standing,
    /// Number of runs and rows of each slot being run.
    busy: Mutex<Vec<Option<(usize, usize)>>>,
}

impl<W: Write, R: Read> std::fmt::Debug for Client<W, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({:?})", self.layout)
    }
}

impl<W: Write, R: Read> Client<W, R> {
    /// Sets the size of `memory`, sends the model and waits for the runner to load it.
    ///
    /// # Errors
    /// Returns [`InferenceFailed`] if the runtime refuses it or the runner dies.
    pub fn load(mut to: W, mut from: R, memory: &File, model: &Model) -> Result<Self, InferenceFailed> {
        let layout = Layout::of(model);
        let memory = Shared::create(memory, layout.bytes())?;
        write(&mut to, model)?;
        let (runtime, walls) = match read(&mut from)? {
            Loaded::Ready(runtime, walls) => (runtime, walls),
            Loaded::Refused(why) => return Err(InferenceFailed(why)),
        };
        let busy = Mutex::new(vec![None; layout.slots]);
        let (to, from) = (Mutex::new(to), Mutex::new(from));
        Ok(Self { to, from, memory, numbers: model.numbers as usize, by_row: model.by_row, runtime, walls, busy, layout })
    }

    /// Returns the runtime's name, version and build.
    pub fn runtime(&self) -> &str {
        &self.runtime
    }

    /// Returns the confinement reported by the runner.
    pub fn walls(&self) -> Standing {
        self.walls
    }

    /// Returns the number of slots.
    pub fn slots(&self) -> usize {
        self.layout.slots
    }

    /// Writes some rows of an input: value `i` of each of its `columns` for the row at `places[i]`, counted over all slots.
    /// `u32::MAX` skips a row.
    pub fn write<T: Plain>(&self, input: usize, places: &[u32], columns: &[&[T]]) {
        for (row, place) in places.iter().enumerate().filter(|(_, place)| **place != NOWHERE) {
            self.memory.put_row(self.layout.place(*place, input), columns, row);
        }
    }

    /// Writes all values of a row of an input as raw bytes. Does nothing if the number of bytes is not a row's.
    pub fn write_row(&self, input: usize, place: u32, bytes: &[u8]) {
        if place != NOWHERE && bytes.len() == self.layout.width(input) {
            self.memory.put_all(self.layout.place(place, input), bytes);
        }
    }

    /// Submits a slot. `runs` has the number of rows in each run, in order.
    ///
    /// # Errors
    /// Returns [`InferenceFailed`] if the runner is gone.
    pub fn submit(&self, slot: usize, runs: &[u32]) -> Result<(), InferenceFailed> {
        hold(&self.busy)[slot] = Some((runs.len(), runs.iter().map(|n| *n as usize).sum()));
        write_runs(&mut *hold(&self.to), slot as u32, runs)
    }

    /// Waits for a slot whose runs are done.
    ///
    /// # Errors
    /// Returns [`InferenceFailed`] if the runner is gone, or names a slot that was not submitted.
    pub fn wait(&self) -> Result<usize, InferenceFailed> {
        let slot = number(&mut *hold(&self.from))?.ok_or_else(|| failed("the runner ended"))? as usize;
        match hold(&self.busy).get(slot) {
            Some(Some(_)) => Ok(slot),
            _ => Err(failed("the runner names a shared-memory buffer that does not exist")),
        }
    }

    /// Reads the numbers computed for a slot.
    pub fn read(&self, slot: usize, into: &mut Vec<f32>) {
        into.clear();
        let ran = hold(&self.busy)[slot].take();
        if let Some((runs, rows)) = ran {
            let many = if self.by_row { rows } else { runs } * self.numbers;
            self.memory.get_all(self.layout.out(slot), many, into);
        }
    }
}

fn hold<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
