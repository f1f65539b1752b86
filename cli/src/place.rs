//! Where a peer is, as people write it: an address, a name in the address book, or nothing where the catalogue knows whose dataset it is.

use std::{convert::Infallible, str::FromStr, time::SystemTime};

use tidegate_node::{Address, book::Book, finding, home::Home};

/// An address (`did:key:…@ip:port`, as `tidegate serve` prints it), or a name in the address book (`tidegate peers`).
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

/// Where it was said to be; if nowhere, where the owner of the dataset of this name or id says that its node is.
pub(crate) fn of(home: &Home, to: Option<&Place>, dataset: &str) -> anyhow::Result<Address> {
    if let Some(place) = to {
        return place.at(home);
    }
    let found = finding::open(home, false)?
        .find(dataset, SystemTime::now())
        .map_err(|e| anyhow::anyhow!("no --to was given, and {e}"))?;
    let address = found.listing.address(&found.owner);
    let address = address.ok_or_else(|| anyhow::anyhow!("the listing of {dataset:?} does not say where it is: give --to"))?;
    Ok(address.parse()?)
}
