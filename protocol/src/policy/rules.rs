//! Rules of a policy for engines, parties, units, columns, resources and process confinement.

use serde::{Deserialize, Serialize};

use crate::limits;

/// Engine of a job.
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
    /// Returns the word used in policies and job files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sql => "sql",
            Self::Wasm => "wasm",
            Self::Onnx => "onnx",
        }
    }
}

/// Parties allowed to perform an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Nobody, whatever grant they show.
    Nobody,
    /// Peers with a grant signed by the owner.
    Granted,
    /// Any peer. Not for rows, or anything made from them.
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

/// Form of parties' names in log entries.
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

/// `[unit]`: the privacy unit, and bounds on the influence of a single unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitRule {
    /// Column with the unit's name. Distinct values can be counted, and nothing else.
    pub column: String,
    /// Public upper bound N̂ on the number of units, never the true number. It sizes blocks and shows expected error.
    pub max_units: u64,
    /// Maximum number of a unit's rows counted in a group.
    pub max_rows: u32,
    /// κ: maximum number of groups that a unit can count in.
    pub max_groups: u32,
}

/// Permitted use of a column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnRule {
    /// Public lower bound; with `hi` the column can be summed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lo: Option<f64>,
    /// Public upper bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hi: Option<f64>,
    /// Maximum number of characters of a text seen by jobs: longer texts are cut when read. [`limits::TEXT_CHARS`] if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chars: Option<u32>,
}

impl ColumnRule {
    /// Returns both bounds, if given.
    pub fn bounds(&self) -> Option<(f64, f64)> {
        self.lo.zip(self.hi)
    }

    /// Returns the maximum number of characters of a text seen by jobs.
    pub fn chars(&self) -> usize {
        self.chars.map_or(limits::TEXT_CHARS, |chars| limits::TEXT_CHARS.min(chars as usize))
    }
}

/// Resource limits of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceLimits {
    /// wasmtime fuel of a call of `contribute`.
    pub fuel: u64,
    /// Memory of a guest instance, in bytes. The worker process is bounded by a multiple of this.
    pub memory_bytes: u64,
    /// Public time budget of a job in milliseconds. At the deadline an unfinished job counts as failed, and the reply is due.
    pub slot_ms: u64,
}

/// Confinement of the processes working for buyers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wall {
    /// No file can be opened.
    Landlock,
    /// Only listed system calls are allowed.
    Calls,
    /// No privilege is left.
    Privileges,
    /// Resource limits hold.
    Limits,
    /// The process has a user, a network and shared memory of its own.
    Namespaces,
}
