//! Refusal of a query.

use tidegate_protocol::{Code, Refusal};

/// Builds the refusal of a query from a description of the problem.
pub(super) fn refuse(what: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::Program, what.to_string()).at("program.query")
}
