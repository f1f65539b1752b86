//! Why a dataset cannot be published.

use std::path::Path;

/// What an owner is told to do, before the very words.
pub(super) const ADD: &str = "add to the policy, under [read]: ";

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
    /// Several columns are: each by itself.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Columns(Vec<DataError>),
    /// A file is not what was published.
    #[error(
        "{file} has changed since it was published. Publish what is there now with --version-of {version}, or put back what was"
    )]
    Changed {
        /// The file.
        file: String,
        /// Manifest id of the version it belongs to.
        version: String,
    },
    /// A record of the dataset cannot be kept or read.
    #[error("the dataset record: {0}")]
    Record(String),
}

impl DataError {
    /// The error of a file that is read by no policy's rules: what it says to add goes to `place` instead.
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

/// Collects what was found of each column, or every column's problem where there is one.
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
