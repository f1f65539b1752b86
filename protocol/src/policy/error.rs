//! Error of a refused policy.

/// Error of a refused policy.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("policy field `{field}`: {problem}. {fix}")]
pub struct BadPolicy {
    /// Dotted path of the field.
    pub field: String,
    /// Description of the problem.
    pub problem: String,
    /// Suggested replacement.
    pub fix: String,
}

pub(super) fn bad(field: impl Into<String>, problem: impl Into<String>, fix: impl Into<String>) -> BadPolicy {
    BadPolicy { field: field.into(), problem: problem.into(), fix: fix.into() }
}
