//! The receipt log as others see it: C2SP tlog-tiles on disk (<https://c2sp.org/tlog-tiles>), which any static web server can serve.
//!
//! [`path`] says where what lies, [`read`](mod@read) verifies it entry by entry in bounded memory, [`fsck`] looks at every file,
//! [`frontier`] hashes the tree, [`prefix`] holds two of its heads against each other.

pub mod frontier;
pub mod fsck;
pub mod path;
pub mod prefix;
pub mod read;

pub use frontier::Frontier;
pub use path::is_log_path;
pub use read::{Fetch, Reader, scan};
