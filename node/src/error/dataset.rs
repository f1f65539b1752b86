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
    #[error("the newest version of {name:?} is called {now:?}: name that, or {id}")]
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
    #[error(
        "version {version} of {name:?} answers nothing any more: a newer one came after it. `tidegate list` shows what answers, if anything does"
    )]
    Superseded {
        /// Beginning of the version's manifest id.
        version: String,
        /// Name of the dataset.
        name: String,
    },
    /// The dataset of a job has been removed from this home.
    #[error("dataset {id} is not here any more")]
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
        [] => ": it offers nothing, or nothing to whoever shows no grant for it (--grant)".into(),
        known => format!(". It offers: {}", known.join(", ")),
    }
}

fn older(answering: &[ContentHash]) -> String {
    match answering {
        [] => "and its policy lets no older one answer. Its owner can publish a next version".into(),
        ids => {
            let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
            format!("and answers by its name no more. Older versions that answer, by their ids: {}", ids.join(", "))
        }
    }
}

/// Act that a dataset's policy allows to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// Nobody may mirror the dataset.
    #[error("policy field `access.mirror`: nobody may mirror this dataset. Publish a version whose policy says \"granted\"")]
    Mirror,
    /// Nobody may copy the dataset, and no bound says to which length its encrypted files are padded.
    #[error(
        "policy field `files.max_mib`: it is not given, so that mirrors would see from the rows how large the files are. Publish a version whose policy has it"
    )]
    Unbounded,
    /// Nobody may copy the dataset, so its encrypted files are of no use to others.
    #[error("the policy lets nobody copy this dataset (`access.replicate`): its encrypted files are for its owner alone")]
    OpenSealed,
    /// Nobody may copy the dataset, so no column is sent to a holder.
    #[error(
        "the policy lets nobody copy this dataset (`access.replicate`), so that no column of it is sent: give the files that are here with --data"
    )]
    Columns,
    /// Nobody may hold the dataset.
    #[error("the policy lets nobody hold this dataset (`access.hold`)")]
    Hold,
}
