//! Dataset versions on the owner's machine: reading the files, checking the unit, laying rows out by unit, remembering where they lie.
//!
//! # Path
//! [`tables`] (what was named → files) → [`profile`] (one schema of all files, their order, and a copy ordered by unit where the files are not) → [`save`].

use std::path::Path;

mod beyond;
mod bounded;
mod cluster;
mod hash;
mod layout;
mod lost;
mod paths;
mod people;
pub mod pieces;
mod proven;
mod read;
mod record;
mod survey;
mod table;
mod types;

pub use beyond::Bounded;
pub use hash::hash;
pub use layout::{OrderCheck, Phase, Profile, fit_a_manifest, profile, schema};
pub use paths::{TableFiles, tables};
pub use people::People;
pub use proven::Proven;
pub use read::{Reader, describe, open, open_by};
pub use record::{Dataset, DatasetRecord, Stamp, load_all, save};
pub use survey::{Bound, Grouped, Setting, Survey, survey};

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
        let said = |problem: String| problem.replace(read::ADD, &format!("add {place} "));
        match self {
            Self::File { file, problem } => Self::File { file, problem: said(problem) },
            Self::Column { column, problem } => Self::Column { column, problem: said(problem) },
            Self::Columns(all) => Self::Columns(all.into_iter().map(|one| one.said_of(place)).collect()),
            other => other,
        }
    }
}

/// Collects what was found of each column, or every column's problem where there is one.
fn of_columns<T>(found: impl Iterator<Item = Result<T, DataError>>) -> Result<Vec<T>, DataError> {
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

fn broken(file: &Path, problem: impl ToString) -> DataError {
    DataError::File { file: file.display().to_string(), problem: problem.to_string() }
}
