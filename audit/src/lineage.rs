//! Which version of a dataset governs, which older ones answer beside it, and which were retired: as entries of the log say, in their order. The ledger
//! keeps it and asks it before each act, and an audit makes it anew.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tidegate_protocol::{ContentHash, Cost, policy::Answering, receipt::Predicate};

/// The version that governs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newest {
    /// Its manifest.
    pub manifest: ContentHash,
    /// Its policy.
    pub policy: ContentHash,
    /// Its cap.
    pub cap: Cost,
    /// What one buyer may spend of that.
    pub per_buyer: Cost,
    /// Which of those before it answer.
    pub versions: Answering,
}

/// A population's versions: the newest is the one whose publication comes last in the log, retired or not, so that nothing that is withdrawn brings an older
/// one back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    newest: Newest,
    /// Manifests of all.
    versions: BTreeSet<ContentHash>,
    retired: BTreeSet<ContentHash>,
    /// All are withdrawn, and no further one comes.
    ended: bool,
}

/// Why nothing may be done by a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotInForce {
    /// The log has no such version.
    #[error("the log has no such version of this dataset")]
    Unknown,
    /// Its owner withdrew it.
    #[error("its owner has retired this version")]
    Retired,
    /// Its owner withdrew the whole dataset.
    #[error("its owner has retired this dataset")]
    Ended,
    /// Another is newer, whose policy does not let it answer.
    #[error("version {0} is newer, and its policy lets this one answer nothing")]
    Superseded(ContentHash),
    /// It is under another version's policy beside its own than was said.
    #[error("version {0} is newer, under whose policy too it answers")]
    Governed(ContentHash),
}

impl NotInForce {
    /// The rule's name in an audit.
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
    /// After an entry more: of a population that has `before`. Entries of other kinds change nothing.
    ///
    /// # Errors
    /// [`NotInForce`] where the entry cannot be: a version of what was retired as a whole, or the retirement of what the log does not have.
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

    /// The population that an entry changes the versions of.
    pub fn of(says: &Predicate) -> Option<ContentHash> {
        match says {
            Predicate::Publication { population, .. } | Predicate::Retirement { population, .. } => Some(*population),
            _ => None,
        }
    }

    /// The version that governs.
    pub fn newest(&self) -> &Newest {
        &self.newest
    }

    /// Whether nothing is withdrawn that this version is of.
    ///
    /// # Errors
    /// [`NotInForce::Retired`] or [`NotInForce::Ended`].
    pub fn kept(&self, manifest: &ContentHash) -> Result<(), NotInForce> {
        match (self.ended, self.retired.contains(manifest)) {
            (true, _) => Err(NotInForce::Ended),
            (false, true) => Err(NotInForce::Retired),
            (false, false) => Ok(()),
        }
    }

    /// Under whose policy besides its own a version answers: none where it is the newest.
    ///
    /// # Errors
    /// [`NotInForce`] where it does not.
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

    /// As [`Lineage::governed`], where it was said by which policy.
    ///
    /// # Errors
    /// [`NotInForce`].
    pub fn governed_by(&self, manifest: &ContentHash, policy: Option<ContentHash>) -> Result<Option<&Newest>, NotInForce> {
        let newest = self.governed(manifest)?;
        if newest.map(|newest| newest.policy) == policy { Ok(newest) } else { Err(NotInForce::Governed(self.newest.manifest)) }
    }
}
