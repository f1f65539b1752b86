//! `[versions]`: rules for which versions before the newest still answer.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{BadPolicy, bad};
use crate::ContentHash;

/// Versions of a dataset allowed to answer, in the newest version's policy.
///
/// An older version that answers is under the intersection of its own policy and the newest
/// ([`Policy::meet`](super::Policy::meet)).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "versions.answer must be \"newest\", \"all\" or a list of manifest ids")]
pub enum Answering {
    /// Only the newest version.
    #[default]
    Newest,
    /// All versions not retired.
    All,
    /// The newest version, and any of these manifests not retired.
    #[serde(untagged)]
    These(BTreeSet<ContentHash>),
}

/// Maximum number of older versions in a policy.
const VERSIONS: usize = 64;

impl Answering {
    /// Returns whether only the newest version answers.
    pub fn is_newest(&self) -> bool {
        *self == Self::Newest
    }

    /// Returns whether the older version of this manifest answers.
    pub fn older(&self, manifest: &ContentHash) -> bool {
        match self {
            Self::Newest => false,
            Self::All => true,
            Self::These(manifests) => manifests.contains(manifest),
        }
    }

    /// Returns the versions allowed to answer by both.
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
    /// Versions allowed to answer; only the newest, if not given.
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
                "Name fewer, or write \"all\" and retire the others with `tidegate retire`",
            )),
            answering => Ok(answering),
        }
    }
}
