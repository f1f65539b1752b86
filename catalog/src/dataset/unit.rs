//! The unit column.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use tidegate_protocol::policy::Policy;

use super::error::DataError;

/// Finds the unit column of a batch.
///
/// # Errors
/// Returns [`DataError::Column`] if there is none.
pub(super) fn unit_column(batch: &RecordBatch, policy: &Policy) -> Result<Arc<dyn Array>, DataError> {
    batch
        .column_by_name(&policy.unit.column)
        .cloned()
        .ok_or_else(|| DataError::Column { column: policy.unit.column.clone(), problem: "is missing".into() })
}
