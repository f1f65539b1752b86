//! Maximum number of rows read per unit: as many as fit the time budget if all units had as many.

use tidegate_protocol::{
    Refusal,
    job::{Blocks, Split},
    limits,
    policy::Policy,
};

use super::{
    flow::{Counted, Node, Weighing},
    reach::Reach,
    term::Heavy,
};
use crate::sql::{input::Input, refuse, select::Select};

/// Number of rows beyond any unit's.
const ALL: u64 = 1 << 40;

/// Rows kept in memory by block.
#[derive(Debug, Clone, Copy)]
struct Kept {
    blocks: Blocks,
    /// Maximum bytes of a row of the dataset, in all blocks with the row.
    bytes: u64,
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
fn fit(node: &Node, weighing: &Weighing<'_>, policy: &Policy, budget: u64, kept: Option<Kept>) -> Result<Reach, Refusal> {
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

/// Returns how much of the rows is read for a query's worst case to fit the time budget.
///
/// # Errors
/// Returns a [`Refusal`] with the costliest expression if nothing would be left.
pub(in crate::sql) fn of_query(input: &Input, counted: Counted, policy: &Policy) -> Result<Reach, Refusal> {
    let weighing = Weighing::new(policy);
    let node = weighing.query(input, counted)?;
    weighing.add_once(counted.release);
    if weighing.once() >= policy.query_work() {
        let milliseconds = counted.release / policy.sql.work_per_ms.max(1);
        return Err(refuse(format!(
            "its noise alone may take {milliseconds} ms, and a query has {} ms of the slot",
            policy.query_work() / policy.sql.work_per_ms.max(1)
        ))
        .fix("Ask for fewer groups, columns or percentiles, or ask the owner for a longer slot"));
    }
    fit(&node, &weighing, policy, policy.query_work(), None)
}

/// Like [`of_query`], for the rows given to a program: by unit, or by block of some units.
///
/// # Errors
/// As for [`of_query`]; also returns a [`Refusal`] if rows by block do not fit in memory.
pub(in crate::sql) fn of_program(select: &Select, split: Split, policy: &Policy) -> Result<Reach, Refusal> {
    let weighing = Weighing::new(policy);
    let (node, bytes) = weighing.program(select, split)?;
    let kept = split.blocks().map(|blocks| Kept { blocks, bytes: bytes.saturating_mul(blocks.resample.into()) });
    fit(&node, &weighing, policy, policy.select_work(), kept)
}

/// Maximum number of columns of text listed.
const LISTED: usize = 6;

/// Builds a refusal with the costliest expression, and the columns of `long` texts with their maximum characters.
fn too_costly(problem: &str, heavy: Option<&Heavy>, long: &[(String, usize)]) -> Refusal {
    const OWNER: &str = "a longer `jobs.slot`, `sql.rows` or more of `sql.mops`";
    let most = long.iter().map(|(_, chars)| *chars).max().unwrap_or_default();
    let names = long.iter().take(LISTED).map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let names = if long.len() > LISTED { names + ", …" } else { names };
    let (texts, owner) = match names.as_str() {
        "" => (String::new(), format!("the owner for {OWNER}")),
        names => (format!("; a text may have {most} characters ({names})"), format!("the owner for `chars` of {names}, {OWNER}")),
    };
    let part = heavy.map_or_else(
        || "reading and grouping the rows takes that by itself".to_owned(),
        |heavy| format!("the costliest part is {heavy}"),
    );
    refuse(format!("{problem}; {part}{texts}")).fix(match (heavy, long) {
        (None, []) => format!("Ask {owner}"),
        (None, _) => format!("Leave out columns of text, or ask {owner}"),
        (Some(_), []) => format!("Make that part simpler, or leave it out. Or ask {owner}"),
        (Some(_), _) => format!(
            "Make that part cheaper: left(x, 32) of a text before anything else, fewer and simpler patterns. Or ask {owner}"
        ),
    })
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
