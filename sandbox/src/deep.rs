//! Stacks for what recurses over an expression: planning, and evaluation.
//!
//! A query may have hundreds of operators, each within the last, and threads of a runtime have two mebibytes.

/// Bytes of stack that planning has.
const PLANNING: usize = 64 << 20;

/// Bytes of stack of a thread that evaluates expressions over rows, all of which count in a worker's memory. What is built without optimisation takes several times as much.
pub(crate) const EVALUATING: usize = if cfg!(debug_assertions) { 64 << 20 } else { 8 << 20 };

/// Runs `work` on a stack that is long enough for any query.
pub fn deep<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(PLANNING / 2, PLANNING, work)
}
