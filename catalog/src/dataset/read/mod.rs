//! Files as batches of rows, whatever their format.

use std::{collections::BTreeSet, fs::File, path::Path, sync::Arc};

use arrow::datatypes::{Field, Schema, SchemaRef};
use tidegate_protocol::{ContentHash, limits, manifest::DataFile, policy::ReadRules};

use super::error::{ADD, DataError, broken, unreadable};

mod alone;
mod dialect;
mod evidence;
mod format;
mod guard;
mod ipc;
mod json;
mod kind;
mod packed;
mod parquet;
mod place;
mod quotes;
mod reader;
mod records;
mod sheet;
mod spelled;
mod text;
mod value;

pub use self::reader::Reader;
pub(super) use self::{
    alone::{Whose, unit_of},
    evidence::{Evidence, Taken},
    format::{Format, format, is_beside},
    guard::guarded,
    json::Of as JsonOf,
    kind::{Asked, key, said},
    reader::BATCH,
    spelled::{in_sql, plain, spelled},
    text::{Learnt, TextFile, said_values},
    value::{day_or_time, is_number},
};

/// Schema of a file with named columns.
pub(super) struct Written {
    /// Columns of the file.
    pub(super) schema: SchemaRef,
    /// Columns of unsupported types, with the types in words.
    pub(super) odd: Vec<(String, String)>,
    /// Whether the columns have the types of the file's format alone, and not those of its writer.
    pub(super) is_bare: bool,
    /// Whether jobs can read the file directly, as far as its footer tells.
    pub(super) plain: bool,
}

/// Returns the columns of a file with a schema of its own.
pub(super) fn written(path: &Path, format: Format) -> Result<Written, DataError> {
    if format == Format::Parquet {
        let footer = parquet::footer(path)?;
        let schema = footer.metadata.schema().clone();
        return Ok(Written { schema, odd: footer.odd, is_bare: footer.is_bare, plain: footer.plain });
    }
    let schema = guarded(path, || Ok(ipc::open(path, format)?.schema()))?;
    Ok(Written { schema, odd: vec![], is_bare: false, plain: false })
}

/// Opens a file with a schema of its own; only the columns called `wanted`, if given.
pub(super) fn open_written(path: &Path, format: Format, wanted: Option<&[String]>) -> Result<Reader, DataError> {
    let places = |schema: &Schema| -> Vec<usize> {
        let is_wanted = |field: &Field| wanted.is_none_or(|wanted| wanted.contains(field.name()));
        schema.fields().iter().enumerate().filter(|(_, field)| is_wanted(field)).map(|(i, _)| i).collect()
    };
    guarded(path, || {
        if format == Format::Parquet {
            let footer = parquet::footer(path)?;
            let rows = parquet::open(path, &footer, &places(footer.metadata.schema()), BATCH)?;
            return Ok(Reader::new(path, arrow::array::RecordBatchReader::schema(&rows), rows));
        }
        let rows = ipc::open(path, format)?;
        let places = places(&rows.schema());
        let schema = Arc::new(rows.schema().project(&places).map_err(|e| broken(path, e))?);
        Ok(Reader::new(path, schema, rows.map(move |batch| batch?.project(&places))))
    })
}

/// Learns the dialect of a text file, and evidence about the columns `wanted`.
pub(super) fn learn_text(path: &Path, rules: &ReadRules, wanted: &[String], whose: Whose) -> Result<Learnt, DataError> {
    guarded(path, || text::learn(path, rules, wanted, whose))
}

/// Opens a text file.
pub(super) fn open_text(
    path: &Path,
    file: &TextFile,
    rules: &ReadRules,
    wanted: &[(String, Taken)],
) -> Result<Reader, DataError> {
    let rows = guarded(path, || text::Rows::open(path, file, rules, wanted))?;
    Ok(Reader { schema: rows.schema.clone(), path: path.to_owned(), batches: Box::new(rows), rest: None })
}

