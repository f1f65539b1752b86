//! Governed SQL: text → checked syntax → DataFusion plan → allow-listed, total expressions → one pass over units.
//!
//! Supported: `SELECT keys, COUNT(*) | COUNT(x) | COUNT(DISTINCT unit) | SUM(x) | AVG(x) | VAR(x) | STDDEV(x) FROM dataset [WHERE …]
//! [GROUP BY keys]`, VAR_POP and STDDEV_POP, and for programs `SELECT expressions FROM dataset [WHERE …]`.

mod admit;
mod expr;
mod fold;
mod keys;
mod run;
mod table;
mod text;

pub use admit::{Query, Select, admit_query, admit_select};
pub use run::run_query;
