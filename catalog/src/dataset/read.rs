//! Files as batches of rows, whatever their format.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::array::RecordBatchReader;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tidegate_protocol::{ContentHash, limits, manifest::DataFile, policy::Policy};

use super::{DataError, broken};

pub(super) type Reader = Box<dyn RecordBatchReader + Send>;

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

/// What file managers and Spark leave beside data: names that begin with a dot or an underscore.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".") || name.as_encoded_bytes().starts_with(b"_"))
}

/// The files behind `paths`: a folder stands for the files in it, by name; hidden ones are left out.
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
                .filter(|p| p.is_file() && !is_hidden(p))
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

/// One table's files.
#[derive(Debug, Clone)]
pub struct TableFiles {
    /// Its name, where the dataset has several.
    pub table: Option<String>,
    /// At least one.
    pub files: Vec<PathBuf>,
}

/// The files behind what an owner names: paths; or, where the policy has tables, `TABLE=PATH`, at least one of each.
///
/// # Errors
/// [`DataError::File`] as [`expand`], and naming a table that is not there or has no files.
pub fn tables(given: &[PathBuf], policy: &Policy) -> Result<Vec<TableFiles>, DataError> {
    if policy.tables.is_empty() {
        return Ok(vec![TableFiles { table: None, files: expand(given)? }]);
    }
    let known = || policy.tables.iter().map(|t| format!("{t}=FILE")).collect::<Vec<_>>().join(" ");
    let mut paths: Vec<Vec<PathBuf>> = vec![vec![]; policy.tables.len()];
    for one in given {
        let named = one.to_str().and_then(|text| text.split_once('='));
        let at = named.and_then(|(table, _)| policy.tables.iter().position(|t| t == table));
        let (Some((_, path)), Some(at)) = (named, at) else {
            return Err(broken(one, format!("names no table of the policy. Write {}", known())));
        };
        paths[at].push(path.into());
    }
    let mut all = Vec::with_capacity(paths.len());
    for (table, paths) in policy.tables.iter().zip(paths) {
        if paths.is_empty() {
            return Err(broken(Path::new(table), format!("the table has no files. Write {}", known())));
        }
        all.push(TableFiles { table: Some(table.clone()), files: expand(&paths)? });
    }
    let files: usize = all.iter().map(|t| t.files.len()).sum();
    if files > limits::FILES {
        let problem = format!("{files} files: a version has 1 to {}", limits::FILES);
        return Err(DataError::File { file: "(all)".into(), problem });
    }
    Ok(all)
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
    Ok(DataFile { name, table: None, bytes, hash: ContentHash(*hasher.finalize().as_bytes()) })
}
