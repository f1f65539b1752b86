//! Maximum number of rows read per unit: as many as fit the time budget if all units had as many.

use std::collections::BTreeMap;

use tidegate_protocol::{Refusal, job::Blocks, limits, policy::Policy};

use super::{
    flow::{Node, Texts, Weighing},
    too_costly,
};
use crate::sql::refuse;

/// Number of rows beyond any unit's.
const ALL: u64 = 1 << 40;

/// Extent to which the dataset's rows are read, by public numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Maximum number of rows per unit; later rows are treated as absent. `None` for all.
    pub(crate) rows: Option<u64>,
    /// Number of blocks in memory at a time, for rows by block. `None` for all.
    pub(crate) blocks: Option<u32>,
    /// Maximum number of characters of a text, by column.
    chars: BTreeMap<String, usize>,
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

/// Rows kept in memory by block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub(super) blocks: Blocks,
    /// Maximum bytes of a row of the dataset, in all blocks with the row.
    pub(super) bytes: u64,
}

/// A unit's rows are at most 1 / `PARTS` of the memory for rows by block, if not all blocks are there at once.
const PARTS: u128 = 384;

impl Kept {
    /// Returns how many blocks lie in memory at a time, and how often the files are read; `None` if they do not fit.
    ///
    /// No unit has more than `most` rows. Nothing about the rows decides the result, or one row could have all of them read once
    /// more. All blocks lie in memory if all possible rows fit. If not, as many blocks as take half of the memory in the mean:
    /// a unit is in each block with the same chance, and has at most 1/PARTS of the memory, so the blocks take more than all of
    /// it with a chance below exp(−PARTS/6), which is 2^−92 (Mitzenmacher and Upfal 2017, theorem 4.4, with δ = 1).
    fn at_once(self, most: u64, policy: &Policy) -> Option<(u32, u32)> {
        let room = limits::BLOCKS_BYTES as u128;
        let unit = u128::from(most).saturating_mul(self.bytes.into());
        let rows =
            u128::from(policy.sql.rows.unwrap_or(u64::MAX)).min(u128::from(policy.unit.max_units).saturating_mul(most.into()));
        let all = rows.saturating_mul(self.bytes.into());
        let number = self.blocks.number;
        if all <= room {
            return Some((number, 1));
        }
        let blocks = u128::from(number).saturating_mul(room) / all.saturating_mul(2);
        let blocks = u32::try_from(blocks).ok().filter(|blocks| *blocks > 0 && unit.saturating_mul(PARTS) <= room)?;
        Some((blocks, number.div_ceil(blocks)))
    }
}

/// Returns the maximum operations for the rows of units with at most `most` rows each.
fn total(node: &Node, most: u64, policy: &Policy) -> u128 {
    let units = u128::from(policy.unit.max_units).saturating_mul(node.unit(most));
    let Some(rows) = policy.sql.rows else { return units };
    // Maximum cost of a row of a unit: exact for units with a few rows, within a sixteenth for larger units.
    let (mut a_row, mut from) = (0, 1u64);
    while from <= most {
        let to = most.min(from + from / 16);
        a_row = node.unit(to).div_ceil(u128::from(from)).max(a_row);
        from = to + 1;
    }
    units.min(u128::from(rows).saturating_mul(a_row))
}

