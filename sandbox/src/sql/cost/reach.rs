//! Extent to which the dataset's rows are read.

use std::collections::BTreeMap;

use tidegate_protocol::{limits, policy::Policy};

/// Longest text of each column, in bytes.
pub(super) type Texts = BTreeMap<String, u64>;

/// Extent to which the dataset's rows are read, by public numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Maximum number of rows per unit; later rows are treated as absent. `None` for all.
    pub(crate) rows: Option<u64>,
    /// Number of blocks in memory at a time, for rows by block. `None` for all.
    pub(crate) blocks: Option<u32>,
    /// Maximum number of characters of a text, by column.
    pub(super) chars: BTreeMap<String, usize>,
}

impl Reach {
    /// Returns the reach of all rows, with texts as in the policy.
    pub(super) fn all(policy: &Policy) -> Self {
        Self { rows: None, blocks: None, chars: policy.columns.iter().map(|(name, rule)| (name.clone(), rule.chars())).collect() }
    }

    /// Returns the longest texts of the policy's columns, in bytes.
    pub(super) fn texts(&self, policy: &Policy) -> Texts {
        policy.columns.keys().map(|name| (name.clone(), 4 * self.chars(name) as u64)).collect()
    }

    /// Extends the reach to all rows.
    pub(crate) fn whole(self) -> Self {
        Self { rows: None, ..self }
    }

    /// Returns the maximum number of characters of a text in column `name`.
    pub(crate) fn chars(&self, name: &str) -> usize {
        self.chars.get(name).copied().unwrap_or(limits::TEXT_CHARS)
    }
}
