//! Why a policy is refused.

/// A policy was refused.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("policy field `{field}`: {problem}. {fix}")]
pub struct BadPolicy {
    /// Dotted path of the field.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to write instead.
    pub fix: String,
}

pub(super) fn bad(field: impl Into<String>, problem: impl Into<String>, fix: impl Into<String>) -> BadPolicy {
    BadPolicy { field: field.into(), problem: problem.into(), fix: fix.into() }
}
