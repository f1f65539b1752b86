//! What a row's own place in a table takes to find where no cache holds the table: a row that names one place over and over does not wait, a row that names
//! many does, and both must be counted alike.

use super::tensor::{Dim, Tensor, Work, count};

/// Tables of more bytes than this are taken to lie beyond a processor's caches.
const CACHED: u64 = 4 << 20;

/// Operations that a place takes in a table beyond the caches, at two a nanosecond: 50 to 86 ns were measured of tables with millions of entries.
const WAIT: u64 = 256;

/// Operations that each place takes in a table of so many bytes, beside what a value takes.
pub(super) fn wait(bytes: u64) -> u64 {
    if bytes > CACHED { WAIT } else { 0 }
}

/// What finding `places` in `table` takes. Of a table with parts of rows a row's own part counts: the others are other rows'.
pub(super) fn find(places: &Tensor, table: &Tensor) -> Result<Work, String> {
    let Dim { times, .. } = count(&table.dims)?;
    Ok(Work::of(count(&places.dims)?, wait(times.saturating_mul(table.elem.bytes()))))
}
