//! Reason for refusing a request, with advice to the asker.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{limits, shown::plain};

/// Kind of refusal; stable, for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Code {
    /// A document's form, signature or size is wrong. The asker has to fix this.
    BadRequest,
    /// No grant covers this peer and action. Retrying cannot help.
    NotGranted,
    /// The policy forbids the request.
    Policy,
    /// The program (SQL, component or model) cannot be admitted.
    Program,
    /// The privacy budget does not cover the request.
    Budget,
    /// The same request id was used before with another body.
    Conflict,
    /// Nothing of this name is here, or the asker may not know.
    NotFound,
    /// The job waits for the owner's approval. Ask again with the same job.
    Pending,
    /// Every job slot is taken. Safe to retry.
    Busy,
    /// The owner's machine lacks something, or failed. The owner's log has details.
    Unavailable,
}

/// A refusal as sent: computed from schema, policy and signatures alone, never from rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Kind of the refusal.
    pub code: Code,
    /// Field or construct at fault, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Description of the problem.
    pub message: String,
    /// Suggested next step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Refusal {
    /// Builds a refusal from `code` and `message`.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, field: None, message: message.into(), fix: None }
    }

    /// Sets the field or construct at fault.
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Sets the suggested next step.
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

impl Refusal {
    /// Prepares a peer's refusal for display: on a single line, without characters that change how others are shown, and of
    /// bounded length.
    #[must_use]
    pub fn received(self) -> Self {
        let text = |text: String| match text.char_indices().nth(limits::REFUSAL_CHARS) {
            None => plain(&text).into_owned(),
            Some((end, _)) => format!("{}…", plain(&text[..end])),
        };
        Self { code: self.code, field: self.field.map(text), message: text(self.message), fix: self.fix.map(text) }
    }
}

/// Shortens text from a peer for use in a message: bounded, and without control characters.
pub trait Shorten {
    /// Returns at most the first 80 characters.
    fn shorten(&self) -> String;
}

impl Shorten for str {
    fn shorten(&self) -> String {
        plain(&self.chars().take(80).collect::<String>()).into_owned()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadRequest => "bad request",
            Self::NotGranted => "not granted",
            Self::Policy => "forbidden by policy",
            Self::Program => "program not admitted",
            Self::Budget => "over budget",
            Self::Conflict => "conflict",
            Self::NotFound => "not found",
            Self::Pending => "pending",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(field) = &self.field {
            write!(f, " ({field})")?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(fix) = &self.fix {
            write!(f, ". {fix}")?;
        }
        Ok(())
    }
}
