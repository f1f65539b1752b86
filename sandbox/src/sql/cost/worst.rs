//! Worst cases, for who asks.

use tidegate_protocol::{Refusal, policy::Policy};

use super::{reach::Reach, term::Over};
use crate::sql::select::Select;

/// The worst case of one selected expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worst {
    /// Operations for one row.
    pub work: u64,
    /// Bytes of the longest text that it may be; 0 for what is none.
    pub bytes: u64,
}

/// The worst case of each column that `select` selects, in all its branches.
///
/// # Errors
/// A [`Refusal`] for what has no known cost: [`super::super::admit_select`] refuses it too.
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
