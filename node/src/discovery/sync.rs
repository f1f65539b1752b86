//! Finding data: this party's catalogue, the listings of its own datasets, and the gossip about others'.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{StreamExt as _, stream};
use tidegate_catalog::listings::{Catalogue, CatalogueError, Heard as HeardOf};
use tidegate_exchange::{
    Address, Endpoint, NetError, ask,
    gossip::{Heard, Listener, Swarm, Teller},
};
use tidegate_protocol::{
    ContentHash, Envelope, Identity, Listing, Signed,
    frame::{Reply, Request},
    limits,
    listing::{LIFETIME, Reached},
    manifest::Manifest,
    policy::{Access, Policy},
};

use crate::{NodeError, discovery::address_book::Book, error::Unverified, home::Home};

/// Gossip topic of listings.
const TOPIC: &str = "listings";
/// Interval at which listings are signed anew: several times within their lifetime.
const RENEW: Duration = Duration::from_secs(LIFETIME.as_secs() / 4);
/// Interval at which the named peers are asked for missed listings.
const CATCH_UP: Duration = Duration::from_secs(600);
/// Pause before rejoining gossip after falling behind.
const REJOIN: Duration = Duration::from_secs(2);
/// Number of listings added to the catalogue at a time.
const TOGETHER: usize = 4096;
/// Maximum number of concurrent requests for listings.
const AT_ONCE: usize = 4;

/// Returns the path of the catalogue.
fn path(home: &Home) -> PathBuf {
    home.path().join("catalogue.sqlite")
}

/// Opens this party's catalogue; with `only_known`, for owners in its address book alone.
///
/// # Errors
/// [`NodeError::NobodyKnown`] if the address book is empty and only its keys are to be heard.
pub fn open(home: &Home, only_known: bool) -> Result<Catalogue, NodeError> {
    let known: Vec<_> = Book::open(home)?.keys().collect();
    if only_known && known.is_empty() {
        return Err(NodeError::NobodyKnown);
    }
    Ok(Catalogue::open(&path(home), HeardOf { only_known, ..HeardOf::everybody(known) })?)
}

/// Signs the listings of an owner's datasets that everybody may see, of the versions in `newest`.
///
/// A listing that nobody would keep is left out.
pub fn own<'a>(
    newest: impl Iterator<Item = (&'a Signed<Manifest>, &'a Policy)>,
    identity: &Identity,
    reached: &Reached,
) -> Vec<Signed<Listing>> {
    let now = SystemTime::now();
    let sign = |manifest: &Signed<Manifest>, policy: &Policy| {
        // A dataset that nobody may mirror is not listed with mirrors.
        let mirrors = if policy.mirror == Access::Nobody { vec![] } else { reached.mirrors.clone() };
        let holders = if policy.hold == Access::Nobody { vec![] } else { reached.holders.clone() };
        let listing = Listing::of(manifest, policy, Reached { mirrors, holders, ..reached.clone() }, now);
        listing.check(now)?;
        Ok::<_, CatalogueError>(Signed::sign(listing, identity)?)
    };
    let listed = newest.filter(|(_, policy)| policy.list == Access::Anybody);
    let told = |(manifest, policy): (&'a Signed<Manifest>, &'a Policy)| {
        sign(manifest, policy).inspect_err(|e| tracing::error!("cannot list {}: {e}", manifest.body().name)).ok()
    };
    listed.filter_map(told).collect()
}

/// Outcome of a synchronization with a peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Synced {
    /// Number of listings missing here before.
    pub asked: u64,
    /// Number of these now kept.
    pub new: u64,
}

