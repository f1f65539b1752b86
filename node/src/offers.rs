//! What a peer offers, as a buyer sees it: signatures checked, and each version under the policy that is in force for it.

use std::{borrow::Cow, collections::BTreeSet};

use tidegate_protocol::{
    ContentHash, Lease, PeerId, Signed,
    frame::Published,
    manifest::{self, Manifest},
    policy::Policy,
};

use crate::{NodeError, ids};

/// A dataset as its owner shows it, signatures checked.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The manifest.
    pub manifest: Signed<Manifest>,
    /// The policy.
    pub policy: Signed<Policy>,
    /// Where another than its owner shows it: the owner's word that it may.
    pub lease: Option<Signed<Lease>>,
    /// Where there is a newer version: that one's policy.
    pub newest: Option<Signed<Policy>>,
}

impl Offer {
    /// Whether it answers: it is the newest version, or that one's policy lets it.
    pub fn answers(&self) -> bool {
        self.newest.as_ref().is_none_or(|newest| newest.body().versions.older(&self.manifest.id()))
    }

    /// The policy that is in force for it: its own, or what that and the newest version's both allow.
    ///
    /// # Errors
    /// [`NodeError::File`] where it answers nothing any more.
    pub fn in_force(&self) -> Result<Cow<'_, Policy>, NodeError> {
        match &self.newest {
            None => Ok(Cow::Borrowed(self.policy.body())),
            Some(newest) if self.answers() => Ok(Cow::Owned(self.policy.body().meet(newest.body()))),
            Some(_) => Err(NodeError::File(format!(
                "version {} of {:?} answers nothing any more: a newer one came after it. `tidegate list` shows what answers, if anything does",
                self.manifest.id().short(),
                self.manifest.body().name
            ))),
        }
    }

    /// Whose dataset it is.
    pub fn owner(&self) -> PeerId {
        self.manifest.signer()
    }

    /// The policy that is in force for it; its own, where it answers no further job.
    pub(crate) fn then(&self) -> Cow<'_, Policy> {
        self.in_force().unwrap_or(Cow::Borrowed(self.policy.body()))
    }
}

/// Opens a peer's listings. Each must be signed by that peer, or by an owner whose lease names the peer.
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
                return Err(NodeError::Unverified(
                    "a listing names the policy of a newer version that is another owner's".into(),
                ));
            }
            if !answers_for(from, &manifest.signer(), lease.as_ref(), &manifest.id()) {
                return Err(NodeError::Unverified(
                    "a listing is not signed by this peer, and it shows no lease of who did".into(),
                ));
            }
            Ok(Offer { manifest, policy, lease, newest })
        })
        .collect()
}

/// Whether `peer` may answer for `owner` over this version: it is the owner, or the owner's lease names it.
pub(crate) fn answers_for(peer: &PeerId, owner: &PeerId, lease: Option<&Signed<Lease>>, manifest: &ContentHash) -> bool {
    let named = |lease: &Signed<Lease>| {
        let body = lease.body();
        lease.signer() == *owner && body.holder == *peer && body.manifest == *manifest && body.check().is_ok()
    };
    peer == owner || lease.is_some_and(named)
}

/// Chooses the newest version of the dataset called `name`, or the version whose id is, or begins with, it.
///
/// # Errors
/// [`NodeError::File`] naming what answers instead.
pub(crate) fn chosen(mut offers: Vec<Offer>, name: &str) -> Result<Offer, NodeError> {
    let newest = |offer: &Offer| offer.newest.is_none() && offer.manifest.body().name == name;
    if let Some(at) = offers.iter().rposition(newest) {
        return Ok(offers.swap_remove(at));
    }
    let found = ids::only(&offers, |offer| offer.manifest.id(), name)?.cloned();
    found.ok_or_else(|| NodeError::File(not_offered(&offers, name)))
}

/// Says why nothing is called `name`, and what can be asked instead.
fn not_offered(offers: &[Offer], name: &str) -> String {
    // Versions of it that came before one that is shown no more, or has another name.
    let older: Vec<_> = offers.iter().filter(|offer| offer.manifest.body().name == name).collect();
    let Some(last) = older.last() else {
        let known: BTreeSet<_> =
            offers.iter().filter(|offer| offer.answers()).map(|offer| offer.manifest.body().name.as_str()).collect();
        return match known.into_iter().collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => format!(
                "the peer has no dataset {name:?}: it offers nothing, or nothing to whoever shows no grant for it (--grant)"
            ),
            known => format!("the peer has no dataset {name:?}. It offers: {known}"),
        };
    };
    let population = last.manifest.body().population;
    let of_it = |offer: &&Offer| offer.newest.is_none() && offer.manifest.body().population == population;
    if let Some(newest) = offers.iter().find(of_it) {
        return format!(
            "the newest version of {name:?} is called {:?}: name that, or {}",
            newest.manifest.body().name,
            newest.manifest.id()
        );
    }
    let answering: Vec<_> = older.iter().filter(|offer| offer.answers()).map(|offer| offer.manifest.id().to_string()).collect();
    match answering.as_slice() {
        [] => format!(
            "the newest version of {name:?} is retired, and its policy lets no older one answer. Its owner can publish a next version"
        ),
        ids => format!(
            "the newest version of {name:?} is retired, and answers by its name no more. Older versions that answer, by their ids: {}",
            ids.join(", ")
        ),
    }
}
