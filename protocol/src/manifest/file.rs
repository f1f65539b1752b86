//! A file, a column and the order of rows, as a manifest names them.

use serde::{Deserialize, Serialize};

use crate::ContentHash;

/// Name of the column for a row's table, in datasets with several tables. No table's own column can have this name.
///
/// It is a column of the rows that jobs read, and has the index of a row's table in the policy's list.
pub const ROW_TABLE: &str = ".table";

/// A file, identified by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// Name of the file, relative to the published folder.
    ///
    /// `/` separates folders. A folder like `year=2021` gives the value of that column in all rows below it.
    pub name: String,
    /// Table of its rows, if the dataset has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Size in bytes.
    pub bytes: u64,
    /// BLAKE3 of the file, under which iroh-blobs serves it.
    pub hash: ContentHash,
}

/// A column of the files: name and Arrow type, no values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnType {
    /// Name.
    pub name: String,
    /// Arrow data type in arrow-rs's text form.
    pub arrow: String,
}

/// Storage of the rows for jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// The published files are Parquet, already ordered by unit.
    AsPublished,
    /// Jobs read a derived Parquet copy ordered by unit.
    Clustered,
}
