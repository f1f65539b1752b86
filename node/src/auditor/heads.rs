//! Heads of a log.

use std::collections::BTreeMap;

/// Roots seen, by the number of entries.
pub(super) type Heads = BTreeMap<u64, tlog_tiles::Hash>;
