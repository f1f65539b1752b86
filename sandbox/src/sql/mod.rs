//! Governed SQL: text → checked syntax → DataFusion plan → allow-listed, total expressions → one pass over units.
//!
//! `SELECT … FROM dataset [WHERE …] [GROUP BY …]` with COUNT, COUNT(DISTINCT unit), SUM, AVG, VAR, STDDEV, COVAR, CORR, MEDIAN
//! and percentiles. Below the aggregate: row-wise subqueries and CTEs, aggregation of each unit's own rows, and joins of the
//! owner's tables on the unit. Above it, computed from released numbers: HAVING, ORDER BY, LIMIT, arithmetic and windows.
//! Programs select rows: `SELECT expressions FROM dataset [WHERE …]`.

mod above;
mod admit;
mod arguments;
mod casts;
mod clamp;
mod cost;
mod dataset;
mod dated;
mod declare;
mod direct;
mod drawn;
mod exact;
mod expr;
#[cfg(test)]
mod extremes;
mod first;
mod flags;
mod flow;
mod fold;
mod functions;
mod groups;
mod input;
mod keys;
mod kinds;
mod literal;
mod matching;
mod measures;
mod mismatch;
mod origin;
mod own;
mod pattern;
mod per_unit;
mod percentile;
mod place;
mod planner;
mod public;
mod refuse;
mod rows;
mod run;
mod said;
mod select;
mod sets;
mod short;
mod simulated;
mod spelled;
mod table;
mod text;
mod times;
mod titles;
mod unit_join;
mod view;
mod wrap;
mod written;

pub use admit::{Asked, Query, admit_query, admit_select};
pub use cost::{Measured, Worst, measure, worst};
pub use dataset::{TABLE as SOURCE, published};
pub use dated::dated;
pub use fold::{Spill, Written};
pub use kinds::of_manifest as kind_of_manifest;
pub use pattern::pattern;
pub use public::Tables;
pub use run::{Room, add_up, run_piece, run_query};
pub(crate) use said::{engine, engine_words};
pub use select::{Branch, Select};
pub use simulated::{Simulated, Spread};
pub use view::{Answered, Origins, Place, View};

use refuse::refuse;
