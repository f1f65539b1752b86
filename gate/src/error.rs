//! Errors of the gate.

/// Why the gate would not do a thing. Never says anything about data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// The shape cannot be planned: a bound, a count or a weight is out of range.
    #[error("column `{column}`: {problem}")]
    Shape {
        /// The column at fault, empty for the whole.
        column: String,
        /// What is wrong.
        problem: String,
    },
    /// The cost asked for does not buy a release of this shape.
    #[error("cost: {0}")]
    Cost(String),
    /// Sums handed in do not have the plan's shape: the worker is faulty.
    #[error("the sums do not fit the plan: {0}")]
    Misfit(String),
    /// OpenDP refused or had no entropy.
    #[error("noise: {0}")]
    Noise(String),
}
