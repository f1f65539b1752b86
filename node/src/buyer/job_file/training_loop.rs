//! `[loop]` of a job file: a training run.

use serde::{Deserialize, Serialize};
use tidegate_protocol::job::{Output, Reducer};

use super::sections::{WasmFile, wrong};
use crate::NodeError;

/// Maximum number of rounds of a run.
const ROUNDS: u32 = 10_000;

/// Largest rate and weight, in magnitude: beyond this, squares come close to a float's limit, and the run does not recover.
const LARGEST: f64 = 1e150;

/// `[loop]` of a job file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoopFile {
    /// Number of rounds. The job's epsilon or rho is for all of them together.
    pub rounds: u32,
    /// Learning rate: multiple of the mean gradient by which the weights go down in a round.
    pub rate: f64,
    /// Divisor of the released sum: a public number, by default the policy's `unit.max_units`.
    pub units: Option<u64>,
    /// Weight decay: fraction of themselves, times `rate`, by which the weights shrink in a round.
    #[serde(default)]
    pub decay: f64,
    /// Whether the result is the mean of the weights of the later half of the rounds: less noise (Polyak and Juditsky 1992).
    #[serde(default = "yes")]
    pub average: bool,
    /// Initial weights; zeros by default.
    pub start: Option<Vec<f64>>,
}

fn yes() -> bool {
    true
}

impl LoopFile {
    /// Returns the weights `now` if there are `len` of them, as the component has; otherwise the initial weights.
    pub(crate) fn start_or(&self, now: &[f64], len: usize) -> Result<Vec<f64>, NodeError> {
        if now.len() == len {
            return Ok(now.to_vec());
        }
        let start = self.start.clone().unwrap_or_else(|| vec![0.0; len]);
        if start.len() != len {
            return Err(wrong("loop.start", format!("loop.start has {} numbers, and the vector output has {len}", start.len())));
        }
        Ok(start)
    }

    /// Moves `weights` by a released sum of gradients.
    pub(crate) fn step(&self, weights: &mut [f64], sum: &[f64], units: f64) {
        for (w, g) in weights.iter_mut().zip(sum) {
            *w -= self.rate * (g / units + self.decay * *w);
        }
    }
}

impl LoopFile {
    /// Returns the number of weights that a run with the component `wasm` trains.
    ///
    /// # Errors
    /// [`NodeError::JobFile`] naming the field, if the file is no training run.
    pub(crate) fn weights(&self, wasm: Option<&WasmFile>) -> Result<usize, NodeError> {
        if !(1..=ROUNDS).contains(&self.rounds) {
            return Err(wrong("loop.rounds", format!("loop.rounds must be 1 to {ROUNDS}")));
        }
        if !(self.rate > 0.0 && self.rate <= LARGEST && (0.0..1.0).contains(&self.decay)) {
            return Err(wrong(
                "loop.rate",
                format!("loop.rate must be positive and at most {LARGEST:e}, and loop.decay in [0, 1)"),
            ));
        }
        if let Some((i, weight)) = self.start.iter().flatten().enumerate().find(|(_, weight)| !is_sound(**weight)) {
            return Err(wrong(
                "loop.start",
                format!("loop.start: number {i} is {weight}; it must be between -{LARGEST:e} and {LARGEST:e}"),
            ));
        }
        if self.units == Some(0) {
            return Err(wrong("loop.units", "loop.units must be positive"));
        }
        let Some(wasm) = wasm else { return Err(wrong("wasm", "a loop needs [wasm], a component that computes gradients")) };
        if !wasm.params.is_empty() {
            return Err(wrong("wasm.params", "a loop's parameters are its weights: remove wasm.params and give loop.start"));
        }
        match wasm.outputs.as_slice() {
            [Output { reducer: Reducer::Vector { len }, .. }] => Ok(*len as usize),
            _ => Err(wrong("wasm.outputs", "a loop needs one output, of reducer vector")),
        }
    }
}

/// Returns whether a run can go on from a weight. NaN is unsound.
pub(crate) fn is_sound(weight: f64) -> bool {
    weight.abs() <= LARGEST
}
