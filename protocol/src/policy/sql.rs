//! `[sql]`: what queries an owner takes.

use serde::{Deserialize, Serialize};

use super::{BadPolicy, bad};

/// Operations of queries that any machine that serves does in a millisecond, where the owner does not say more.
const WORK_PER_MS: u64 = 500_000;

/// What queries an owner takes: public numbers, from which follows how long a query can run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryRules {
    /// Operations in a millisecond that the owner's machine surely does: a query whose worst case does not fit the slot is refused.
    pub work_per_ms: u64,
    /// Public upper bound on the dataset's rows, all units' together; never the true number. Without it a query looks at no more of each unit's rows than
    /// fit the slot if all units had as many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

impl Default for QueryRules {
    fn default() -> Self {
        Self { work_per_ms: WORK_PER_MS, rows: None }
    }
}

impl QueryRules {
    /// Whether nothing was said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// `[sql]` of the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlFile {
    /// Millions of operations a second that the machine surely does; `tidegate doctor` measures them.
    pub mops: Option<f64>,
    /// Most rows of the dataset, all units' together.
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
            return Err(bad("sql.rows", "is 0", "Write a public bound on the dataset's rows, or leave it away"));
        }
        Ok(QueryRules { work_per_ms, rows: self.rows })
    }
}
