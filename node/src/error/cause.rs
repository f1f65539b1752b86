//! Errors of any type.

/// Any error, as the source of another.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;