/// Fetches the listings that `from` has and this party lacks. `report` is called with the number received and the number wanted.
///
/// # Errors
/// [`NodeError`]; listings that came before the error stay.
pub async fn sync(
    endpoint: &Endpoint,
    catalogue: &Arc<Catalogue>,
    from: &Address,
    report: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Synced, NodeError> {
    let unexpected = || crate::unexpected("the requested reply");
    let asking = catalogue.clone();
    let begun = blocking(move || asking.reconcile(SystemTime::now())).await?;
    let (mut reconciliation, mut next) = (begun.0, Some(begun.1));
    let mut lacking: Vec<ContentHash> = Vec::new();
    while let Some(message) = next.take() {
        let message = STANDARD.encode(message);
        let Reply::Reconciled(reply) = answered(ask(endpoint, from, &Request::Reconcile { message }, &[]).await?)? else {
            return Err(unexpected());
        };
        let reply = STANDARD.decode(reply).map_err(|_| unexpected())?;
        let (more, following) = reconciliation.read(&reply)?;
        lacking.extend(more);
        if lacking.len() > limits::LISTINGS {
            return Err(Unverified::TooManyListings.into());
        }
        next = following;
    }
    let mut synced = Synced { asked: lacking.len() as u64, new: 0 };
    let batches = lacking.chunks(limits::LISTINGS_PER_REPLY).map(<[ContentHash]>::to_vec).collect::<Vec<_>>();
    let mut coming = stream::iter(batches)
        .map(|ids| {
            let (endpoint, from, catalogue) = (endpoint.clone(), from.clone(), catalogue.clone());
            // A task of its own, so that signatures of one batch are checked while others come and are taken in.
            let coming = tokio::spawn(async move {
                let reply = answered(ask(&endpoint, &from, &Request::Catalogue { ids }, &[]).await?)?;
                let Reply::Catalogue(envelopes) = reply else { return Err(unexpected()) };
                if envelopes.len() > limits::LISTINGS_PER_REPLY {
                    return Err(unexpected());
                }
                blocking(move || Ok(checked(&catalogue, &envelopes))).await
            });
            async move { coming.await.map_err(NodeError::Task)? }
        })
        .buffer_unordered(AT_ONCE);
    let (mut came, mut gathered) = (0, Vec::new());
    loop {
        let next = coming.next().await.transpose()?;
        let is_last = next.is_none();
        let batch = next.unwrap_or_default();
        came += batch.len() as u64;
        gathered.extend(batch);
        report(came, synced.asked);
        // In large batches, since each call has a fixed cost.
        if is_last || gathered.len() >= TOGETHER {
            let (batch, catalogue) = (std::mem::take(&mut gathered), catalogue.clone());
            let (new, refused) = blocking(move || catalogue.take(&batch, SystemTime::now())).await?;
            if let Some(why) = refused {
                tracing::debug!("rejected a listing from {from}: {why}");
            }
            synced.new += new;
        }
        if is_last {
            return Ok(synced);
        }
    }
}

/// Opens listings and checks them; invalid ones are a peer's mistake, or its mischief, and are left out.
fn checked(catalogue: &Catalogue, envelopes: &[String]) -> Vec<Signed<Listing>> {
    let now = SystemTime::now();
    let check = |text: &String| {
        let envelope = Envelope::from_canonical_unchecked(text.as_bytes())?;
        catalogue.check(envelope, now)
    };
    envelopes.iter().filter_map(|text| check(text).inspect_err(|e| tracing::debug!("heard: {e}")).ok()).collect()
}

fn answered(reply: Reply) -> Result<Reply, NodeError> {
    match reply {
        Reply::Refused(refusal) => Err(NodeError::Refused(refusal)),
        reply => Ok(reply),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, CatalogueError> + Send + 'static) -> Result<T, NodeError> {
    Ok(tokio::task::spawn_blocking(work).await.map_err(NodeError::Task)??)
}

/// Answers a peer's request about this party's catalogue.
///
/// # Errors
/// [`NodeError`] if the request is not about the catalogue.
pub async fn answer(catalogue: &Arc<Catalogue>, request: Request) -> Result<Reply, NodeError> {
    let (catalogue, now) = (catalogue.clone(), SystemTime::now());
    match request {
        Request::Reconcile { message } => {
            let message = STANDARD.decode(message).unwrap_or_default();
            blocking(move || catalogue.answer(&message, now)).await.map(|reply| Reply::Reconciled(STANDARD.encode(reply)))
        }
        Request::Catalogue { mut ids } => {
            ids.truncate(limits::LISTINGS_PER_REPLY);
            blocking(move || catalogue.of(&ids, now)).await.map(Reply::Catalogue)
        }
        _ => Err(Unverified::Request.into()),
    }
}

/// A node's part in the gossip of listings.
#[derive(Debug)]
pub struct Talk {
    /// This party's catalogue.
    pub catalogue: Arc<Catalogue>,
    /// Endpoint over which peers are asked.
    pub endpoint: Endpoint,
    /// Peers to begin with.
    pub with: Vec<Address>,
}

impl Talk {
    /// Joins the gossip of listings.
    ///
    /// # Errors
    /// [`NodeError::Net`] if there is no gossip to join.
    pub async fn join(&self, swarm: &Swarm) -> Result<(Teller, Listener), NodeError> {
        Ok(swarm.join(TOPIC, &self.with).await?)
    }

    /// Announces the listings from `own` again and again, and takes in listings of others, for as long as the future is run.
    ///
    /// # Errors
    /// [`NodeError::Net`] if there is no gossip to join any more.
    pub async fn run(
        self,
        swarm: Swarm,
        (mut teller, mut listener): (Teller, Listener),
        own: impl Fn() -> Vec<Signed<Listing>>,
    ) -> Result<(), NodeError> {
        let mut renew = tokio::time::interval(RENEW);
        let mut catch_up = tokio::time::interval(CATCH_UP);
        let mut mine = Vec::new();
        loop {
            let tell = tokio::select! {
                heard = listener.next() => match heard {
                    Some(Heard::Message(message)) => {
                        self.hear(&message).await;
                        false
                    }
                    Some(Heard::Neighbour) => true,
                    // A peer that sends more than others can follow must not end this.
                    None => {
                        tokio::time::sleep(REJOIN).await;
                        (teller, listener) = self.join(&swarm).await?;
                        true
                    }
                },
                _ = renew.tick() => {
                    mine = own();
                    let (catalogue, listings) = (self.catalogue.clone(), mine.clone());
                    blocking(move || catalogue.take(&listings, SystemTime::now())).await?;
                    true
                }
                _ = catch_up.tick() => {
                    self.catch_up().await;
                    false
                }
            };
            for listing in mine.iter().filter(|_| tell) {
                match listing.envelope().to_canonical() {
                    Ok(message) => drop(teller.tell(message).await.inspect_err(|e| tracing::debug!("{e}"))),
                    Err(e) => tracing::error!("cannot announce a listing: {e}"),
                }
            }
        }
    }

    async fn catch_up(&self) {
        for peer in &self.with {
            match sync(&self.endpoint, &self.catalogue, peer, &mut |_, _| {}).await {
                Ok(synced) => {
                    tracing::info!("received {} new listings from {peer}, of which {} are stored", synced.asked, synced.new)
                }
                Err(NodeError::Net(NetError::Unreachable { .. })) => tracing::debug!("{peer} is not reachable"),
                Err(e) => tracing::warn!("{peer}: {e}"),
            }
        }
    }

    async fn hear(&self, message: &[u8]) {
        // Anybody may send anything.
        let Ok(envelope) = Envelope::from_canonical_unchecked(message) else { return };
        let catalogue = self.catalogue.clone();
        let heard = blocking(move || {
            let now = SystemTime::now();
            let listing = catalogue.check(envelope, now)?;
            catalogue.take(&[listing], now).and_then(|(new, refused)| refused.map_or(Ok(new), Err))
        });
        if let Err(e) = heard.await {
            tracing::debug!("heard: {e}");
        }
    }
}
