//! Where in a text file a value is, in words for its owner.

use std::{path::PathBuf, sync::Arc};

use tidegate_protocol::shown::plain;

use super::dialect::Dialect;

/// Most characters of a value that are shown.
const SHOWN: usize = 40;

/// A value that is not what the others are, and where it is.
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

    /// The value, and where it is.
    pub(crate) fn words(&self) -> String {
        let file = self.at.path.file_name().unwrap_or_default().to_string_lossy();
        let word = self.at.dialect.row_word();
        let line =
            self.at.dialect.line(&self.at.path, self.at.byte).map_or_else(|_| format!("a {word}"), |at| format!("{word} {at}"));
        format!("{:?} in {line} of {}", plain(&self.value), plain(&file))
    }
}

/// Where a record begins.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) path: Arc<PathBuf>,
    pub(crate) dialect: Arc<Dialect>,
    /// Bytes before it.
    pub(crate) byte: u64,
}
