//! A peer's offers as a buyer sees them: signatures checked, and each version under the policy in force.

use std::{borrow::Cow, collections::BTreeSet};

use tidegate_protocol::{
    ContentHash, Lease, PeerId, Signed,
    frame::Published,
    manifest::{self, Manifest},
    policy::Policy,
};

use crate::{
    NodeError,
    error::{NoSuchDataset, Unverified},
    ids,
};

/// A dataset as its owner shows it, signatures checked.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The manifest.
    pub manifest: Signed<Manifest>,
    /// The policy.
    pub policy: Signed<Policy>,
    /// The owner's lease, if another party shows the dataset.
    pub lease: Option<Signed<Lease>>,
    /// Policy of the newest version, if there is a newer version.
    pub newest: Option<Signed<Policy>>,
}

impl Offer {
    /// Returns whether this version answers jobs: as the newest version, or by the newest version's policy.
    pub fn answers(&self) -> bool {
        self.newest.as_ref().is_none_or(|newest| newest.body().versions.older(&self.manifest.id()))
    }

    /// Returns the policy in force: the version's own, or for an older version the part also allowed by the newest version's
    /// policy.
    ///
    /// # Errors
    /// [`NodeError::NoSuchDataset`] if the version no longer answers anything.
    pub fn in_force(&self) -> Result<Cow<'_, Policy>, NodeError> {
        match &self.newest {
            None => Ok(Cow::Borrowed(self.policy.body())),
            Some(newest) if self.answers() => Ok(Cow::Owned(self.policy.body().meet(newest.body()))),
            Some(_) => {
                Err(NoSuchDataset::Superseded { version: self.manifest.id().short(), name: self.manifest.body().name.clone() }
                    .into())
            }
        }
    }

    /// Returns the owner of the dataset.
    pub fn owner(&self) -> PeerId {
        self.manifest.signer()
    }

    /// Returns the policy in force, or the version's own once no further job is answered.
    pub(crate) fn then(&self) -> Cow<'_, Policy> {
        self.in_force().unwrap_or(Cow::Borrowed(self.policy.body()))
    }
}

/// Opens a peer's listings. Each must be signed by the peer, or by an owner whose lease names the peer.
///
/// # Errors
/// [`NodeError::Unverified`].
pub(crate) fn opened(listings: Vec<Published>, from: &PeerId) -> Result<Vec<Offer>, NodeError> {
    listings
        .into_iter()
        .map(|l| {
            let (manifest, policy) = manifest::open(l.manifest, l.policy)?;
            let (lease, newest) =
                (l.lease.map(Signed::<Lease>::open).transpose()?, l.newest.map(Signed::<Policy>::open).transpose()?);
            if newest.as_ref().is_some_and(|newest| newest.signer() != manifest.signer()) {
                return Err(NodeError::from(Unverified::ListingPolicy));
            }
            if !answers_for(from, &manifest.signer(), lease.as_ref(), &manifest.id()) {
                return Err(NodeError::from(Unverified::ListingSigner));
            }
            Ok(Offer { manifest, policy, lease, newest })
        })
        .collect()
}

/// Returns whether `peer` may answer for `owner` over this version: as the owner, or named by the owner's lease.
pub(crate) fn answers_for(peer: &PeerId, owner: &PeerId, lease: Option<&Signed<Lease>>, manifest: &ContentHash) -> bool {
    let named = |lease: &Signed<Lease>| {
        let body = lease.body();
        lease.signer() == *owner && body.holder == *peer && body.manifest == *manifest && body.check().is_ok()
    };
    peer == owner || lease.is_some_and(named)
}

/// Chooses the newest version of the dataset called `name`, or the version whose id begins with `name`.
///
/// # Errors
/// [`NodeError::NoSuchDataset`] naming the datasets that answer instead.
pub(crate) fn chosen(mut offers: Vec<Offer>, name: &str) -> Result<Offer, NodeError> {
    let newest = |offer: &Offer| offer.newest.is_none() && offer.manifest.body().name == name;
    if let Some(at) = offers.iter().rposition(newest) {
        return Ok(offers.swap_remove(at));
    }
    let found = ids::only(&offers, |offer| offer.manifest.id(), name)?.cloned();
    found.ok_or_else(|| NodeError::from(not_offered(&offers, name)))
}

/// Returns why no dataset is called `name`, and what can be asked instead.
fn not_offered(offers: &[Offer], name: &str) -> NoSuchDataset {
    // Older versions of a lineage whose newest version is retired, or has another name.
    let older: Vec<_> = offers.iter().filter(|offer| offer.manifest.body().name == name).collect();
    let name = name.to_owned();
    let Some(last) = older.last() else {
        let known: BTreeSet<_> =
            offers.iter().filter(|offer| offer.answers()).map(|offer| offer.manifest.body().name.clone()).collect();
        return NoSuchDataset::NotOffered { name, known: known.into_iter().collect() };
    };
    let population = last.manifest.body().population;
    let of_it = |offer: &&Offer| offer.newest.is_none() && offer.manifest.body().population == population;
    if let Some(newest) = offers.iter().find(of_it) {
        return NoSuchDataset::Renamed { name, now: newest.manifest.body().name.clone(), id: newest.manifest.id() };
    }
    let answering = older.iter().filter(|offer| offer.answers()).map(|offer| offer.manifest.id()).collect();
    NoSuchDataset::Retired { name, answering }
}
