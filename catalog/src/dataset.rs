//! Dataset versions on the owner's machine: reading the files, checking the unit, laying rows out by unit, remembering where they lie.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{Array, RecordBatch, RecordBatchReader},
    compute::{concat_batches, filter_record_batch, is_not_null, sort_to_indices, take_record_batch},
    datatypes::{DataType, Schema, SchemaRef},
    error::ArrowError,
    row::{RowConverter, SortField},
};
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};
use serde::{Deserialize, Serialize};
use tidegate_protocol::{
    ContentHash, Envelope, Signed, limits,
    manifest::{ColumnType, DataFile, Layout, Manifest},
    policy::Policy,
};

/// A dataset cannot be published, and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file is unreadable or damaged.
    #[error("{file}: {problem}")]
    File {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A column the policy names is missing or unsuitable.
    #[error("column `{column}`: {problem}")]
    Column {
        /// The column.
        column: String,
        /// What is wrong and how to mend it.
        problem: String,
    },
    /// A record of the dataset cannot be kept or read.
    #[error("the dataset record: {0}")]
    Record(String),
}

fn broken(file: &Path, problem: impl ToString) -> DataError {
    DataError::File { file: file.display().to_string(), problem: problem.to_string() }
}

type Reader = Box<dyn RecordBatchReader + Send>;

/// Opens a Parquet (`.parquet`), CSV with a header (`.csv`), Arrow IPC (`.arrow`, `.ipc`, `.feather`) or newline JSON (`.ndjson`, `.jsonl`) file.
///
/// # Errors
/// [`DataError::File`].
pub fn open(path: &Path) -> Result<Reader, DataError> {
    let file = File::open(path).map_err(|e| broken(path, e))?;
    match path.extension().and_then(|e| e.to_str()).unwrap_or_default() {
        "parquet" => {
            let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| broken(path, e))?;
            Ok(Box::new(builder.with_batch_size(8192).build().map_err(|e| broken(path, e))?))
        }
        "arrow" | "ipc" | "feather" => {
            Ok(Box::new(arrow::ipc::reader::FileReader::try_new_buffered(file, None).map_err(|e| broken(path, e))?))
        }
        "csv" => {
            let format = arrow::csv::reader::Format::default().with_header(true);
            let (schema, _) = format.infer_schema(&file, None).map_err(|e| broken(path, e))?;
            let file = File::open(path).map_err(|e| broken(path, e))?;
            let builder = arrow::csv::ReaderBuilder::new(Arc::new(schema)).with_format(format);
            Ok(Box::new(builder.build(file).map_err(|e| broken(path, e))?))
        }
        "ndjson" | "jsonl" => {
            let mut text = std::io::BufReader::new(file);
            let (schema, _) = arrow::json::reader::infer_json_schema(&mut text, None).map_err(|e| broken(path, e))?;
            let file = std::io::BufReader::new(File::open(path).map_err(|e| broken(path, e))?);
            Ok(Box::new(arrow::json::ReaderBuilder::new(Arc::new(schema)).build(file).map_err(|e| broken(path, e))?))
        }
        other => Err(broken(path, format!("unknown ending {other:?}: use .parquet, .csv, .arrow or .ndjson"))),
    }
}

/// The files behind `paths`: a folder stands for the files in it, by name.
///
/// # Errors
/// [`DataError::File`] when there are none, too many, or one is missing.
pub fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>, DataError> {
    let mut files = Vec::new();
    for path in paths {
        let path = path.canonicalize().map_err(|e| broken(path, e))?;
        if path.is_dir() {
            let mut inside: Vec<_> = std::fs::read_dir(&path)
                .map_err(|e| broken(&path, e))?
                .filter_map(|e| e.ok().map(|e| e.path()))
                .filter(|p| p.is_file())
                .collect();
            inside.sort();
            files.extend(inside);
        } else {
            files.push(path);
        }
    }
    if files.is_empty() || files.len() > limits::FILES {
        let problem = format!("{} files: a version has 1 to {}", files.len(), limits::FILES);
        return Err(DataError::File { file: "(all)".into(), problem });
    }
    Ok(files)
}

/// What publication learnt of the files: types and layout, no values.
#[derive(Debug)]
pub struct Profile {
    /// The unit column and the policy's columns.
    pub schema: Vec<ColumnType>,
    /// How rows lie in `compute`.
    pub layout: Layout,
    /// The Parquet files that jobs read, ordered by unit.
    pub compute: Vec<PathBuf>,
}

