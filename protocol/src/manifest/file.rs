//! A file, a column and the order of rows, as a manifest names them.

use serde::{Deserialize, Serialize};

use crate::ContentHash;

/// The column of the rows that jobs read which says of which table a row is, by its place in the policy's list: where a dataset has several. No
/// table's column can have this name.
pub const ROW_TABLE: &str = ".table";

/// A file by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// The file's name, below what was published: `/` stands between folders, of which one like `year=2021` says that column's value of all rows in it.
    pub name: String,
    /// The table that its rows are of, where the dataset has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Size in bytes.
    pub bytes: u64,
    /// BLAKE3 of the file: what iroh-blobs serves it under.
    pub hash: ContentHash,
}

/// One column as the files have it: name and Arrow type, no values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnType {
    /// Name.
    pub name: String,
    /// Arrow data type in arrow-rs's text form.
    pub arrow: String,
}

/// How the rows that jobs read lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// The published files are Parquet, already ordered by unit.
    AsPublished,
    /// Jobs read a derived Parquet copy ordered by unit.
    Clustered,
}
