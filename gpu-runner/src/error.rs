//! Error of a model's run.

/// Error of a failed inference. The message says nothing about rows.
#[derive(Debug, thiserror::Error)]
#[error("inference: {0}")]
pub struct InferenceFailed(pub String);

pub(crate) fn failed(e: impl std::fmt::Display) -> InferenceFailed {
    InferenceFailed(e.to_string())
}
