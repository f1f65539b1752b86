//! What comes back: a table of noised cells, each with the spread of its noise.

use serde::{Deserialize, Serialize};

use crate::{ContentHash, Cost, job::Key};

/// One released number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// The noised value.
    pub value: f64,
    /// Lower end of the 95 % interval: of what the number would be without noise.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// One row: the group's key and its cells.
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
    /// What was charged.
    pub cost: Cost,
    /// Names of the key columns.
    pub keys: Vec<String>,
    /// Names of the value columns.
    pub columns: Vec<String>,
    /// Rows, in key order.
    pub rows: Vec<Row>,
    /// Declared groups of an exact result that the owner's rules keep back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suppressed: Vec<Vec<Key>>,
    /// All groups that did not appear, added up, where the policy allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remainder: Option<Vec<Cell>>,
    /// Groups that passed their threshold and had no room in a reply, or no time for their noise in the slot: those with the smallest noisy number of units.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}