/// Infers the columns of JSON files' objects, or of the columns wanted by a table. Notes for the owner go to `say`.
pub(super) fn learn_json(
    files: &[(&Path, Whose)],
    of: Option<&JsonOf<'_>>,
    say: &mut dyn FnMut(String),
) -> Result<SchemaRef, DataError> {
    let first = files.first().map_or(Path::new(""), |file| file.0);
    let (schema, said) = guarded(first, || json::learn(files, of))?;
    said.into_iter().for_each(say);
    Ok(schema)
}

/// Opens a file of JSON objects.
pub(super) fn open_json(path: &Path, schema: SchemaRef, rules: &ReadRules) -> Result<Reader, DataError> {
    let rows = guarded(path, || json::open(path, &schema, rules))?;
    Ok(Reader::new(path, schema, rows))
}

/// Opens a standalone file with all of its columns: Parquet, text with a header, Arrow IPC or JSON, by its content.
///
/// # Errors
/// Returns [`DataError`] if the file cannot be read.
pub fn open(path: &Path) -> Result<Reader, DataError> {
    open_by(path, &ReadRules::default())
}

/// Opens a file like [`open`], reading text by these rules.
///
/// The rules belong to no policy: errors still say `[read]`, and [`DataError::said_of`] replaces it.
///
/// # Errors
/// Returns [`DataError`] if the file cannot be read.
pub fn open_by(path: &Path, rules: &ReadRules) -> Result<Reader, DataError> {
    match format(path)? {
        Format::Empty => Err(broken(path, "is empty")),
        Format::Json => {
            let file = [(path, Whose::Rows)];
            let found = learn_json(&file, None, &mut |_| {})?;
            let names: Vec<_> = found.fields().iter().map(|field| field.name().clone()).collect();
            let of = JsonOf { wanted: &names, unit: "", rules, alone: false, only: false, elsewhere: &BTreeSet::new() };
            open_json(path, learn_json(&file, Some(&of), &mut |_| {})?, rules)
        }
        Format::Text => {
            let header = guarded(path, || dialect::Dialect::of(path, rules, &[]))?.header;
            let Learnt { file, evidence, .. } = learn_text(path, rules, &header, Whose::Rows)?;
            let asked = Asked { rules, number: false, delimiters: &[file.dialect.delimiter], alone: false, beside: false };
            let mut wanted = Vec::new();
            for (name, evidence) in header.iter().zip(&evidence) {
                let taken = evidence.taken(name, &asked, &mut |_| {});
                let taken = taken.map_err(|problem| DataError::Column { column: name.clone(), problem })?;
                wanted.push((name.clone(), taken));
            }
            open_text(path, &file, rules, &wanted)
        }
        written => open_written(path, written, None),
    }
}

/// Returns the names of a file's columns, in the file's order, without their types. Where a text file or workbook can be read in
/// several ways, the way with most of the columns `wanted` is taken, as at publication.
///
/// # Errors
/// Returns [`DataError`] if the file cannot be read.
pub fn names(path: &Path, wanted: &[String]) -> Result<Vec<String>, DataError> {
    let of = |schema: &Schema| -> Vec<String> { schema.fields().iter().map(|field| field.name().clone()).collect() };
    match format(path)? {
        Format::Empty => Ok(vec![]),
        Format::Json => {
            let schema = learn_json(&[(path, Whose::Rows)], None, &mut |_| {})?;
            Ok(of(&schema))
        }
        Format::Text => Ok(guarded(path, || dialect::Dialect::of(path, &ReadRules::default(), wanted))?.header),
        format => Ok(of(&written(path, format)?.schema)),
    }
}

/// Hashes a file; `progress` is told the bytes done.
///
/// # Errors
/// Returns [`DataError::File`] if the file cannot be read or its name is too long.
pub fn describe(path: &Path, mut progress: impl FnMut(u64)) -> Result<DataFile, DataError> {
    let mut file = File::open(path).map_err(|e| unreadable(path, e))?;
    let (mut hasher, mut buffer, mut bytes) = (blake3::Hasher::new(), vec![0; 1 << 20], 0);
    loop {
        let n = std::io::Read::read(&mut file, &mut buffer).map_err(|e| unreadable(path, e))?;
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
