//! Mirror's node: serves encrypted files to the owner's grantees as long as the owner's revocation list is fresh.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tidegate_exchange::{
    Address, Endpoint, Handler,
    blobs::{ByteRange, Served},
    gossip::Swarm,
};
use tidegate_protocol::{
    Code, ContentHash, PeerId, Refusal, Revocations, Signed,
    frame::{Reply, Request},
    grant::{Action, Ask, Presented},
    revocations::NotGood,
};
use tokio_util::sync::CancellationToken;

use crate::mirror::{
    keep::{self, Kept},
    lists,
};
use crate::{NodeError, client::Buyer, home::Home};

/// Interval between requests for news to owners, and between checks of this party's folder.
const LOOK: Duration = Duration::from_secs(30);

/// Node of a mirror.
#[derive(Debug, Clone)]
pub struct MirrorNode {
    home: Home,
    me: PeerId,
    served: Arc<Served>,
    kept: Arc<Mutex<BTreeMap<ContentHash, Kept>>>,
}

fn refused(why: NotGood) -> Refusal {
    match why {
        NotGood::Revoked => Refusal::new(Code::NotGranted, why.to_string()).at("grant"),
        _ => Refusal::new(Code::Unavailable, why.to_string()).fix("Ask the owner or another mirror, or try again later"),
    }
}

