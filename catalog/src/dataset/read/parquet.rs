//! Reading wanted columns of Parquet files as written.

use std::{fs::File, path::Path, sync::Arc};

use arrow::{
    array::AsArray as _,
    datatypes::{DataType, Field, Schema, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType},
    ipc::root_as_message,
};
use base64::Engine as _;
use parquet::{
    arrow::{
        ARROW_SCHEMA_META_KEY, ProjectionMask,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
        encode_arrow_schema, parquet_to_arrow_schema,
    },
    basic::{Compression, Type},
    errors::ParquetError,
    file::metadata::KeyValue,
};

use super::{BATCH, guard::guarded, ipc};
use crate::dataset::{DataError, broken, unreadable};

/// A file's footer.
pub(crate) struct Footer {
    pub(crate) metadata: ArrowReaderMetadata,
    /// Columns of types unknown to Arrow, with the types in words.
    pub(crate) odd: Vec<(String, String)>,
    /// Whether the columns have Parquet's own types, because their writer's Arrow metadata makes no sense as a whole.
    pub(crate) is_bare: bool,
    /// Whether jobs can read the file directly, as far as the footer tells.
    pub(crate) plain: bool,
}

/// Reads a file's footer. If its writer's Arrow metadata makes no sense to the reader, Parquet's own types are used: for the
/// columns of unknown types alone, if possible.
pub(crate) fn footer(path: &Path) -> Result<Footer, DataError> {
    let file = tidegate_files::open_given(path).map_err(|e| unreadable(path, e))?;
    let load = |options| guarded(path, || ArrowReaderMetadata::load(&file, options).map_err(|e| broken(path, words(&e))));
    let told = load(ArrowReaderOptions::new());
    let (metadata, understood) = match told {
        Ok(metadata) => (metadata, true),
        Err(first) => (load(ArrowReaderOptions::new().with_skip_arrow_metadata(true)).map_err(|_| first)?, false),
    };
    let packed = |group: &parquet::file::metadata::RowGroupMetaData| {
        let usual = |c| matches!(c, Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_));
        group.columns().iter().all(|column| usual(column.compression()))
    };
    let old = old_times(&metadata);
    let plain = understood && old.is_empty() && metadata.metadata().row_groups().iter().all(packed);
    let rest = if understood { None } else { guarded(path, || Ok(but_odd(path, &metadata))).unwrap_or_default() };
    let is_bare = !understood && rest.is_none();
    let (metadata, odd) = rest.unwrap_or((metadata, vec![]));
    let metadata = guarded(path, || with_times(path, metadata, &old, !understood))?;
    Ok(Footer { metadata, odd, is_bare, plain })
}

/// Describes an error of a footer, without its reader's words.
fn words(e: &ParquetError) -> String {
    match e {
        ParquetError::External(e) => e.to_string(),
        ParquetError::NYI(_) => "uses a Parquet feature that is not supported: write it with common settings".to_owned(),
        _ => "is not a complete Parquet file: it is damaged or truncated. Copy it again, or write it again".to_owned(),
    }
}

/// Returns the indexes of columns of 96-bit times (INT96), as Spark and Impala write them.
fn old_times(metadata: &ArrowReaderMetadata) -> Vec<usize> {
    let roots = metadata.metadata().file_metadata().schema_descr().root_schema().get_fields();
    let is_old = |root: &parquet::schema::types::TypePtr| root.is_primitive() && root.get_physical_type() == Type::INT96;
    roots.iter().enumerate().filter(|(_, root)| is_old(root)).map(|(i, _)| i).collect()
}

