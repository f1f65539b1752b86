//! Why a request was turned away, in words the asker can act on.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{limits, shown::plain};

/// The kind of refusal; stable, for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Code {
    /// A document's form, signature or size is wrong. The asker's move.
    BadRequest,
    /// No grant covers this peer and action. Retrying cannot help.
    NotGranted,
    /// The policy forbids it.
    Policy,
    /// The program (SQL, component or model) is not one that can be admitted.
    Program,
    /// The privacy budget does not cover it.
    Budget,
    /// The same request id was used before with another body.
    Conflict,
    /// Nothing of that name is here, or the asker may not know.
    NotFound,
    /// It waits for the owner's approval. Ask again with the same job.
    Pending,
    /// Every job slot is taken. Safe to retry.
    Busy,
    /// The owner's machine lacks something, or failed. The owner's log has details.
    Unavailable,
}

/// A refusal as it is sent: computed from schema, policy and signatures alone, never from rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The kind.
    pub code: Code,
    /// The field or construct at fault, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Refusal {
    /// A refusal of `code` saying `message`.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, field: None, message: message.into(), fix: None }
    }

    /// Names the field or construct at fault.
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says what to do next.
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

impl Refusal {
    /// A peer's, for people here: on one line, without characters that change how others are shown, and not without end.
    #[must_use]
    pub fn received(self) -> Self {
        let text = |text: String| match text.char_indices().nth(limits::REFUSAL_CHARS) {
            None => plain(&text).into_owned(),
            Some((end, _)) => format!("{}…", plain(&text[..end])),
        };
        Self { code: self.code, field: self.field.map(text), message: text(self.message), fix: self.fix.map(text) }
    }
}

/// Text from a peer that goes into a message: bounded, and without control characters.
pub trait Shorten {
    /// At most 80 characters of it.
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
