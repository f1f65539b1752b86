//! Location of a peer, as people write it: an address, a name in the address book, or nothing if the catalogue knows the
//! dataset's owner.

use std::{convert::Infallible, str::FromStr, time::SystemTime};

use anyhow::Context as _;
use tidegate_node::{
    Address,
    discovery::{address_book::Book, sync},
    home::Home,
};
use tidegate_protocol::{PeerId, grant};

/// An address (`did:key:…@ip:port`, as printed by `tidegate serve`, or the key alone if it can be looked up), or a name in the
/// address book.
#[derive(Debug, Clone)]
pub(crate) struct Place(String);

impl FromStr for Place {
    type Err = Infallible;
    fn from_str(word: &str) -> Result<Self, Infallible> {
        Ok(Self(word.to_owned()))
    }
}

impl Place {
    /// Returns the address.
    pub(crate) fn at(&self, home: &Home) -> anyhow::Result<Address> {
        Ok(Book::open(home)?.address(&self.0)?)
    }
}

/// Places where a job may go.
#[derive(Debug)]
pub(crate) struct Places {
    /// Addresses in the order in which they are tried.
    pub(crate) all: Vec<Address>,
    /// Owner of the grant, if not the owner of the first place: the party answering there must show this owner's lease.
    pub(crate) owner: Option<String>,
}

/// Returns the places for a job on the dataset with this name or id.
///
/// With `to`, that is the only place. Otherwise they are the owner's node and the holders, according to the owner's listing. A
/// grant is shown there: if there is one, only a listing of the owner that it names counts, since anybody may call a dataset
/// anything.
pub(crate) fn of_jobs(home: &Home, to: Option<&Place>, dataset: &str, grant: &str) -> anyhow::Result<Places> {
    let granted_by = granted_by(grant)?;
    let is_theirs = |owner: &PeerId| granted_by.as_ref().is_none_or(|by| *by == owner.did());
    if let Some(place) = to {
        let to = place.at(home)?;
        let owner = if is_theirs(&to.peer) { None } else { granted_by };
        return Ok(Places { all: vec![to], owner });
    }
    let (catalogue, now) = (sync::open(home, false)?, SystemTime::now());
    let found = match &granted_by {
        None => catalogue.find(dataset, now).map_err(|e| anyhow::anyhow!("no --to was given, and {e}"))?,
        Some(by) => catalogue.named(dataset, now)?.into_iter().find(|one| is_theirs(&one.owner)).with_context(|| {
            format!("no --to was given, and there is no listing {dataset:?} of {by}: fetch more listings with `tidegate catalog sync --from PEER`")
        })?,
    };
    let holders = found.listing.holders.iter().filter_map(|holder| holder.parse().ok());
    let all = std::iter::once(found.listing.address(&found.owner).parse()?).chain(holders).collect();
    Ok(Places { all, owner: None })
}

/// Returns the owner named by a grant itself; `None` without a grant.
fn granted_by(grant: &str) -> anyhow::Result<Option<String>> {
    Ok(match grant {
        "" => None,
        token => grant::show(token, None).context("--grant")?.owner,
    })
}

/// Like [`of_jobs`], for requests to the owner alone.
pub(crate) fn of(home: &Home, to: Option<&Place>, dataset: &str, grant: &str) -> anyhow::Result<Address> {
    let Places { all, owner } = of_jobs(home, to, dataset, grant)?;
    let first = all.into_iter().next().context("the owner's listing has no address: give the owner's node with --to PEER")?;
    anyhow::ensure!(
        owner.is_none(),
        "the grant was issued by {}, and --to is {}: give the node of the grant's issuer with --to, or a grant from this one",
        owner.unwrap_or_default(),
        first.peer
    );
    Ok(first)
}

/// Returns the mirrors of a dataset according to the listing of the grant's owner; none if the listing is not here.
pub(crate) fn mirrors(home: &Home, dataset: &str, grant: &str) -> anyhow::Result<Vec<Address>> {
    let Some(owner) = grant::show(grant, None).ok().and_then(|shown| shown.owner) else { return Ok(vec![]) };
    let found = sync::open(home, false)?.named(dataset, SystemTime::now())?.into_iter().find(|one| one.owner.did() == owner);
    Ok(found.into_iter().flat_map(|one| one.listing.mirrors).filter_map(|mirror| mirror.parse().ok()).collect())
}
