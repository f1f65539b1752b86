//! Verifies an owner's receipt log, its checkpoints and its receipts, offline: takes bytes and gives verdicts.
//!
//! - [`note`]: signed notes, checkpoints, cosignatures of witnesses and proofs of inclusion (C2SP signed-note, tlog-checkpoint,
//!   tlog-cosignature, tlog-proof).
//! - [`log`]: tiles and bundles of a log (C2SP tlog-tiles), read and verified in bounded memory.
//! - [`rules`]: requirements on the entries of a log, each by itself and together; [`Audit`] checks them.
//! - [`lineage`]: the version of a dataset in force.
//! - [`evidence`]: two checkpoints of one log that cannot both be true.
//! - `query`, with the feature `sql`: the entries of a log as a table.
//!
//! The crate opens no file and no connection, starts no runtime and reads no clock: callers fetch the log's files
//! ([`log::Fetch`]) and pass the current time.

#![forbid(unsafe_code)]

pub mod evidence;
pub mod lineage;
pub mod log;
pub mod note;
#[cfg(feature = "sql")]
pub mod query;
pub mod rules;

pub use rules::{Audit, Broken, Finding, Report, open_entry};
