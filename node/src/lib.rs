//! Combines the other crates into the nodes and commands of owners, buyers and auditors. The command line and every other front end build on this crate.
//!
//! # Goals
//! - The path of a job in one file per step: [`owner`] (admit → reserve → run → release → log → reply), [`worker`] (the
//!   process that runs a buyer's program), [`buyer`] (ask, verify, only then show).
//! - The node itself never parses a buyer's SQL or runs a buyer's code.
//!
//! # Non-goals
//! - Texts for people (`cli`).

#![forbid(unsafe_code)]

pub mod auditor;
pub mod buyer;
pub mod client;
pub mod discovery;
pub mod doctor;
pub mod error;
mod fault;
mod given;
pub mod home;
pub mod ids;
pub mod mirror;
pub mod owner;
pub mod witness;
pub mod worker;

pub use error::NodeError;
pub(crate) use error::made::{bad_path, corrupt, file_error, gone, unexpected, unwritable};
pub use tidegate_exchange::Address;
pub use tidegate_sandbox::sql::kind_of_manifest;
