//! Cost of finding a row's places in a table too large for the caches.
//!
//! A row that names the same place over and over does not wait, a row that names many does, and both must count alike.

use super::tensor::{Dim, Tensor, Work, count};

/// Maximum bytes of a table assumed to lie in a processor's caches.
const CACHED: u64 = 4 << 20;

/// Operations per place in a table beyond the caches, at two per nanosecond: 50 to 86 ns were measured for tables with millions
/// of entries.
const WAIT: u64 = 256;

/// Returns the operations per place in a table of `bytes` bytes, beside the cost of the value.
pub(super) fn wait(bytes: u64) -> u64 {
    if bytes > CACHED { WAIT } else { 0 }
}

/// Returns the work to find `places` in `table`.
///
/// In a table with rows' parts only a row's own part counts, as the others belong to other rows.
pub(super) fn find(places: &Tensor, table: &Tensor) -> Result<Work, String> {
    let Dim { times, .. } = count(&table.dims)?;
    Ok(Work::of(count(&places.dims)?, wait(times.saturating_mul(table.elem.bytes()))))
}
