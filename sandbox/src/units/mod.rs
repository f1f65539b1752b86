//! Rows ordered by privacy unit, read in a single pass.

use std::{fs::File, sync::Arc};

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

pub(crate) use self::{
    batch::width,
    blocks::{Room, each_block, read, size},
    eval::{Of, Physical, Selected, prove},
    gather::each_unit_as,
    memory::on_the_way,
    plain::{PLAIN_TEXT, plain, plain_width},
    scan::{Chunk, reads},
    text::shorten,
};
pub use self::{
    cuts::{Cuts, cuts},
    gather::each_unit,
    runs::{Runs, Unit, UnitRef},
    scan::Scan,
};
use crate::RunError;

mod batch;
mod blocks;
mod cuts;
mod eval;
mod gather;
mod memory;
mod part;
mod plain;
mod runs;
mod scan;
mod source;
mod text;

/// Reads a file's schema, for admission, and no rows.
///
/// # Errors
/// Returns [`RunError::Data`] if the file is unreadable.
pub fn schema(file: &File) -> Result<SchemaRef, RunError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file.try_clone().map_err(|e| RunError::Data(e.to_string()))?)?;
    // As in a manifest: a dictionary is only an encoding of the values.
    let plain = |field: &Arc<Field>| match field.data_type() {
        DataType::Dictionary(_, value) => field.as_ref().clone().with_data_type(value.as_ref().clone()),
        _ => field.as_ref().clone(),
    };
    Ok(Arc::new(Schema::new(builder.schema().fields().iter().map(plain).collect::<Vec<_>>())))
}
