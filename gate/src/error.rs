//! Errors of the gate.

/// Error of the gate. Never says anything about data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// The shape cannot be planned: a bound, a count or a weight is out of range.
    #[error("column `{column}`: {problem}")]
    Shape {
        /// Name of the column at fault; empty if the whole shape is at fault.
        column: String,
        /// Description of the problem.
        problem: String,
    },
    /// The cost asked for does not buy a release of this shape.
    #[error("cost: {0}")]
    Cost(String),
    /// The sums do not have the plan's shape: the worker is faulty.
    #[error("the sums do not fit the plan: {0}")]
    Misfit(String),
    /// OpenDP refused or had no entropy.
    #[error("noise: {0}")]
    Noise(String),
}
