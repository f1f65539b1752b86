//! Leases of privacy budgets: issued to other nodes, and held for other owners with the rows of their datasets.

pub mod begin;
pub(crate) mod columns;
pub(crate) mod held;
pub(crate) mod holdings;
pub(crate) mod issue;
pub(crate) mod sparse_file;
pub mod store;
