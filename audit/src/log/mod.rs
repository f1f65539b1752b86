//! The receipt log as others see it: C2SP tlog-tiles on disk (<https://c2sp.org/tlog-tiles>), which any static web server can
//! serve.
//!
//! [`path`] names the files, [`read`](mod@read) verifies the log entry by entry in bounded memory, [`fsck`] checks every file,
//! [`frontier`] hashes the tree, [`prefix`] compares two of its heads.

pub mod frontier;
pub mod fsck;
pub mod path;
pub mod prefix;
pub mod read;

pub use frontier::Frontier;
pub use path::is_log_path;
pub use read::{Fetch, Reader, scan};
