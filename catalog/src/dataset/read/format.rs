//! Format of a file: by its first bytes, or else by its name.

use std::path::Path;

use super::{
    guard::guarded,
    packed::{begin, unpacked},
    sheet::{self, ZIP},
};
use crate::dataset::{DataError, broken, unreadable};

/// Format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Apache Parquet.
    Parquet,
    /// Arrow IPC with a footer.
    ArrowFile,
    /// Arrow IPC as a stream of messages.
    ArrowStream,
    /// JSON objects, in sequence or in an array.
    Json,
    /// Lines of values with a delimiter.
    Text,
    /// No bytes at all.
    Empty,
}

impl Format {
    /// Returns the format in words.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Parquet => "Parquet",
            Self::ArrowFile => "an Arrow file",
            Self::ArrowStream => "an Arrow stream",
            Self::Json => "JSON",
            Self::Text => "text",
            Self::Empty => "empty",
        }
    }
}

/// Extensions of text with delimiters.
const TEXT: [&str; 6] = ["csv", "tsv", "tab", "psv", "txt", "dat"];
const JSON: [&str; 3] = ["json", "ndjson", "jsonl"];
/// Extensions of files never left beside data without being meant as data.
const OTHERS: [&str; 27] = [
    "parquet", "parq", "pq", "arrow", "arrows", "ipc", "feather", "orc", "avro", "xlsx", "xlsm", "xlsb", "xls", "ods", "gz",
    "zst", "bz2", "xz", "zip", "sas7bdat", "xpt", "dta", "sav", "zsav", "rds", "rda", "rdata",
];

/// Unsupported formats: first bytes, and advice.
const REFUSED: [(&[u8], &str); 19] = [
    (b"PARE", "is encrypted Parquet: write it without encryption"),
    (b"FEA1", "is Feather of version 1: write version 2 (Arrow IPC)"),
    (b"PK\x05\x06", "is an empty ZIP archive"),
    (b"\xd0\xcf\x11\xe0", "is a workbook of an old Excel version, or has a password: save the sheet as CSV"),
    (b"ORC", "is ORC: write Parquet"),
    (b"Obj\x01", "is Avro: write Parquet"),
    (b"SQLite format 3\0", "is a SQLite database: write its table as Parquet or CSV"),
    (b"\x1f\x9d", "is compressed with compress: decompress it, or compress it with gzip or zstd"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive: unpack it"),
    (b"X\n\0\0", R_OBJECT),
    (b"RDX2\n", R_WORKSPACE),
    (b"RDX3\n", R_WORKSPACE),
    (b"<stata_dta>", STATA),
    (b"$FL2", SPSS),
    (b"$FL3", SPSS),
    (b"\0\0\0\0\0\0\0\0\0\0\0\0\xc2\xea\x81\x60", "is a SAS data set: export it as CSV (PROC EXPORT)"),
    (b"HEADER RECORD***", "is a SAS transport file: export the table as CSV"),
    (b"\x89HDF\r\n\x1a\n", "is HDF5: write its table as Parquet or CSV"),
    (b"\x93NUMPY", "is a NumPy array: write Parquet or CSV, with column names"),
];
const R_OBJECT: &str = "is an R object (saveRDS): write CSV (write.csv(x, \"x.csv\", row.names = FALSE)) or Parquet";
const R_WORKSPACE: &str =
    "is an R workspace (save): write each table as CSV (write.csv(x, \"x.csv\", row.names = FALSE)) or Parquet";
const STATA: &str = "is a Stata data set: export it as CSV (export delimited)";
const SPSS: &str = "is an SPSS data set: save it as CSV";

/// Messages for files with these extensions, if their first bytes do not tell.
const BY_ENDING: [(&str, &str); 6] =
    [("rds", R_OBJECT), ("rda", R_WORKSPACE), ("rdata", R_WORKSPACE), ("dta", STATA), ("sav", SPSS), ("zsav", SPSS)];

/// Returns the reason for refusing a file by its first bytes. A short magic may be part of a text's header (`ORCID`, `PARENT`).
fn refused(head: &[u8]) -> Option<&'static str> {
    let (_, problem) = REFUSED.iter().find(|(magic, _)| head.starts_with(magic) && !(magic.len() <= SHORT && is_text(head)))?;
    Some(problem)
}

/// Maximum length of a magic which may also begin a text's header.
const SHORT: usize = 4;

