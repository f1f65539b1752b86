//! Worst cases for callers.

use tidegate_protocol::{Refusal, policy::Policy};

use super::{reach::Reach, term::Over};
use crate::sql::select::Select;

/// Worst case of a selected expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worst {
    /// Operations for a row.
    pub work: u64,
    /// Bytes of the longest possible text; 0 for other types.
    pub bytes: u64,
}

/// Returns the worst case of each column selected by `select`, in all its branches.
///
/// # Errors
/// Returns a [`Refusal`] for an expression without a known cost, which [`super::super::admit_select`] refuses too.
pub fn worst(select: &Select, policy: &Policy) -> Result<Vec<Worst>, Refusal> {
    let texts = Reach::all(policy).texts(policy);
    let mut all = vec![Worst { work: 0, bytes: 0 }; select.names.len()];
    for branch in &select.branches {
        let over = Over::new(&select.schema, &texts, branch.columns.iter());
        for (worst, expr) in all.iter_mut().zip(&branch.columns) {
            let term = over.term(expr)?;
            *worst = Worst { work: worst.work.saturating_add(term.work), bytes: worst.bytes.max(term.bytes) };
        }
    }
    Ok(all)
}
