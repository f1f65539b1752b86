//! Worst case of a query in operations, from public numbers alone, like a program's fuel.
//!
//! If the clock ended a query, one person's rows could turn everybody's result into the fallback value, and show that they are
//! there. So each expression has a worst case ([`term`]): its operations for one row, from the longest text possible at each
//! step. These are summed over the steps between rows and groups ([`flow`]), and over the rows that public numbers allow
//! ([`reach`]); a query that does not fit the time budget at the rate stated by the owner is refused.
//!
//! An operation is what a machine does in about a nanosecond. Weights ([`weights`]) are the worst measured over ordinary, huge,
//! tiny, denormal, infinite and missing numbers, and short, long, one-byte and four-byte texts (`measured`); `tidegate doctor`
//! measures how many operations a machine does.

use tidegate_protocol::{Refusal, job::Split, policy::Policy};

use self::{
    flow::Weighing,
    reach::Kept,
    term::{Heavy, heavier},
};
use super::{input::Input, refuse, select::Select};

mod flow;
mod measured;
mod reach;
mod term;
mod weights;
mod worst;

pub use measured::{Measured, measure};
pub(crate) use reach::Reach;
pub use worst::{Worst, worst};

/// Use of a query's selected rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    /// Number of key columns.
    pub(super) keys: usize,
    /// Number of grouping sets.
    pub(super) sets: usize,
    /// Maximum number of groups of a unit, over all sets.
    pub(super) groups: u32,
    /// Bytes of a group's numbers.
    pub(super) group_bytes: usize,
    /// Number of values added by a row to a group.
    pub(super) fields: usize,
    /// Operations of the gate for adding noise to the groups.
    pub(super) release: u64,
}

/// Returns how much of the rows is read for a query's worst case to fit the time budget.
///
/// # Errors
/// Returns a [`Refusal`] with the costliest expression if nothing would be left.
pub(super) fn of_query(input: &Input, counted: Counted, policy: &Policy) -> Result<Reach, Refusal> {
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
    reach::fit(&node, &weighing, policy, policy.query_work(), None)
}

/// Like [`of_query`], for the rows given to a program: by unit, or by block of some units.
///
/// # Errors
/// As for [`of_query`]; also returns a [`Refusal`] if rows by block do not fit in memory.
pub(super) fn of_program(select: &Select, split: Split, policy: &Policy) -> Result<Reach, Refusal> {
    let weighing = Weighing::new(policy);
    let (node, bytes) = weighing.program(select, split)?;
    let kept = split.blocks().map(|blocks| Kept { blocks, bytes: bytes.saturating_mul(blocks.resample.into()) });
    reach::fit(&node, &weighing, policy, policy.select_work(), kept)
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
