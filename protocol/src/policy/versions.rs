//! `[versions]`: which versions before the newest answer still.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{BadPolicy, bad};
use crate::ContentHash;

/// Which versions of a dataset answer: of the newest one's policy. An older one that does is under what both its own policy and the newest allow
/// ([`Policy::meet`](super::Policy::meet)).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "versions.answer must be \"newest\", \"all\" or a list of manifest ids")]
pub enum Answering {
    /// The newest alone.
    #[default]
    Newest,
    /// All that were not retired.
    All,
    /// Besides the newest, those of these manifests that were not retired.
    #[serde(untagged)]
    These(BTreeSet<ContentHash>),
}

/// Most older versions that one policy names.
const VERSIONS: usize = 64;

impl Answering {
    /// Whether only the newest does.
    pub fn is_newest(&self) -> bool {
        *self == Self::Newest
    }

    /// Whether the older version of this manifest does.
    pub fn older(&self, manifest: &ContentHash) -> bool {
        match self {
            Self::Newest => false,
            Self::All => true,
            Self::These(manifests) => manifests.contains(manifest),
        }
    }

    /// What both let answer.
    pub(super) fn meet(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, answering) | (answering, Self::All) => answering.clone(),
            (Self::These(ours), Self::These(theirs)) if !ours.is_disjoint(theirs) => {
                Self::These(ours.intersection(theirs).copied().collect())
            }
            _ => Self::Newest,
        }
    }
}

/// `[versions]` of the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionsFile {
    /// Which versions answer; the newest alone, if not given.
    #[serde(default)]
    pub answer: Answering,
}

impl VersionsFile {
    pub(super) fn check(self) -> Result<Answering, BadPolicy> {
        match self.answer {
            Answering::These(manifests) if manifests.is_empty() => Ok(Answering::Newest),
            Answering::These(manifests) if manifests.len() > VERSIONS => Err(bad(
                "versions.answer",
                format!("names more than {VERSIONS} versions"),
                "Name fewer, or write \"all\" and retire those that are not to answer: `tidegate retire`",
            )),
            answering => Ok(answering),
        }
    }
}
