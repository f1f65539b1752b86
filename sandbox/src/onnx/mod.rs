//! ONNX models: admitted by their graph, scored elsewhere, reduced per unit here.
//!
//! The worker never runs a model: [`Inference`] does, in a process of its own. One run a unit, so a model that mixes the rows it is given can
//! mix one person's only.

mod admit;
mod proto;
mod run;
mod strict;

use arrow::array::Float32Array;

pub use admit::Model;

use crate::RunError;

/// Scores rows. Implemented by `node` over the gpu-runner.
pub trait Inference {
    /// One score a row, in order; `runs` says how many rows each run has. NaN stands for a failed run.
    ///
    /// # Errors
    /// [`RunError::Engine`] when the runner is gone.
    fn score(&mut self, features: &[Float32Array], runs: &[u32]) -> Result<Vec<f32>, RunError>;
}
