//! What a query may take: a worst case in operations, from public numbers alone, as fuel is a program's.
//!
//! Were it the clock that ended a query, one person's rows could turn everybody's result into the default, and say that they are there. So each expression has a
//! worst case ([`term`]): its operations for one row, from the longest text that can be there at each step. They are summed over what lies between rows and groups
//! ([`flow`]), and over the rows that public numbers allow ([`reach`]); what does not fit the slot at the rate that the owner states is refused.
//!
//! An operation is what a machine does in about a nanosecond. Weights ([`weights`]) are the worst that was measured over ordinary, huge, tiny, denormal,
//! infinite and missing numbers, and short, long, one-byte and four-byte texts (`measured`); `tidegate doctor` measures how many a machine does.

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

/// What becomes of the rows that a query selects.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    /// How many of the columns are keys.
    pub(super) keys: usize,
    /// How many sets of them there are.
    pub(super) sets: usize,
    /// Most groups of one unit, over all sets.
    pub(super) groups: u32,
    /// Bytes of a group's numbers.
    pub(super) group_bytes: usize,
    /// Numbers that a row adds to them.
    pub(super) fields: usize,
    /// Operations of the gate, which noises them.
    pub(super) release: u64,
}

/// What is looked at of rows, so that a query's worst case fits the slot.
///
/// # Errors
/// A [`Refusal`] with the costliest expression where nothing would be left.
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

/// As [`of_query`], of the rows that a program gets: those of each unit, or of each block of some units.
///
/// # Errors
/// As [`of_query`]; a [`Refusal`] where rows by block do not fit in memory.
pub(super) fn of_program(select: &Select, split: Split, policy: &Policy) -> Result<Reach, Refusal> {
    let weighing = Weighing::new(policy);
    let (node, bytes) = weighing.program(select, split)?;
    let kept = split.blocks().map(|blocks| Kept { blocks, bytes: bytes.saturating_mul(blocks.resample.into()) });
    reach::fit(&node, &weighing, policy, policy.select_work(), kept)
}

/// Why something is refused, with its costliest expression.
fn too_costly(problem: String, heavy: Option<&Heavy>) -> Refusal {
    let Some(heavy) = heavy else {
        return refuse(format!("{problem}; reading and grouping the rows takes that by itself")).fix(
            "Name fewer columns and group by fewer. Or ask the owner for a longer `jobs.slot`, `chars` of the text columns, `sql.rows` or more of `sql.mops`",
        );
    };
    refuse(format!("{problem}; the costliest part is {heavy}")).fix(
        "Make that part cheaper: left(x, 32) of a text before anything else, fewer and simpler patterns. Or ask the owner for a longer `jobs.slot`, \
         `chars` of the text columns, `sql.rows` or more of `sql.mops`",
    )
}
