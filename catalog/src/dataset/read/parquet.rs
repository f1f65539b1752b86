//! Parquet as it was written, of the columns that are asked for.

use std::{fs::File, path::Path};

use arrow::ipc::root_as_message;
use base64::Engine as _;
use parquet::{
    arrow::{
        ARROW_SCHEMA_META_KEY, ProjectionMask,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    },
    basic::Compression,
    file::reader::{FileReader as _, SerializedFileReader},
};

use super::{guard::guarded, ipc};
use crate::dataset::{DataError, broken};

/// A file's footer.
pub(crate) struct Footer {
    pub(crate) metadata: ArrowReaderMetadata,
    /// Columns of types that Arrow has none for, as their writer calls them.
    pub(crate) odd: Vec<(String, String)>,
    /// Whether jobs can read the file as it lies, as far as the footer says.
    pub(crate) plain: bool,
}

/// Reads a file's footer. Where what its writer says of Arrow's types makes no sense to the reader, types are as Parquet has them.
pub(crate) fn footer(path: &Path) -> Result<Footer, DataError> {
    let file = crate::files::open_given(path).map_err(|e| broken(path, e))?;
    let load = |options| guarded(path, || ArrowReaderMetadata::load(&file, options).map_err(|e| broken(path, e)));
    let told = load(ArrowReaderOptions::new());
    let (metadata, understood) = match told {
        Ok(metadata) => (metadata, true),
        Err(first) => (load(ArrowReaderOptions::new().with_skip_arrow_metadata(true)).map_err(|_| first)?, false),
    };
    let packed = |group: &parquet::file::metadata::RowGroupMetaData| {
        let usual = |c| matches!(c, Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_));
        group.columns().iter().all(|column| usual(column.compression()))
    };
    let plain = understood && metadata.metadata().row_groups().iter().all(packed);
    let odd = if understood { vec![] } else { guarded(path, || Ok(odd(path))).unwrap_or_default() };
    Ok(Footer { metadata, odd, plain })
}

fn odd(path: &Path) -> Vec<(String, String)> {
    let found = || {
        let reader = SerializedFileReader::new(crate::files::open_given(path).ok()?).ok()?;
        let told = reader.metadata().file_metadata().key_value_metadata()?.iter().find(|kv| kv.key == ARROW_SCHEMA_META_KEY)?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(told.value.as_ref()?).ok()?;
        let message = if bytes.starts_with(&[0xff; 4]) { bytes.get(8..)? } else { &bytes };
        Some(ipc::odd(root_as_message(message).ok()?.header_as_schema()?))
    };
    found().unwrap_or_default()
}

/// Opens a file's columns of these places.
pub(crate) fn open(path: &Path, footer: &Footer, roots: &[usize], batch: usize) -> Result<ParquetRecordBatchReader, DataError> {
    let file: File = crate::files::open_given(path).map_err(|e| broken(path, e))?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer.metadata.clone());
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots.iter().copied());
    builder.with_projection(mask).with_batch_size(batch).build().map_err(|e| broken(path, e))
}
