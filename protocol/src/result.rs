//! Result of a job: a table of noised cells, each with the spread of its noise.

use serde::{Deserialize, Serialize};

use crate::{ContentHash, Cost, job::Key};

/// A released number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// The noised value.
    pub value: f64,
    /// Lower end of the 95 % interval for the value without noise.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// A row: the group's key and its cells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Key values, in the order of [`ResultDoc::keys`].
    pub key: Vec<Key>,
    /// Cells, in the order of [`ResultDoc::columns`].
    pub cells: Vec<Cell>,
}

/// A released result. Its canonical JSON bytes are the receipt's subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultDoc {
    /// Version of this format.
    pub version: u32,
    /// Id of the job document.
    pub job: ContentHash,
    /// Charged cost.
    pub cost: Cost,
    /// Names of the key columns.
    pub keys: Vec<String>,
    /// Names of the value columns.
    pub columns: Vec<String>,
    /// Rows, in key order.
    pub rows: Vec<Row>,
    /// Declared groups of an exact result withheld by the owner's rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suppressed: Vec<Vec<Key>>,
    /// Sum over all groups that did not appear, if allowed by the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remainder: Option<Vec<Cell>>,
    /// Number of groups above their threshold for which there was no room in a reply, or no time for noise before the slot's
    /// deadline.
    ///
    /// They are the ones with the smallest noisy number of units.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}
