//! Errors of publishing a dataset.

use std::path::Path;

/// Phrase before a policy line for the owner to add.
pub(super) const ADD: &str = "add to the policy, under [read]: ";

/// Reason why a dataset cannot be published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file is unreadable or damaged.
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
        "{file} has changed since it was published. Publish what is there now with --version-of {version}, or put back what was"
    )]
    Changed {
        /// Path of the file.
        file: String,
        /// Manifest id of the file's version.
        version: String,
    },
    /// A record of the dataset cannot be stored or read.
    #[error("the dataset record: {0}")]
    Record(String),
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

pub(super) fn broken(file: &Path, problem: impl ToString) -> DataError {
    DataError::File { file: file.display().to_string(), problem: problem.to_string() }
}
