//! Rows of a file, batch by batch.

use std::path::Path;

use arrow::{array::RecordBatch, datatypes::SchemaRef};

use super::guard::guarded;
use crate::dataset::error::{DataError, broken};

/// Number of rows of a batch.
pub(in crate::dataset) const BATCH: usize = 8192;

/// Reader of a file's rows.
pub struct Reader {
    pub(super) schema: SchemaRef,
    pub(super) path: std::path::PathBuf,
    pub(super) batches: Box<dyn Iterator<Item = Result<RecordBatch, DataError>> + Send>,
    /// Rest of a batch longer than [`BATCH`].
    pub(super) rest: Option<RecordBatch>,
}

impl Reader {
    pub(super) fn new<E: ToString>(
        path: &Path,
        schema: SchemaRef,
        batches: impl Iterator<Item = Result<RecordBatch, E>> + Send + 'static,
    ) -> Self {
        let at = path.to_owned();
        let batches = batches.map(move |batch| batch.map_err(|e| broken(&at, e)));
        Self { schema, path: path.to_owned(), batches: Box::new(batches), rest: None }
    }

    /// Returns the columns.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match self.rest.take() {
            Some(rest) => rest,
            None => match guarded(&self.path, || self.batches.next().transpose()) {
                Ok(batch) => batch?,
                Err(e) => {
                    // Anything after the error is useless.
                    self.batches = Box::new(std::iter::empty());
                    return Some(Err(e));
                }
            },
        };
        if batch.num_rows() > BATCH {
            self.rest = Some(batch.slice(BATCH, batch.num_rows() - BATCH));
            return Some(Ok(batch.slice(0, BATCH)));
        }
        Some(Ok(batch))
    }
}