impl MirrorNode {
    /// Opens the mirror of the party at `home`, with the files held there.
    ///
    /// # Errors
    /// Returns [`NodeError`].
    pub async fn open(home: Home, served: Arc<Served>) -> Result<Self, NodeError> {
        let me = home.identity()?.id();
        let node = Self { home, me, served, kept: Arc::default() };
        node.look().await?;
        Ok(node)
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<ContentHash, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of lineages held.
    pub fn len(&self) -> usize {
        self.kept().len()
    }

    /// Returns whether no lineage is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes in changes to the holdings by this party's commands.
    async fn look(&self) -> Result<(), NodeError> {
        let found = keep::load_all(&self.home)?;
        let populations: BTreeSet<_> = found.iter().map(|one| one.population).collect();
        self.kept().retain(|population, _| populations.contains(population));
        for one in found {
            self.take(one).await?;
        }
        Ok(())
    }

    async fn take(&self, mut one: Kept) -> Result<(), NodeError> {
        for (hash, path) in one.files().collect::<Vec<_>>() {
            self.served.add(&path, hash).await?;
        }
        // While this lock is held, no list is heard.
        let mut kept = self.kept();
        let held: BTreeSet<_> = one.files().map(|(hash, _)| hash).collect();
        let gone = kept.get(&one.population).into_iter().flat_map(Kept::files).map(|(hash, _)| hash);
        let gone: Vec<_> = gone.filter(|hash| !held.contains(hash)).collect();
        if !gone.is_empty() {
            self.served.access().forget(&gone);
        }
        if let Some(list) = kept.get(&one.population).and_then(|before| before.list.clone()) {
            one.hear(list)?;
        }
        self.enforce(&one);
        kept.insert(one.population, one);
        Ok(())
    }

    /// Cuts off peers whose grants the list revokes.
    fn enforce(&self, one: &Kept) {
        if let Some(list) = &one.list {
            self.served.access().revoke_those(|id| list.body().revoked.contains(&tidegate_protocol::revocations::name(id)));
        }
    }

    fn hear(&self, population: &ContentHash, list: Option<Signed<Revocations>>) -> Option<Signed<Revocations>> {
        let mut kept = self.kept();
        let one = kept.get_mut(population)?;
        if let Some(list) = list {
            match one.hear(list) {
                Ok(true) => {
                    tracing::info!(
                        "received a list of {} revocations of {}",
                        one.list.as_ref().map_or(0, |l| l.body().number),
                        one.place.owner
                    );
                    self.enforce(one);
                }
                Ok(false) => {}
                Err(e) => tracing::error!("{e}"),
            }
        }
        one.list.clone()
    }

    /// Asks owners for news and listens for their lists, until the future is dropped.
    pub async fn tend(self, endpoint: Endpoint, swarm: Swarm, with: Vec<Address>) {
        let mut listening = BTreeSet::new();
        let Ok(identity) = self.home.identity() else { return };
        let buyer = Buyer::over(identity, endpoint);
        loop {
            if let Err(e) = self.look().await {
                tracing::error!("{e}");
            }
            let all: Vec<_> = self.kept().values().cloned().collect();
            for mut one in all {
                if let Ok(owner) = one.owner()
                    && listening.insert(one.population)
                {
                    let (node, swarm, with, population) = (self.clone(), swarm.clone(), with.clone(), one.population);
                    tokio::spawn(async move {
                        if let Err(e) = lists::listen(&owner, &swarm, &with, |list| node.hear(&population, list)).await {
                            tracing::error!("revocation lists are no longer received: {e}");
                        }
                    });
                }
                match one.refresh(&self.home, &buyer, &mut |_, _, _| std::ops::ControlFlow::Continue(())).await {
                    Ok(new) => {
                        if new {
                            tracing::info!("received another version of {}", one.population.short());
                        }
                    }
                    Err(NodeError::Net(e)) => tracing::debug!("{e}"),
                    Err(e) => tracing::warn!("{}: {e}", one.population.short()),
                }
                if let Err(e) = self.take(one).await {
                    tracing::error!("{e}");
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Returns the document naming a lineage's files, to a peer who may copy or mirror them.
    fn sealed(&self, peer: PeerId, population: ContentHash, token: &str, known: Option<ContentHash>) -> Result<Reply, Refusal> {
        let none = || Refusal::new(Code::NotFound, "this mirror has no dataset of this lineage").at("population");
        let one = self.kept().get(&population).cloned().ok_or_else(none)?;
        let sealed = one.sealed.as_ref().ok_or_else(none)?;
        let now = SystemTime::now();
        if one.list.as_ref().is_some_and(|list| list.body().good(&one.retired_as(), now) == Err(NotGood::Revoked)) {
            return Err(none());
        }
        let may = |shown: &Presented, who, action| {
            let authority = shown.authorize(&sealed.body().grant_key, who, population, &Ask::of(action, now))?;
            let good = one.list.as_ref().map_or(Err(NotGood::Stale), |list| list.body().good(&authority.ids, now));
            good.map(|()| authority).map_err(refused)
        };
        // A mirror that may not hold the files any more does not serve them any more.
        let own = may(&Presented::read(&one.place.grant), self.me, Action::Mirror).map_err(|why| match why.code {
            Code::Unavailable => why,
            _ => none(),
        })?;
        let shown = Presented::read(token);
        let authority = may(&shown, peer, Action::Replicate).or_else(|why| match why.code {
            Code::NotGranted => may(&shown, peer, Action::Mirror).map_err(|_| why),
            _ => Err(why),
        })?;
        if known != Some(sealed.id()) {
            // The peer's permission ends when this mirror's own does.
            let both = authority.and(&own);
            self.served.access().allow(peer, sealed.body().all().map(|file| file.hash), &both);
            // A list that came meanwhile could not revoke this permission yet.
            self.kept().get(&population).inspect(|one| self.enforce(one));
        }
        Ok(Reply::Sealed(Box::new(sealed.envelope().clone())))
    }

    /// Returns whether a request shows a grant of `peer`'s for a lineage held here.
    fn shows_a_grant(&self, peer: PeerId, request: &Request) -> bool {
        let (shown, now) = (Presented::read(request.grant()), SystemTime::now());
        let Some(token) = shown.token() else { return false };
        let Some(one) = self.kept().get(&token.population()).cloned() else { return false };
        let (Some(sealed), Some(list)) = (&one.sealed, &one.list) else { return false };
        let held = token.is_held(&sealed.body().grant_key, peer, one.population, now);
        held.is_some_and(|authority| list.body().good(&authority.ids, now).is_ok())
    }

    fn list(&self, owner: &PeerId) -> Result<Reply, Refusal> {
        let kept = self.kept();
        let lists = kept.values().filter(|one| one.place.owner == *owner).filter_map(|one| one.list.as_ref());
        let last = lists.max_by_key(|list| list.body().order());
        let none = || Refusal::new(Code::NotFound, "there is no revocation list of this owner here").at("owner");
        last.map(|list| Reply::Revocations(Box::new(list.envelope().clone()))).ok_or_else(none)
    }
}

impl Handler for MirrorNode {
    fn expects(&self, _: PeerId, _: &Request) -> Result<(), Refusal> {
        Err(Refusal::new(Code::BadRequest, "a mirror accepts no attachment"))
    }

    fn knows(&self, peer: PeerId, request: &Request) -> bool {
        self.shows_a_grant(peer, request)
    }

    fn fetching<'a>(
        &'a self,
        peer: PeerId,
        parts: Vec<(ContentHash, Vec<ByteRange>)>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        let kept = self.kept();
        // The list may have run out since this was allowed.
        let fresh = parts.iter().all(|(file, _)| {
            let fresh = kept.values().any(|one| {
                let good = one.list.as_ref().is_some_and(|list| list.body().good(&one.retired_as(), SystemTime::now()).is_ok());
                good && one.files().any(|(hash, _)| hash == *file)
            });
            tracing::info!("{peer} asks for a part of {}, with a fresh revocation list: {fresh}", file.short());
            fresh
        });
        Box::pin(std::future::ready(fresh))
    }

    fn handle<'a>(
        &'a self,
        peer: PeerId,
        request: Request,
        _: Vec<u8>,
        _: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>> {
        let reply = match request {
            Request::Sealed { population, grant, known } => self.sealed(peer, population, &grant, known),
            Request::Revocations { owner } => self.list(&owner),
            // The request of `tidegate ping`.
            Request::Catalogue { .. } => Ok(Reply::Catalogue(vec![])),
            _ => Err(Refusal::new(Code::NotFound, "this node is a mirror, not an owner")),
        };
        Box::pin(std::future::ready(reply.unwrap_or_else(Reply::Refused)))
    }
}
