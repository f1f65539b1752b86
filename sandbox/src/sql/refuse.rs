//! The refusal of a query.

use tidegate_protocol::{Code, Refusal};

/// Refuses a query: what is wrong with it.
pub(super) fn refuse(what: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::Program, what.to_string()).at("program.query")
}
