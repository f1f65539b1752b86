//! Size of batches, from public numbers.

use datafusion::arrow::datatypes::DataType;
use tidegate_protocol::limits;

/// Maximum number of rows in a batch.
pub(super) const BATCH: usize = 8192;
/// Maximum bytes of the selected columns in all threads' batches, with each text counted at its longest.
///
/// Public numbers decide how many rows are in memory, so that no text in them can make a worker outgrow it.
pub(super) const BATCH_BYTES: usize = 256 << 20;

/// Returns the maximum bytes of a row of columns of these types.
pub(crate) fn width(kinds: &[DataType]) -> usize {
    let one = |kind: &DataType| match kind {
        DataType::Boolean => 1,
        kind => kind.primitive_width().unwrap_or(4 * limits::TEXT_CHARS),
    };
    kinds.iter().map(one).sum::<usize>().max(1)
}
