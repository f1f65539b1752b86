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

/// Where a job may go.
#[derive(Debug)]
pub(crate) struct Places {
    /// In the order in which they are tried.
    pub(crate) all: Vec<Address>,
    /// Whose grant is shown, where that is another than the first of them: who answers there must show that owner's lease.
    pub(crate) owner: Option<String>,
}

/// Where it was said to be; if nowhere, where the owner of the dataset of this name or id says that its node is, and who else answers for it. What is shown there
/// is a grant of that owner, where there is one: it says itself whose it is, and anybody may call a dataset anything.
pub(crate) fn of_jobs(home: &Home, to: Option<&Place>, dataset: &str, grant: &str) -> anyhow::Result<Places> {
    let granted_by = granted_by(grant)?;
    let is_theirs = |owner: &PeerId| granted_by.as_ref().is_none_or(|by| *by == owner.did());
    if let Some(place) = to {
        let to = place.at(home)?;
        let owner = if is_theirs(&to.peer) { None } else { granted_by };
        return Ok(Places { all: vec![to], owner });
    }
    let (catalogue, now) = (finding::open(home, false)?, SystemTime::now());
    let found = match &granted_by {
        None => catalogue.find(dataset, now).map_err(|e| anyhow::anyhow!("no --to was given, and {e}"))?,
        Some(by) => catalogue.named(dataset, now)?.into_iter().find(|one| is_theirs(&one.owner)).with_context(|| {
            format!("no --to was given, and no listing {dataset:?} of {by} is here: hear more with `tidegate catalog sync --from PEER`")
        })?,
    };
    let holders = found.listing.holders.iter().filter_map(|holder| holder.parse().ok());
    let all = std::iter::once(found.listing.address(&found.owner).parse()?).chain(holders).collect();
    Ok(Places { all, owner: None })
}

/// Whose grant this is, as it says itself; nobody's where there is none.
fn granted_by(grant: &str) -> anyhow::Result<Option<String>> {
    Ok(match grant {
        "" => None,
        token => grant::show(token, None).context("--grant")?.owner,
    })
}

/// As [`of_jobs`], where the owner alone will do.
pub(crate) fn of(home: &Home, to: Option<&Place>, dataset: &str, grant: &str) -> anyhow::Result<Address> {
    let Places { all, owner } = of_jobs(home, to, dataset, grant)?;
    let first = all.into_iter().next().context("the owner's listing has no address")?;
    anyhow::ensure!(owner.is_none(), "the grant is {}'s, and --to is {}", owner.unwrap_or_default(), first.peer);
    Ok(first)
}

/// Where the owner whose grant this is says that a dataset is held encrypted; nowhere, where its listing is not here.
pub(crate) fn mirrors(home: &Home, dataset: &str, grant: &str) -> anyhow::Result<Vec<Address>> {
    let Some(owner) = grant::show(grant, None).ok().and_then(|shown| shown.owner) else { return Ok(vec![]) };
    let found = finding::open(home, false)?.named(dataset, SystemTime::now())?.into_iter().find(|one| one.owner.did() == owner);
    Ok(found.into_iter().flat_map(|one| one.listing.mirrors).filter_map(|mirror| mirror.parse().ok()).collect())
}