/// Reads `files` once, checks them against `policy`, and where they are not Parquet ordered by unit writes one that is into `derived`.
///
/// Rows without a unit are kept in the published files and never counted.
///
/// # Errors
/// [`DataError`].
pub fn profile(files: &[PathBuf], policy: &Policy, derived: &Path) -> Result<Profile, DataError> {
    let first = files.first().ok_or_else(|| DataError::Record("no files".into()))?;
    let schema = open(first)?.schema();
    let visible = visible_columns(&schema, policy)?;
    let parquet = files.iter().all(|f| f.extension().is_some_and(|e| e == "parquet"));
    let mut order = OrderCheck::default();
    for file in files {
        let reader = open(file)?;
        if reader.schema().fields() != schema.fields() {
            return Err(broken(file, "its columns differ from the first file's"));
        }
        for batch in reader {
            let batch = batch.map_err(|e| broken(file, e))?;
            order.see(&unit_column(&batch, policy)?).map_err(|e| broken(file, e))?;
        }
    }
    if order.units == 0 {
        return Err(DataError::Column { column: policy.unit.column.clone(), problem: "no row has a unit".into() });
    }
    // Counting is exact for ordered files only; in others a unit may be seen twice, and the copy is counted below.
    if parquet && order.ordered {
        within_bound(order.units, policy)?;
        return Ok(Profile { schema: visible, layout: Layout::AsPublished, compute: files.to_vec() });
    }
    cluster(files, &schema, policy, derived)?;
    let mut order = OrderCheck::default();
    for batch in open(derived)? {
        let batch = batch.map_err(|e| broken(derived, e))?;
        order.see(&unit_column(&batch, policy)?).map_err(|e| broken(derived, e))?;
    }
    within_bound(order.units, policy)?;
    Ok(Profile { schema: visible, layout: Layout::Clustered, compute: vec![derived.to_owned()] })
}

/// The public bound must hold: the share of fuel and of blocks that a unit gets is made from it.
fn within_bound(units: u64, policy: &Policy) -> Result<(), DataError> {
    if units > policy.unit.max_units {
        let problem = format!("names more units than unit.max_units = {} allows. Raise the bound", policy.unit.max_units);
        return Err(DataError::Column { column: policy.unit.column.clone(), problem });
    }
    Ok(())
}

/// Whether arrays of this type can name a unit.
fn can_be_unit(kind: &DataType) -> bool {
    kind.is_integer() || matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Binary)
}

fn visible_columns(schema: &SchemaRef, policy: &Policy) -> Result<Vec<ColumnType>, DataError> {
    let column = |name: &str| {
        schema
            .column_with_name(name)
            .map(|(_, f)| f)
            .ok_or_else(|| DataError::Column { column: name.to_owned(), problem: "is in the policy but not in the files".into() })
    };
    let unit = column(&policy.unit.column)?;
    if !can_be_unit(unit.data_type()) {
        return Err(DataError::Column {
            column: unit.name().clone(),
            problem: format!("has type {}: a unit is named by an integer or text", unit.data_type()),
        });
    }
    let mut visible = vec![ColumnType { name: unit.name().clone(), arrow: unit.data_type().to_string() }];
    for (name, rule) in &policy.columns {
        let field = column(name)?;
        if rule.bounds().is_some() && !(field.data_type().is_numeric() || *field.data_type() == DataType::Boolean) {
            return Err(DataError::Column { column: name.clone(), problem: "has bounds but is not numeric".into() });
        }
        visible.push(ColumnType { name: name.clone(), arrow: field.data_type().to_string() });
    }
    Ok(visible)
}

fn unit_column(batch: &RecordBatch, policy: &Policy) -> Result<Arc<dyn Array>, DataError> {
    batch
        .column_by_name(&policy.unit.column)
        .cloned()
        .ok_or_else(|| DataError::Column { column: policy.unit.column.clone(), problem: "is missing".into() })
}

/// Sees a stream of unit columns and says whether equal units are neighbours in ascending order. NULL units are passed over.
#[derive(Default)]
pub struct OrderCheck {
    converter: Option<RowConverter>,
    last: Vec<u8>,
    units: u64,
    ordered: bool,
}

impl OrderCheck {
    /// Sees the next rows.
    ///
    /// # Errors
    /// [`ArrowError`] for a type that cannot be compared.
    pub fn see(&mut self, unit: &dyn Array) -> Result<(), ArrowError> {
        if self.converter.is_none() {
            self.converter = Some(RowConverter::new(vec![SortField::new(unit.data_type().clone())])?);
            self.ordered = true;
        }
        let Some(converter) = &mut self.converter else { return Ok(()) };
        let rows = converter.convert_columns(&[arrow::array::make_array(unit.to_data())])?;
        for (i, row) in rows.iter().enumerate() {
            if unit.is_null(i) {
                continue;
            }
            let row = row.as_ref();
            if self.units == 0 || row != self.last.as_slice() {
                self.ordered &= self.units == 0 || row > self.last.as_slice();
                self.units += 1;
                self.last.clear();
                self.last.extend_from_slice(row);
            }
        }
        Ok(())
    }
}