/// Reads times of 96 bits as microseconds, as their writers have them. Finer times are refused.
///
/// Nanoseconds of 64 bits cover only the years 1677 to 2262, and if the unit were chosen by the values, a single one of them
/// would choose it for all.
fn with_times(path: &Path, metadata: ArrowReaderMetadata, old: &[usize], told: bool) -> Result<ArrowReaderMetadata, DataError> {
    if old.is_empty() {
        return Ok(metadata);
    }
    let all = |unit| {
        let fields = metadata.schema().fields().iter().enumerate().map(|(i, field)| match old.contains(&i) {
            true => Arc::new(field.as_ref().clone().with_data_type(DataType::Timestamp(unit, None))),
            false => field.clone(),
        });
        let schema = Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), metadata.schema().metadata().clone()));
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(told).with_schema(schema);
        ArrowReaderMetadata::try_new(metadata.metadata().clone(), options).map_err(|e| broken(path, e))
    };
    let [coarse, fine] = [TimeUnit::Microsecond, TimeUnit::Nanosecond].map(all);
    let (coarse, fine) = (coarse?, fine?);
    let rows = |metadata: &ArrowReaderMetadata| {
        open(path, &Footer { metadata: metadata.clone(), odd: vec![], is_bare: false, plain: false }, old, BATCH)
    };
    for (coarse, fine) in rows(&coarse)?.zip(rows(&fine)?) {
        let (coarse, fine) = (coarse.map_err(|e| broken(path, e))?, fine.map_err(|e| broken(path, e))?);
        for (place, (coarse, fine)) in coarse.columns().iter().zip(fine.columns()).enumerate() {
            let both =
                coarse.as_primitive_opt::<TimestampMicrosecondType>().zip(fine.as_primitive_opt::<TimestampNanosecondType>());
            let cut = |(coarse, fine): (Option<i64>, Option<i64>)| {
                coarse.and_then(|coarse| coarse.checked_mul(1000)).zip(fine).is_some_and(|(coarse, fine)| coarse != fine)
            };
            if both.is_some_and(|(coarse, fine)| coarse.iter().zip(fine).any(cut)) {
                let name = metadata.schema().field(old[place]).name().clone();
                let problem = "has 96-bit times (INT96) finer than a microsecond. Write it as TIMESTAMP of nanoseconds".into();
                return Err(DataError::Column { column: name, problem });
            }
        }
    }
    Ok(coarse)
}

/// Reads the columns by their writer's Arrow metadata, except those of types unknown to Arrow, which have Parquet's own types.
///
/// Returns the unknown types in words too; `None` if the metadata makes no sense even so. `bare` has Parquet's own types.
fn but_odd(path: &Path, bare: &ArrowReaderMetadata) -> Option<(ArrowReaderMetadata, Vec<(String, String)>)> {
    let file = bare.metadata().file_metadata();
    let told = file.key_value_metadata()?.iter().find(|kv| kv.key == ARROW_SCHEMA_META_KEY)?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(told.value.as_ref()?).ok()?;
    let message = if bytes.starts_with(&[0xff; 4]) { bytes.get(8..)? } else { &bytes };
    let told = root_as_message(message).ok()?.header_as_schema()?.fields()?;
    if told.len() != bare.schema().fields().len() {
        return None;
    }
    let (mut fields, mut odd) = (Vec::new(), Vec::new());
    for (told, bare) in told.iter().zip(bare.schema().fields()) {
        // Arrow's conversion panics on a type that it does not know.
        fields.push(match guarded(path, || Ok(Field::from(told))) {
            Ok(field) => Arc::new(field),
            Err(_) => {
                odd.push((bare.name().clone(), ipc::words(told)));
                bare.clone()
            }
        });
    }
    let told = KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), encode_arrow_schema(&Schema::new(fields)));
    let schema = parquet_to_arrow_schema(file.schema_descr(), Some(&vec![told])).ok()?;
    let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
    Some((ArrowReaderMetadata::try_new(bare.metadata().clone(), options).ok()?, odd))
}

/// Opens the columns of a file at these positions.
pub(crate) fn open(path: &Path, footer: &Footer, roots: &[usize], batch: usize) -> Result<ParquetRecordBatchReader, DataError> {
    let file: File = tidegate_files::open_given(path).map_err(|e| unreadable(path, e))?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer.metadata.clone());
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots.iter().copied());
    builder.with_projection(mask).with_batch_size(batch).build().map_err(|e| broken(path, e))
}
