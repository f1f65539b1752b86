//! Errors of publishing a dataset or a further version of one.

use std::path::PathBuf;

use tidegate_protocol::{ContentHash, PeerId, manifest::BadFiles};

use super::Cause;

/// Advice on rows whose dataset is retired as a whole.
const GONE: &str = "Its budget is retired with it, and the same rows under a new budget would be charged twice: they cannot be published by this key again. \
     Publish rows of other people. To pause a dataset, retire only its newest version: `tidegate retire ID`";

/// Reason why a dataset cannot be published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The policy's file cannot be read.
    #[error("--policy {}: {source}", .path.display())]
    PolicyFile {
        /// Path, as given.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// The named unit column is not the policy's.
    #[error("--unit {unit} is not the policy's unit column {policy}")]
    Unit {
        /// Column, as given.
        unit: String,
        /// Column of the policy.
        policy: String,
    },
    /// The owner would be a witness of its own log.
    #[error("policy field `witnesses.keys`: a log cannot be its own witness. Name keys of other parties")]
    OwnWitness,
    /// The description of the dataset is unsuitable.
    #[error("{0}")]
    About(#[source] Cause),
    /// The dataset is retired as a whole, so no further version can come.
    #[error("--version-of: the dataset {name:?} was retired permanently with --all, and can have no further version. {}", GONE)]
    Retired {
        /// Name of the dataset.
        name: String,
    },
    /// The name was that of a dataset retired as a whole.
    #[error("{name:?} was the name of a dataset that is retired permanently. For rows of other people, give another --name")]
    NameRetired {
        /// Name, as given.
        name: String,
    },
    /// The name is that of another dataset.
    #[error(
        "{name:?} is already published: the same people under a new budget would be charged twice. Publish a new version with --version-of {id}"
    )]
    NameTaken {
        /// Name, as given.
        name: String,
        /// Manifest id of the published dataset.
        id: ContentHash,
    },
    /// The policy names an earlier version that does not exist.
    #[error("policy field `versions.answer`: {id} is not an earlier version of this dataset")]
    NoSuchVersion {
        /// Manifest id in the policy.
        id: ContentHash,
    },
    /// The policy names parties in another way than the preceding version's.
    #[error(
        "policy field `receipts.parties`: all versions of a dataset must name parties in the same way, or a buyer's cap would be counted twice. Keep \
         the earlier value"
    )]
    Parties,
    /// A file is part of another dataset.
    #[error("{file} is already part of {name:?}, whose budget protects the same people. {advice}")]
    FilePublished {
        /// Name of the file.
        file: String,
        /// Name of the other dataset.
        name: String,
        /// Advice.
        advice: FileAdvice,
    },
    /// A file is larger than the policy's public bound.
    #[error(
        "policy field `files.max_mib`: {file} is larger than this bound. Raise it to a public number that no version will reach"
    )]
    FileSize {
        /// Name of the file.
        file: String,
    },
    /// The mock rows are unsuitable.
    #[error("--mock: {0}")]
    Mock(#[source] Cause),
    /// The mock rows make more than one file.
    #[error("--mock: give one file, or a folder of files not ordered by privacy unit")]
    MockFiles,
    /// The files cannot be named as the policy requires.
    #[error("{0}")]
    Files(#[source] BadFiles),
    /// The key for grants cannot be derived from the owner's key.
    #[error("{0}")]
    GrantKey(#[source] Cause),
    /// The encrypted version cannot be described to mirrors.
    #[error("this dataset cannot be mirrored: {field}")]
    Sealed {
        /// Field of the document.
        field: &'static str,
    },
    /// The name is that of a dataset, and a version is to be retired.
    #[error(
        "{name:?} names a dataset: give the manifest id of the version to retire (the newest is {newest}), or --all for all of it"
    )]
    RetiredByName {
        /// Name, as given.
        name: String,
        /// Manifest id of the newest version.
        newest: ContentHash,
    },
}

/// Way to publish a file that is part of another dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileAdvice {
    /// Only the owner of the other dataset can publish the file.
    Owner(PeerId),
    /// The other dataset is retired as a whole: the file cannot be published.
    Retired,
    /// The file can be published as part of a further version of this manifest.
    VersionOf(ContentHash),
}

impl std::fmt::Display for FileAdvice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Owner(owner) => write!(f, "Only its owner {owner} can publish it"),
            Self::Retired => f.write_str(GONE),
            Self::VersionOf(id) => write!(f, "Publish it with --version-of {id}"),
        }
    }
}
