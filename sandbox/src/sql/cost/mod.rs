//! Worst case of a query in operations, from public numbers alone, like a program's fuel.
//!
//! If the clock ended a query, one person's rows could turn everybody's result into the fallback value, and show that they are
//! there. So each expression has a worst case ([`term`]): its operations for one row, from the longest text possible at each
//! step. These are summed over the steps between rows and groups ([`flow`]), and over the rows that public numbers allow
//! ([`fit`]); a query that does not fit the time budget at the rate stated by the owner is refused.
//!
//! An operation is what a machine does in about a nanosecond. Weights ([`weights`]) are the worst measured over ordinary, huge,
//! tiny, denormal, infinite and missing numbers, and short, long, one-byte and four-byte texts (`measured`); `tidegate doctor`
//! measures how many operations a machine does.

mod case;
mod fit;
mod flow;
mod measured;
mod reach;
mod term;
mod weights;
mod worst;

pub(super) use fit::{of_program, of_query};
pub(super) use flow::Counted;
pub use measured::{Measured, measure};
pub(crate) use reach::Reach;
pub use worst::{Worst, worst};