/// Returns whether the first bytes of a file are text: UTF-8, possibly cut within a character, without control characters.
fn is_text(head: &[u8]) -> bool {
    let whole = std::str::from_utf8(head).map_or_else(|e| e.error_len().is_none(), |_| true);
    whole && head.iter().all(|byte| *byte >= b' ' || byte.is_ascii_whitespace())
}

/// Returns the lower-case extension of a name; for a packed file, the extension before the last.
fn ending(path: &Path) -> String {
    let of = |path: &Path| path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    match of(path).as_str() {
        "gz" | "gzip" | "zst" | "zstd" | "bz2" | "xz" => path.file_stem().map(|stem| of(Path::new(stem))).unwrap_or_default(),
        own => own.to_owned(),
    }
}

/// Returns whether a file in a folder lies beside the data without being data, judged by its name.
pub(crate) fn is_beside(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let known = ["readme", "license", "licence", "changelog"].iter().any(|word| name.starts_with(word));
    let last = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let data = |ending: &str| TEXT.contains(&ending) || JSON.contains(&ending) || OTHERS.contains(&ending);
    known || !(data(&last) || data(&ending(path)) || begins_as_data(path))
}

fn begins_as_data(path: &Path) -> bool {
    let head = tidegate_files::open_given(path).and_then(|file| begin(file, 6)).unwrap_or_default();
    [&b"PAR1"[..], b"ARROW1", b"\xff\xff\xff\xff"].iter().any(|magic| head.starts_with(magic))
}

/// Detects the format of the file at `path`.
///
/// # Errors
/// Returns [`DataError::File`] for an unsupported format, with what to do.
pub(crate) fn format(path: &Path) -> Result<Format, DataError> {
    let file = tidegate_files::open_given(path).map_err(|e| unreadable(path, e))?;
    let size = file.metadata().map_err(|e| unreadable(path, e))?.len();
    let head = begin(&file, 16).map_err(|e| broken(path, e))?;
    if head.is_empty() {
        return Ok(Format::Empty);
    }
    if let Some(problem) = refused(&head) {
        return Err(broken(path, problem));
    }
    if head.starts_with(ZIP) {
        return match guarded(path, || sheet::kind(path))? {
            sheet::Zip::Workbook => Ok(Format::Text),
            sheet::Zip::Binary => {
                Err(broken(path, "is a workbook in Excel's binary form: save it as .xlsx, or the sheet as CSV"))
            }
            sheet::Zip::Other => Err(broken(path, "is a ZIP archive and not an Excel workbook: unpack it")),
        };
    }
    match head.as_slice() {
        [b'P', b'A', b'R', b'1', ..] if !is_text(&head) => return Ok(Format::Parquet),
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] => return Ok(Format::ArrowFile),
        [0xff, 0xff, 0xff, 0xff, a, b, c, d, ..] if u64::from(u32::from_le_bytes([*a, *b, *c, *d])) < size => {
            return Ok(Format::ArrowStream);
        }
        _ => {}
    }
    let head = begin(unpacked(path)?.bytes, 4096).map_err(|e| broken(path, e))?;
    let ending = ending(path);
    let first = &head[..head.len().min(16)];
    if [&b"PAR1"[..], b"ARROW1"].iter().any(|magic| head.starts_with(magic) && !is_text(first)) {
        return Err(broken(path, "is compressed twice: decompress it once"));
    }
    if let Some(problem) = refused(first) {
        return Err(broken(path, problem));
    }
    if TEXT.contains(&ending.as_str()) {
        return Ok(if head.is_empty() { Format::Empty } else { Format::Text });
    }
    if let Some((_, problem)) = BY_ENDING.iter().find(|(known, _)| *known == ending) {
        return Err(broken(path, problem));
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head);
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        Some(b'{' | b'[') => Ok(Format::Json),
        None if JSON.contains(&ending.as_str()) => Ok(Format::Empty),
        _ if ending.is_empty() => Ok(if head.is_empty() { Format::Empty } else { Format::Text }),
        _ if OTHERS.contains(&ending.as_str()) || JSON.contains(&ending.as_str()) => {
            Err(broken(path, format!("is not a .{ending} file: its first bytes do not match the format")))
        }
        _ => Err(broken(path, format!("unknown file name extension {ending:?}: use .parquet, .csv, .tsv, .arrow or .ndjson"))),
    }
}
