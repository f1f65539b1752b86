//! Errors of publishing a dataset.

use std::path::Path;

/// Phrase before a policy line for the owner to add.
pub(super) const ADD: &str = "add to the policy, under [read]: ";

/// Reason why a dataset cannot be published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder cannot be read or written.
    #[error("{file}: {source}")]
    Io {
        /// Path of the file.
        file: String,
        /// Error of the system.
        source: std::io::Error,
    },
    /// A file is damaged, or of a form that cannot be published.
    #[error("{file}: {problem}")]
    File {
        /// Path of the file.
        file: String,
        /// Description of the problem.
        problem: String,
    },
    /// A column named by the policy is missing or unsuitable.
    #[error("column `{column}`: {problem}")]
    Column {
        /// Name of the column.
        column: String,
        /// Description of the problem and its fix.
        problem: String,
    },
    /// Several columns are missing or unsuitable, each by itself.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Columns(Vec<DataError>),
    /// A file differs from the published version.
    #[error(
        "{file} has changed since it was published. Publish its present content with --version-of {version}, or restore the published file"
    )]
    Changed {
        /// Path of the file.
        file: String,
        /// Manifest id of the file's version.
        version: String,
    },
    /// The manifest or policy of a record does not verify.
    #[error("the dataset record: {0}")]
    Version(#[source] tidegate_protocol::manifest::BadVersion),
    /// The hashes of a record are not those of its manifest.
    #[error(
        "the dataset record: its hashes are not for the files of manifest {manifest}. Restore the record, or publish the files again"
    )]
    OtherFiles {
        /// Id of the manifest.
        manifest: tidegate_protocol::ContentHash,
    },
    /// A record cannot be encoded as JSON.
    #[error("the dataset record: {0}")]
    Encode(#[source] serde_json::Error),
    /// A column of the published schema has an unknown type.
    #[error("the dataset record: {0}")]
    Type(#[source] arrow::error::ArrowError),
    /// A table of the policy has no rows.
    #[error("the dataset record: no such table")]
    NoTable,
    /// A row is of a file that is not among the dataset's.
    #[error("the dataset record: no such file")]
    NoFile,
    /// There are no files.
    #[error("the dataset record: no files")]
    NoFiles,
}

impl DataError {
    /// Rewrites the error for a file read without a policy: lines to add go to `place` instead.
    pub fn said_of(self, place: &str) -> Self {
        let said = |problem: String| problem.replace(ADD, &format!("add {place} "));
        match self {
            Self::File { file, problem } => Self::File { file, problem: said(problem) },
            Self::Column { column, problem } => Self::Column { column, problem: said(problem) },
            Self::Columns(all) => Self::Columns(all.into_iter().map(|one| one.said_of(place)).collect()),
            other => other,
        }
    }
}

/// Collects the results for all columns, or the problems of all bad columns.
pub(super) fn of_columns<T>(found: impl Iterator<Item = Result<T, DataError>>) -> Result<Vec<T>, DataError> {
    let (mut good, mut wrong) = (Vec::new(), Vec::new());
    for one in found {
        match one {
            Ok(one) => good.push(one),
            Err(problem) => wrong.push(problem),
        }
    }
    match wrong.len() {
        0 => Ok(good),
        1 => Err(wrong.remove(0)),
        _ => Err(DataError::Columns(wrong)),
    }
}

pub(super) fn unreadable(file: &Path, source: std::io::Error) -> DataError {
    DataError::Io { file: file.display().to_string(), source }
}

pub(super) fn broken(file: &Path, problem: impl ToString) -> DataError {
    DataError::File { file: file.display().to_string(), problem: problem.to_string() }
}
