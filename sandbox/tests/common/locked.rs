//! A runner of a test's own, for one thread at a time.

use std::sync::{Arc, Mutex, MutexGuard};

use tidegate_sandbox::{
    RunError,
    onnx::{Inference, Values},
};

/// [`Inference`], of which nobody else has a part.
pub(crate) trait Alone: Send {
    fn slots(&self) -> usize;
    fn write(&mut self, input: usize, places: &[u32], columns: &[Values<'_>]);
    fn submit(&mut self, slot: usize, runs: &[u32]);
    fn wait(&mut self) -> usize;
    fn read(&mut self, slot: usize) -> Vec<f32>;
}

/// What threads may share.
pub(crate) struct Locked<T>(Mutex<T>);

impl<T: Alone> Locked<T> {
    pub(crate) fn shared(runner: T) -> Arc<Self> {
        Arc::new(Self(Mutex::new(runner)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }
}

impl<T: Alone> Inference for Locked<T> {
    fn slots(&self) -> usize {
        self.lock().slots()
    }

    fn write(&self, input: usize, places: &[u32], columns: &[Values<'_>]) {
        self.lock().write(input, places, columns);
    }

    fn submit(&self, slot: usize, runs: &[u32]) -> Result<(), RunError> {
        self.lock().submit(slot, runs);
        Ok(())
    }

    fn wait(&self) -> Result<usize, RunError> {
        Ok(self.lock().wait())
    }

    fn read(&self, slot: usize, into: &mut Vec<f32>) {
        *into = self.lock().read(slot);
    }
}
