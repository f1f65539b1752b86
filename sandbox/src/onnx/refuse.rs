//! Refusals of models.

use tidegate_protocol::{Code, Refusal};

/// Builds a [`Refusal`] of a model.
pub(super) fn refuse(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::Program, message).at("program.model")
}
