//! Datasets that are not there, and acts that a policy allows to nobody.

use tidegate_protocol::ContentHash;

/// Reason why no dataset answers to a name or id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoSuchDataset {
    /// This party has published no such dataset.
    #[error("no dataset {name:?} here. Published: {}", published(.known))]
    Here {
        /// Name or id, as given.
        name: String,
        /// Names of the published datasets.
        known: Vec<String>,
    },
    /// The owner has no such dataset.
    #[error("no dataset {name:?} there. It has: {}", .known.join(", "))]
    There {
        /// Name or id, as given.
        name: String,
        /// Names of the owner's datasets.
        known: Vec<String>,
    },
    /// The peer offers no such dataset, or shows it only to holders of a grant.
    #[error("the peer has no dataset {name:?}{}", offers(.known))]
    NotOffered {
        /// Name or id, as given.
        name: String,
        /// Names of the offered datasets that answer.
        known: Vec<String>,
    },
    /// The newest version has another name.
    #[error("the newest version of {name:?} has the name {now:?}: use that name, or {id}")]
    Renamed {
        /// Name, as given.
        name: String,
        /// Name of the newest version.
        now: String,
        /// Manifest id of the newest version.
        id: ContentHash,
    },
    /// The newest version is retired.
    #[error("the newest version of {name:?} is retired, {}", older(.answering))]
    Retired {
        /// Name, as given.
        name: String,
        /// Manifest ids of the older versions that answer.
        answering: Vec<ContentHash>,
    },
    /// A newer version came after this one, which answers nothing any more.
    #[error("version {version} of {name:?} is superseded and accepts no jobs. `tidegate list` shows the versions that do")]
    Superseded {
        /// Beginning of the version's manifest id.
        version: String,
        /// Name of the dataset.
        name: String,
    },
    /// The dataset of a job has been removed from this home.
    #[error("dataset {id} is no longer here")]
    Removed {
        /// Manifest id.
        id: ContentHash,
    },
}

fn published(known: &[String]) -> String {
    if known.is_empty() { "nothing".to_owned() } else { known.join(", ") }
}

fn offers(known: &[String]) -> String {
    match known {
        [] => ": it offers no dataset, or none without a grant (--grant)".into(),
        known => format!(". It offers: {}", known.join(", ")),
    }
}

fn older(answering: &[ContentHash]) -> String {
    match answering {
        [] => "and its policy allows jobs on no older version. Its owner can publish a new version".into(),
        ids => {
            let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
            format!("and its name accepts no jobs. These older versions do, by their ids: {}", ids.join(", "))
        }
    }
}

/// Act that a dataset's policy allows to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// Nobody may mirror the dataset.
    #[error("policy field `access.mirror`: nobody may mirror this dataset. Publish a version with mirror = \"granted\"")]
    Mirror,
    /// Nobody may copy the dataset, and no bound says to which length its encrypted files are padded.
    #[error(
        "policy field `files.max_mib`: it is not given, so that mirrors would see from the rows how large the files are. Publish a version whose policy has it"
    )]
    Unbounded,
    /// Nobody may copy the dataset, so its encrypted files are of no use to others.
    #[error("the policy allows nobody to copy this dataset (`access.replicate`): only its owner can decrypt the files")]
    OpenSealed,
    /// Nobody may copy the dataset, so no column is sent to a holder.
    #[error(
        "the policy allows nobody to copy this dataset (`access.replicate`), so that its columns are not sent: give local files with --data"
    )]
    Columns,
    /// Nobody may hold the dataset.
    #[error("the policy allows no replicas of this dataset (`access.hold`)")]
    Hold,
}