/// Writes one Parquet file with the visible columns, ordered by unit, rows of a unit in file order. Sorts in memory.
fn cluster(files: &[PathBuf], schema: &SchemaRef, policy: &Policy, target: &Path) -> Result<(), DataError> {
    let keep: Vec<usize> = schema
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, f)| *f.name() == policy.unit.column || policy.columns.contains_key(f.name()))
        .map(|(i, _)| i)
        .collect();
    let kept: SchemaRef = Arc::new(schema.project(&keep).map_err(|e| broken(target, e))?);
    let mut batches = Vec::new();
    for file in files {
        for batch in open(file)? {
            let batch = batch.and_then(|b| b.project(&keep)).map_err(|e| broken(file, e))?;
            let with_unit = is_not_null(unit_column(&batch, policy)?.as_ref())
                .and_then(|mask| filter_record_batch(&batch, &mask))
                .map_err(|e| broken(file, e))?;
            batches.push(with_unit);
        }
    }
    let write = || -> Result<(), Box<dyn std::error::Error>> {
        let all = concat_batches(&kept, &batches)?;
        let unit = all.column_by_name(&policy.unit.column).ok_or("the unit column is missing")?;
        // Row numbers as a second key keep a unit's rows in file order.
        let rows: arrow::array::ArrayRef = Arc::new(arrow::array::UInt64Array::from_iter_values(0..all.num_rows() as u64));
        let order = match arrow::compute::lexsort_to_indices(
            &[
                arrow::compute::SortColumn { values: unit.clone(), options: None },
                arrow::compute::SortColumn { values: rows, options: None },
            ],
            None,
        ) {
            Ok(order) => order,
            Err(_) => sort_to_indices(unit, None, None)?,
        };
        let sorted = take_record_batch(&all, &order)?;
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let temporary = target.with_extension("tmp");
        let mut file = File::create(&temporary)?;
        let mut writer = ArrowWriter::try_new(&mut file, Arc::new(Schema::new(kept.fields().clone())), None)?;
        writer.write(&sorted)?;
        writer.close()?;
        file.flush()?;
        file.sync_all()?;
        std::fs::rename(&temporary, target)?;
        Ok(())
    };
    write().map_err(|e| broken(target, e))
}

/// Hashes a file; `progress` is told the bytes done.
///
/// # Errors
/// [`DataError::File`].
pub fn describe(path: &Path, mut progress: impl FnMut(u64)) -> Result<DataFile, DataError> {
    let mut file = File::open(path).map_err(|e| broken(path, e))?;
    let (mut hasher, mut buffer, mut bytes) = (blake3::Hasher::new(), vec![0; 1 << 20], 0);
    loop {
        let n = std::io::Read::read(&mut file, &mut buffer).map_err(|e| broken(path, e))?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
        bytes += n as u64;
        progress(bytes);
    }
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if name.len() > limits::NAME_BYTES {
        return Err(broken(path, "the file name is too long"));
    }
    Ok(DataFile { name, bytes, hash: ContentHash(*hasher.finalize().as_bytes()) })
}

/// Where a published version lies on this machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DatasetRecord {
    /// The signed manifest.
    pub manifest: Envelope,
    /// The signed policy.
    pub policy: Envelope,
    /// The published files, in manifest order.
    pub files: Vec<PathBuf>,
    /// The files jobs read.
    pub compute: Vec<PathBuf>,
    /// Mock rows.
    pub mock: Option<PathBuf>,
}

/// A published version, opened: its documents are checked.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The manifest.
    pub manifest: Signed<Manifest>,
    /// The policy.
    pub policy: Signed<Policy>,
    /// Where the files are.
    pub record: DatasetRecord,
}

impl Dataset {
    /// Opens a record's documents.
    ///
    /// # Errors
    /// [`DataError::Record`] when a signature fails or the documents do not belong together.
    pub fn open(record: DatasetRecord) -> Result<Self, DataError> {
        let wrong = |e: &dyn std::fmt::Display| DataError::Record(e.to_string());
        let manifest = Signed::<Manifest>::open(record.manifest.clone()).map_err(|e| wrong(&e))?;
        let policy = Signed::<Policy>::open(record.policy.clone()).map_err(|e| wrong(&e))?;
        if manifest.signer() != policy.signer() || manifest.body().policy != policy.id() {
            return Err(DataError::Record("manifest and policy do not belong together".into()));
        }
        Ok(Self { manifest, policy, record })
    }
}

/// Keeps `record` in `folder`.
///
/// # Errors
/// [`DataError::Record`].
pub fn save(folder: &Path, id: ContentHash, record: &DatasetRecord) -> Result<(), DataError> {
    let bytes = serde_json::to_vec_pretty(record).map_err(|e| DataError::Record(e.to_string()))?;
    crate::log::write_durably(&folder.join(format!("{id}.json")), &bytes).map_err(|e| DataError::Record(e.to_string()))
}

/// All datasets kept in `folder`, oldest first.
///
/// # Errors
/// [`DataError::Record`].
pub fn load_all(folder: &Path) -> Result<Vec<Dataset>, DataError> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(found) };
    for path in entries.filter_map(|e| e.ok().map(|e| e.path())).filter(|p| p.extension().is_some_and(|e| e == "json")) {
        let bytes = std::fs::read(&path).map_err(|e| broken(&path, e))?;
        found.push(Dataset::open(serde_json::from_slice(&bytes).map_err(|e| broken(&path, e))?)?);
    }
    found.sort_by(|a, b| a.manifest.body().published.cmp(&b.manifest.body().published));
    Ok(found)
}
