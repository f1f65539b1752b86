//! How many rows of a unit are looked at: as many as fit the slot if all units had as many.

use std::collections::BTreeMap;

use tidegate_protocol::{Refusal, limits, policy::Policy};

use super::{
    flow::{Node, Texts, Weighing},
    too_costly,
};

/// More rows than any unit has.
const ALL: u64 = 1 << 40;

/// What is looked at of the dataset's rows: public numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Most rows of one unit; those after them are as if they were not there. `None` for all.
    pub(crate) rows: Option<u64>,
    /// Most characters of a text, by column.
    chars: BTreeMap<String, usize>,
}

impl Reach {
    /// All rows, texts as the policy has them.
    pub(super) fn all(policy: &Policy) -> Self {
        Self { rows: None, chars: policy.columns.iter().map(|(name, rule)| (name.clone(), rule.chars())).collect() }
    }

    /// The longest texts of the policy's columns, in bytes.
    pub(super) fn texts(&self, policy: &Policy) -> Texts {
        policy.columns.keys().map(|name| (name.clone(), 4 * self.chars(name) as u64)).collect()
    }

    /// All rows.
    pub(crate) fn whole(self) -> Self {
        Self { rows: None, ..self }
    }

    /// Most characters of a text of column `name`.
    pub(crate) fn chars(&self, name: &str) -> usize {
        self.chars.get(name).copied().unwrap_or(limits::TEXT_CHARS)
    }
}

/// Most operations for rows of units of whom none has more than `most`.
fn total(node: &Node, most: u64, policy: &Policy) -> u128 {
    let units = u128::from(policy.unit.max_units).saturating_mul(node.unit(most));
    let Some(rows) = policy.sql.rows else { return units };
    // The most that a row of a unit costs: of units with a few rows exactly, of larger ones to within a sixteenth.
    let (mut a_row, mut from) = (0, 1u64);
    while from <= most {
        let to = most.min(from + from / 16);
        a_row = node.unit(to).div_ceil(u128::from(from)).max(a_row);
        from = to + 1;
    }
    units.min(u128::from(rows).saturating_mul(a_row))
}

/// What is looked at so that all fits in `budget` operations.
pub(super) fn fit(node: &Node, weighing: &Weighing<'_>, policy: &Policy, budget: u64) -> Result<Reach, Refusal> {
    let left = u128::from(budget).saturating_sub(u128::from(weighing.once()));
    let fits = |most: u64| total(node, most, policy) <= left;
    let reach = Reach::all(policy);
    if fits(ALL) {
        return Ok(reach);
    }
    let (mut fine, mut over) = (0, ALL);
    while over - fine > 1 {
        let middle = fine + (over - fine) / 2;
        if fits(middle) { fine = middle } else { over = middle }
    }
    // As many as may count in one group must be seen.
    let needed = u64::from(policy.unit.max_rows).min(policy.sql.rows.unwrap_or(u64::MAX));
    if fine >= needed {
        return Ok(Reach { rows: Some(fine), ..reach });
    }
    let seconds = |work: u128| work as f64 / (policy.sql.work_per_ms as f64 * 1e3);
    let problem = format!(
        "the query may take {:.3} s at worst ({} operations for a row, {needed} rows of each of {} units), and the policy's slot allows {:.3} s",
        seconds(total(node, needed, policy).saturating_add(u128::from(weighing.once()))),
        node.unit(1),
        policy.unit.max_units,
        seconds(budget.into())
    );
    Err(too_costly(problem, weighing.heavy().as_ref()))
}
