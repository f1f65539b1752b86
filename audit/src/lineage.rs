//! Which version of a dataset governs, which older versions answer beside it, and which were retired, following the log's entries
//! in order.
//!
//! The ledger stores this state and consults it before each act; an audit recomputes it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tidegate_protocol::{ContentHash, Cost, policy::Answering, receipt::Predicate};

/// The governing version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newest {
    /// Its manifest.
    pub manifest: ContentHash,
    /// Its policy.
    pub policy: ContentHash,
    /// Its cap.
    pub cap: Cost,
    /// Maximum spending of each buyer within the cap.
    pub per_buyer: Cost,
    /// Older versions allowed to answer.
    pub versions: Answering,
}

/// Versions of a dataset lineage.
///
/// The newest is the version whose publication comes last in the log, retired or not, so that no withdrawal brings an older
/// version back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    newest: Newest,
    /// Manifests of all versions.
    versions: BTreeSet<ContentHash>,
    retired: BTreeSet<ContentHash>,
    /// Whether the whole dataset is withdrawn, so that no further version may come.
    ended: bool,
}

/// Reason why a version may not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotInForce {
    /// The log has no such version.
    #[error("the log has no such version of this dataset")]
    Unknown,
    /// The owner withdrew this version.
    #[error("its owner has retired this version")]
    Retired,
    /// The owner withdrew the whole dataset.
    #[error("its owner has retired this dataset")]
    Ended,
    /// A newer version exists, whose policy does not let this version answer.
    #[error("version {0} is newer, and its policy allows no jobs on this version")]
    Superseded(ContentHash),
    /// A newer version's policy applies too, and the request named another policy or none.
    #[error("version {0} is newer, and its policy also applies to this version")]
    Governed(ContentHash),
}

impl NotInForce {
    /// Returns the rule's name in an audit.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Unknown => "dataset-published",
            Self::Retired | Self::Ended => "version-retired",
            Self::Superseded(_) => "version-superseded",
            Self::Governed(_) => "policy-in-force",
        }
    }
}

impl Lineage {
    /// Computes the state after one more entry, given the state `before`. Entries of other kinds change nothing.
    ///
    /// # Errors
    /// Returns [`NotInForce`] if the entry is not allowed: a version of a dataset retired as a whole, or the retirement of
    /// something the log does not have.
    pub fn after(before: Option<Self>, says: &Predicate) -> Result<Option<Self>, NotInForce> {
        match says {
            Predicate::Publication { manifest, policy, cap, per_buyer, versions: answering, .. } => {
                let (mut versions, retired) = match before {
                    Some(Self { ended: true, .. }) => return Err(NotInForce::Ended),
                    Some(Self { versions, retired, .. }) => (versions, retired),
                    None => Default::default(),
                };
                versions.insert(*manifest);
                let (policy, cap, per_buyer) = (*policy, *cap, *per_buyer);
                let newest = Newest { manifest: *manifest, policy, cap, per_buyer, versions: answering.clone() };
                Ok(Some(Self { newest, versions, retired, ended: false }))
            }
            Predicate::Retirement { manifest, .. } => {
                let mut after = before.ok_or(NotInForce::Unknown)?;
                match manifest {
                    None => after.ended = true,
                    Some(manifest) if after.versions.contains(manifest) => drop(after.retired.insert(*manifest)),
                    Some(_) => return Err(NotInForce::Unknown),
                }
                Ok(Some(after))
            }
            _ => Ok(before),
        }
    }

    /// Returns the dataset lineage (`population`) whose versions an entry changes.
    pub fn of(says: &Predicate) -> Option<ContentHash> {
        match says {
            Predicate::Publication { population, .. } | Predicate::Retirement { population, .. } => Some(*population),
            _ => None,
        }
    }

    /// Returns the governing version.
    pub fn newest(&self) -> &Newest {
        &self.newest
    }

    /// Checks whether neither this version nor its dataset was withdrawn.
    ///
    /// # Errors
    /// Returns [`NotInForce::Retired`] or [`NotInForce::Ended`] if the version or the dataset was withdrawn.
    pub fn kept(&self, manifest: &ContentHash) -> Result<(), NotInForce> {
        match (self.ended, self.retired.contains(manifest)) {
            (true, _) => Err(NotInForce::Ended),
            (false, true) => Err(NotInForce::Retired),
            (false, false) => Ok(()),
        }
    }

    /// Returns the version whose policy applies besides this version's own; `None` if this version is the newest.
    ///
    /// # Errors
    /// Returns [`NotInForce`] if the version may not answer.
    pub fn governed(&self, manifest: &ContentHash) -> Result<Option<&Newest>, NotInForce> {
        self.kept(manifest)?;
        if !self.versions.contains(manifest) {
            return Err(NotInForce::Unknown);
        }
        match self.newest.manifest == *manifest {
            true => Ok(None),
            false if self.newest.versions.older(manifest) => Ok(Some(&self.newest)),
            false => Err(NotInForce::Superseded(self.newest.manifest)),
        }
    }

    /// Checks like [`Lineage::governed`], and compares the additional policy with the stated `policy`.
    ///
    /// # Errors
    /// Returns [`NotInForce`] as for [`Lineage::governed`], or if the policies differ.
    pub fn governed_by(&self, manifest: &ContentHash, policy: Option<ContentHash>) -> Result<Option<&Newest>, NotInForce> {
        let newest = self.governed(manifest)?;
        if newest.map(|newest| newest.policy) == policy { Ok(newest) } else { Err(NotInForce::Governed(self.newest.manifest)) }
    }
}