/// Returns the reach for which all fits in `budget` operations, and the rows `kept` by block fit in memory.
pub(super) fn fit(
    node: &Node,
    weighing: &Weighing<'_>,
    policy: &Policy,
    budget: u64,
    kept: Option<Kept>,
) -> Result<Reach, Refusal> {
    let left = u128::from(budget).saturating_sub(u128::from(weighing.once()));
    let times = |most: u64| kept.map_or(Some(1), |kept| Some(kept.at_once(most, policy)?.1));
    let work = |most: u64| Some(total(node, most, policy).saturating_mul(times(most)?.into()));
    let fits = |most: u64| work(most).is_some_and(|work| work <= left);
    let reach = |rows: Option<u64>| {
        let blocks = kept.and_then(|kept| Some(kept.at_once(rows.unwrap_or(ALL), policy)?.0));
        Reach { rows, blocks, ..Reach::all(policy) }
    };
    if fits(ALL) {
        return Ok(reach(None));
    }
    let (mut fine, mut over) = (0, ALL);
    while over - fine > 1 {
        let middle = fine + (over - fine) / 2;
        if fits(middle) { fine = middle } else { over = middle }
    }
    // As many as may count in one group must be seen.
    let needed = u64::from(policy.unit.max_rows).min(policy.sql.rows.unwrap_or(u64::MAX));
    if fine >= needed {
        return Ok(reach(Some(fine)));
    }
    let Some(worst) = work(needed) else {
        return Err(refuse(format!(
            "rows by block may take {} bytes each, and {needed} of each of {} units do not fit in memory",
            kept.map_or(0, |kept| kept.bytes),
            policy.unit.max_units
        ))
        .fix("Select fewer columns, left(x, 32) of texts, or ask for less `resample`"));
    };
    let seconds = |work: u128| work as f64 / (policy.sql.work_per_ms as f64 * 1e3);
    let rows = u128::from(policy.sql.rows.unwrap_or(u64::MAX));
    let rows = rows.min(u128::from(policy.unit.max_units).saturating_mul(needed.into())).max(1);
    let problem = format!(
        "the query may take {:.3} s at worst, and the policy's slot allows {:.3} s: {rows} rows ({needed} of each of {} units) × {} operations a row{}",
        seconds(worst.saturating_add(u128::from(weighing.once()))),
        seconds(budget.into()),
        policy.unit.max_units,
        worst.div_ceil(rows),
        times(needed)
            .filter(|times| *times > 1)
            .map_or(String::new(), |times| format!(", read {times} times to lie in memory by block")),
    );
    Err(too_costly(&problem, weighing.heavy().as_ref(), &weighing.long()))
}

#[cfg(test)]
mod tests {
    use tidegate_protocol::policy::PolicyFile;

    use super::*;

    fn policy(units: u64) -> Policy {
        let text = format!(
            r#"
            unit = {{ column = "unit", max_units = {units}, max_rows = 1, max_groups = 1 }}
            budget = {{ delta = 1e-6, rho = 1.0, per_buyer_rho = 1.0 }}
            jobs = {{ kinds = ["wasm"], min_units = 5, fuel = 1000, memory_mib = 16, slot = "8s", tick = "100ms" }}
            access = {{ compute = "granted", replicate = "nobody" }}
            [columns]
            x = {{ lo = 0, hi = 1 }}
            "#
        );
        PolicyFile::parse(&text).unwrap().check(|_, _| None).unwrap()
    }

    /// All blocks lie in memory where all rows that there can be do; else so many as take half of it at most, whatever rows there are.
    #[test]
    fn how_many_blocks_lie_in_memory_follows_from_public_numbers() {
        let room = limits::BLOCKS_BYTES as u64;
        let kept = |number, bytes| Kept { blocks: Blocks::of(number), bytes };
        let units = 1 << 16;
        let whole = room / units;
        assert_eq!(kept(100, whole).at_once(1, &policy(units)), Some((100, 1)));
        assert_eq!(kept(100, whole + 1).at_once(1, &policy(units)), Some((49, 3)));
        assert_eq!(kept(100, whole).at_once(10, &policy(units)), Some((5, 20)));
        for (number, most) in [(100, 2), (7, 3), (1000, 40), (640, 100)] {
            let (blocks, times) = kept(number, whole).at_once(most, &policy(units)).unwrap();
            assert!(u64::from(blocks) * most * 2 <= u64::from(number) && blocks * times >= number, "{number} {most}");
        }
        // One block would have more than half of it, or one unit too much.
        assert_eq!(kept(100, whole).at_once(51, &policy(units)), None);
        assert_eq!(kept(1 << 20, room / 100).at_once(1, &policy(units)), None);
    }
}
