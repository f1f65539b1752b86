//! Access to a model's runner for threads calling a component.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use arrow::{
    array::BinaryArray,
    buffer::{Buffer, OffsetBuffer},
};

use super::{
    beside::Beside,
    inference::{Inference, Values},
};
use crate::RunError;

/// Model and runner shared by threads, each of which holds a slot during a request.
pub(crate) struct Desk {
    pub(crate) model: Arc<Beside>,
    inference: Arc<dyn Inference>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Slots not held by any thread.
    free: Vec<usize>,
    /// Slots with finished runs not collected yet.
    done: Vec<usize>,
    /// Whether a thread is waiting for the runner on behalf of all.
    waited_for: bool,
    /// Error message, if the runner is gone.
    broken: Option<String>,
}

impl Desk {
    pub(crate) fn new(model: Arc<Beside>, inference: Arc<dyn Inference>) -> Self {
        let state = State { free: (0..inference.slots()).collect(), done: vec![], waited_for: false, broken: None };
        Self { model, inference, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Returns the numbers for `rows` rows, given each input's bytes in `inputs`: NaN if the run failed.
    ///
    /// # Errors
    /// Returns [`RunError::Engine`] if the runner is gone; [`Desk::end`] then returns it too.
    pub(crate) fn compute(&self, rows: u32, inputs: Vec<Vec<u8>>) -> Result<Vec<f32>, RunError> {
        let model = &*self.model;
        let slot = {
            let mut state = self.lock();
            loop {
                if let Some(slot) = state.free.pop() {
                    break slot;
                }
                // Threads that hold a slot wait for the runner.
                state = self.sound(state)?;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        };
        let step = if model.graph.one { model.spec().step() as u32 } else { 1 };
        let first = slot as u32 * model.spec().most();
        let places: Vec<u32> = (0..rows).map(|row| first + row * step).collect();
        for (number, (column, bytes)) in model.spec().inputs.iter().zip(inputs).enumerate() {
            let lengths = OffsetBuffer::from_lengths(std::iter::repeat_n(column.bytes(), rows as usize));
            let all = BinaryArray::new(lengths, Buffer::from_vec(bytes), None);
            self.inference.write(number, &places, &[Values::Rows(&all, 0)]);
        }
        let runs = if model.graph.one { vec![1; rows as usize] } else { vec![rows] };
        let submitted = self.inference.submit(slot, &runs);
        let mut state = self.lock();
        if let Err(e) = submitted {
            state.broken.get_or_insert(e.to_string());
            self.changed.notify_all();
        }
        while !state.done.contains(&slot) {
            state = self.wait(state)?;
        }
        state.done.retain(|done| *done != slot);
        drop(state);
        let mut numbers = vec![];
        self.inference.read(slot, &mut numbers);
        self.lock().free.push(slot);
        self.changed.notify_all();
        Ok(numbers)
    }

    /// Returns the state, or an error if the runner is gone.
    fn sound<'a>(&'a self, state: MutexGuard<'a, State>) -> Result<MutexGuard<'a, State>, RunError> {
        match &state.broken {
            Some(why) => Err(RunError::Engine(why.clone())),
            None => Ok(state),
        }
    }

    /// Waits until something may have changed.
    ///
    /// Of the threads with unfinished runs, one waits for the runner and the others for this thread.
    fn wait<'a>(&'a self, state: MutexGuard<'a, State>) -> Result<MutexGuard<'a, State>, RunError> {
        let mut state = self.sound(state)?;
        if state.waited_for {
            return Ok(self.changed.wait(state).unwrap_or_else(PoisonError::into_inner));
        }
        state.waited_for = true;
        drop(state);
        let came = self.inference.wait();
        let mut state = self.lock();
        state.waited_for = false;
        match came {
            Ok(slot) => state.done.push(slot),
            Err(e) => _ = state.broken.get_or_insert(e.to_string()),
        }
        self.changed.notify_all();
        Ok(state)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the use of the runner; no call follows.
    ///
    /// # Errors
    /// Returns [`RunError::Engine`] if the runner has gone: anything computed from its numbers since then is worthless.
    pub(crate) fn end(&self) -> Result<(), RunError> {
        self.lock().broken.take().map_or(Ok(()), |why| Err(RunError::Engine(why)))
    }
}
