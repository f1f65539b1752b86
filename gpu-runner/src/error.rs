//! The error of a run of a model.

/// Inference failed. Says nothing about rows.
#[derive(Debug, thiserror::Error)]
#[error("inference: {0}")]
pub struct InferenceFailed(pub String);

pub(crate) fn failed(e: impl std::fmt::Display) -> InferenceFailed {
    InferenceFailed(e.to_string())
}
