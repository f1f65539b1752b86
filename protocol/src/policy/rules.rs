//! What a policy says of engines, parties, units, columns, resources and walls.

use serde::{Deserialize, Serialize};

use crate::limits;

/// Which engine a job runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// A query.
    Sql,
    /// A WebAssembly component.
    Wasm,
    /// An ONNX model.
    Onnx,
}

impl JobKind {
    /// As policies and job files write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sql => "sql",
            Self::Wasm => "wasm",
            Self::Onnx => "onnx",
        }
    }
}

/// Who may do a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Nobody, whatever grant they show.
    Nobody,
    /// Whoever shows a grant that the owner signed.
    Granted,
    /// Whoever asks. Not for rows, or what is made of them.
    Anybody,
}

impl Access {
    pub(crate) fn nobody() -> Self {
        Self::Nobody
    }

    pub(crate) fn anybody() -> Self {
        Self::Anybody
    }

    pub(super) fn is_anybody(&self) -> bool {
        *self == Self::Anybody
    }

    pub(super) fn is_nobody(&self) -> bool {
        *self == Self::Nobody
    }
}

/// How entries of the log name parties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Names {
    /// By their keys.
    #[default]
    Open,
    /// By salted commitments, which the owner opens to auditors.
    Hidden,
}

impl Names {
    pub(super) fn is_open(&self) -> bool {
        *self == Self::Open
    }
}

/// `[unit]`: whose privacy is protected and how much one of them may weigh.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitRule {
    /// The column that names the unit. It can be counted distinctly and nothing else.
    pub column: String,
    /// Public upper bound N̂ on the number of units; sizes blocks and shows expected error. Never the true number.
    pub max_units: u64,
    /// Most rows of one unit that can count in one group.
    pub max_rows: u32,
    /// κ: most groups one unit can count in.
    pub max_groups: u32,
}

/// What a column may be used for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnRule {
    /// Public lower bound; with `hi` the column can be summed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lo: Option<f64>,
    /// Public upper bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hi: Option<f64>,
    /// Most characters of a text that jobs see: longer ones are cut when they are read. [`limits::TEXT_CHARS`] where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chars: Option<u32>,
}

impl ColumnRule {
    /// Both bounds, where given.
    pub fn bounds(&self) -> Option<(f64, f64)> {
        self.lo.zip(self.hi)
    }

    /// Most characters of a text that jobs see.
    pub fn chars(&self) -> usize {
        self.chars.map_or(limits::TEXT_CHARS, |chars| limits::TEXT_CHARS.min(chars as usize))
    }
}

/// Resource limits of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceLimits {
    /// wasmtime fuel of one call of `contribute`.
    pub fuel: u64,
    /// Memory of one guest instance, in bytes; the worker process is bounded by a multiple of it.
    pub memory_bytes: u64,
    /// Public time slot of a job in milliseconds: past it the job counts as failed, and the reply is due.
    pub slot_ms: u64,
}

/// A wall around the processes that work for buyers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wall {
    /// No file can be opened.
    Landlock,
    /// No system call that is not listed.
    Calls,
    /// No privilege is left.
    Privileges,
    /// Resource limits hold.
    Limits,
    /// A user, a network and shared memory of their own.
    Namespaces,
}
