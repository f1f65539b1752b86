//! Place of a value in a text file, in words for its owner.

use std::{path::PathBuf, sync::Arc};

use tidegate_protocol::shown::plain;

use super::dialect::Dialect;
use crate::dataset::error::{ADD, DataError, broken};

/// Maximum number of characters shown of a value.
const SHOWN: usize = 40;

/// A value unlike the others, with its place.
#[derive(Debug, Clone)]
pub(crate) struct Odd {
    at: Place,
    value: String,
}

impl Odd {
    pub(crate) fn new(value: &str, at: &Place) -> Self {
        Self { at: at.clone(), value: value.chars().take(SHOWN).collect() }
    }

    pub(crate) fn value(&self) -> &str {
        &self.value
    }

    /// Formats the value and its place.
    pub(crate) fn words(&self) -> String {
        let file = self.at.path.file_name().unwrap_or_default().to_string_lossy();
        let word = self.at.dialect.row_word();
        let line =
            self.at.dialect.line(&self.at.path, self.at.byte).map_or_else(|_| format!("a {word}"), |at| format!("{word} {at}"));
        format!("{:?} in {line} of {}", plain(&self.value), plain(&file))
    }
}

/// Start of a record.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) path: Arc<PathBuf>,
    pub(crate) dialect: Arc<Dialect>,
    /// Byte offset of the record.
    pub(crate) byte: u64,
}

impl Place {
    /// Returns the error for a value whose bytes are not valid characters.
    pub(crate) fn not_utf8(&self, column: Option<&String>, bytes: &[u8]) -> DataError {
        let line = match self.dialect.line(&self.path, self.byte) {
            Ok(line) => line,
            Err(e) => return e,
        };
        let good = std::str::from_utf8(bytes).map_or_else(|e| e.valid_up_to(), str::len);
        broken(
            &self.path,
            format!(
                "line {line}, column {}: a byte (0x{:02X}) that is not UTF-8. If the file is Windows-1252 (Latin-1), {ADD}encoding = \"windows-1252\"",
                column.map(|name| plain(name)).unwrap_or_default(),
                bytes.get(good).copied().unwrap_or_default()
            ),
        )
    }
}
