//! Where a peer is, as people write it: an address, a name in the address book, or nothing where the catalogue knows whose dataset it is.

use std::{convert::Infallible, str::FromStr, time::SystemTime};

use anyhow::Context as _;
use tidegate_node::{Address, book::Book, finding, home::Home};
use tidegate_protocol::{PeerId, grant};

/// An address (`did:key:…@ip:port`, as `tidegate serve` prints it, or the key alone where it is looked up), or a name in the address book.
#[derive(Debug, Clone)]
pub(crate) struct Place(String);

impl FromStr for Place {
    type Err = Infallible;
    fn from_str(word: &str) -> Result<Self, Infallible> {
        Ok(Self(word.to_owned()))
    }
}

impl Place {
    /// The address.
    pub(crate) fn at(&self, home: &Home) -> anyhow::Result<Address> {
        Ok(Book::open(home)?.address(&self.0)?)
    }
}

/// Where it was said to be; if nowhere, where the owner of the dataset of this name or id says that its node is. What is shown there is a grant of that owner,
/// where there is one: it says itself whose it is, and anybody may call a dataset anything.
pub(crate) fn of(home: &Home, to: Option<&Place>, dataset: &str, grant: &str) -> anyhow::Result<Address> {
    let granted_by = match grant {
        "" => None,
        token => grant::show(token, None).context("--grant")?.owner,
    };
    let is_theirs = |owner: &PeerId| granted_by.as_ref().is_none_or(|by| *by == owner.did());
    if let Some(place) = to {
        let to = place.at(home)?;
        anyhow::ensure!(is_theirs(&to.peer), "the grant is {}'s, and --to is {}", granted_by.unwrap_or_default(), to.peer);
        return Ok(to);
    }
    let (catalogue, now) = (finding::open(home, false)?, SystemTime::now());
    let found = match &granted_by {
        None => catalogue.find(dataset, now).map_err(|e| anyhow::anyhow!("no --to was given, and {e}"))?,
        Some(by) => catalogue.named(dataset, now)?.into_iter().find(|one| is_theirs(&one.owner)).with_context(|| {
            format!("no --to was given, and no listing {dataset:?} of {by} is here: hear more with `tidegate catalog sync --from PEER`")
        })?,
    };
    Ok(found.listing.address(&found.owner).parse()?)
}

/// Where the owner whose grant this is says that a dataset is held encrypted; nowhere, where its listing is not here.
pub(crate) fn mirrors(home: &Home, dataset: &str, grant: &str) -> anyhow::Result<Vec<Address>> {
    let Some(owner) = grant::show(grant, None).ok().and_then(|shown| shown.owner) else { return Ok(vec![]) };
    let found = finding::open(home, false)?.named(dataset, SystemTime::now())?.into_iter().find(|one| one.owner.did() == owner);
    Ok(found.into_iter().flat_map(|one| one.listing.mirrors).filter_map(|mirror| mirror.parse().ok()).collect())
}
