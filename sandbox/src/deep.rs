//! Stacks for recursion over expressions, in planning and evaluation.
//!
//! A query may nest hundreds of operators, while a runtime's threads have two mebibytes of stack.

/// Stack size for planning, in bytes.
const PLANNING: usize = 64 << 20;

/// Stack size, in bytes, of threads evaluating expressions over rows.
///
/// All of it counts towards a worker's memory. Unoptimised builds need several times as much.
pub(crate) const EVALUATING: usize = if cfg!(debug_assertions) { 64 << 20 } else { 8 << 20 };

/// Runs `work` on a stack long enough for any query.
pub fn deep<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(PLANNING / 2, PLANNING, work)
}
