//! Access to an owner's node: grants and their checks, the log of accesses, limits on requests, and the names of parties in the log.

pub(crate) mod access_log;
pub(crate) mod authorize;
pub(crate) mod file_keys;
pub(crate) mod foreign_grants;
pub mod grants;
pub(crate) mod offered;
pub mod pseudonyms;
pub(crate) mod rate_limit;
pub(crate) mod salts;
