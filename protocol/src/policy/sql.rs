//! `[sql]`: rules for accepted queries.

use serde::{Deserialize, Serialize};

use super::{BadPolicy, bad};

/// Default number of query operations per millisecond, reached by any serving machine.
const WORK_PER_MS: u64 = 500_000;

/// Rules for accepted queries: public numbers that determine how long a query can run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryRules {
    /// Number of operations reliably performed in a millisecond by the owner's machine.
    ///
    /// A query whose worst case does not fit in the slot is refused.
    pub work_per_ms: u64,
    /// Public upper bound on the dataset's rows, of all units together; never the true number.
    ///
    /// Without it a query reads no more of each unit's rows than would fit in the slot if all units had as many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

impl Default for QueryRules {
    fn default() -> Self {
        Self { work_per_ms: WORK_PER_MS, rows: None }
    }
}

impl QueryRules {
    /// Returns whether all rules have their defaults.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// `[sql]` of the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlFile {
    /// Millions of operations reliably performed in a second by the machine; `tidegate doctor` measures them.
    pub mops: Option<f64>,
    /// Maximum number of the dataset's rows, of all units together.
    pub rows: Option<u64>,
}

impl SqlFile {
    pub(super) fn check(&self) -> Result<QueryRules, BadPolicy> {
        let work_per_ms = match self.mops {
            None => WORK_PER_MS,
            Some(mops) if (0.001..=1e9).contains(&mops) => (mops * 1e3) as u64,
            Some(mops) => return Err(bad("sql.mops", format!("is {mops}"), "Write a number from 0.001 to 1e9")),
        };
        if self.rows == Some(0) {
            return Err(bad("sql.rows", "is 0", "Write a public bound on the dataset's number of rows, or remove it"));
        }
        Ok(QueryRules { work_per_ms, rows: self.rows })
    }
}
