//! Lists of revoked grants: signed by the owner, and told to holders of its encrypted files and to anybody who asks.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use tidegate_exchange::{
    Address,
    gossip::{Heard, Listener, Swarm, Teller},
};
use tidegate_ledger::Store;
use tidegate_protocol::{Envelope, Identity, PeerId, Revocations, Signed};

use crate::{NodeError, error::Unverified};

/// Pause before rejoining the gossip after falling behind.
const REJOIN: Duration = Duration::from_secs(2);
/// Maximum time between announcements of a list.
const REMIND: Duration = Duration::from_secs(60);

/// Returns the gossip topic of an owner's lists.
fn topic(owner: &PeerId) -> String {
    format!("revocations of {owner}")
}

/// An owner's own list, signed anew after a revocation and as its validity runs down.
#[derive(Debug)]
pub(crate) struct Own {
    lifetime: Duration,
    last: Mutex<Option<Signed<Revocations>>>,
    /// Notified when a grant was revoked.
    changed: tokio::sync::Notify,
}

impl Own {
    /// Builds lists valid for `lifetime`.
    pub(crate) fn lasting(lifetime: Duration) -> Self {
        Self { lifetime, last: Mutex::default(), changed: tokio::sync::Notify::new() }
    }

    /// Returns the list as of the log's present state.
    pub(crate) fn now(&self, store: &Store, identity: &Identity) -> Result<Signed<Revocations>, NodeError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now();
        let list = store.revocations(now, self.lifetime)?;
        let same = |last: &&Signed<Revocations>| {
            let body = last.body();
            (body.number, body.digest, &body.revoked) == (list.number, list.digest, &list.revoked)
        };
        // The list is signed again once a quarter of its lifetime has passed.
        let fresh = |last: &&Signed<Revocations>| last.body().good(&[], now + self.lifetime * 3 / 4).is_ok();
        if let Some(last) = last.as_ref().filter(same).filter(fresh) {
            return Ok(last.clone());
        }
        let signed = Signed::sign(list, identity)?;
        *last = Some(signed.clone());
        Ok(signed)
    }

    /// Signals a revocation.
    pub(crate) fn revised(&self) {
        self.changed.notify_one();
    }

    /// Joins the gossip in which the lists of `owner` are announced.
    pub(crate) async fn join(owner: &PeerId, swarm: &Swarm, with: &[Address]) -> Result<(Teller, Listener), NodeError> {
        Ok(swarm.join(&topic(owner), with).await?)
    }

    /// Announces each new list, and the present list to newcomers, until the future is dropped.
    pub(crate) async fn tell(
        &self,
        store: &Store,
        identity: &Identity,
        (swarm, with): (&Swarm, &[Address]),
        (mut teller, mut listener): (Teller, Listener),
    ) -> Result<(), NodeError> {
        loop {
            match self.now(store, identity).and_then(|list| Ok(list.envelope().to_canonical()?)) {
                // A list too long to be told has to be asked for.
                Ok(list) => drop(teller.tell(list).await.inspect_err(|e| tracing::debug!("{e}"))),
                Err(e) => tracing::error!("cannot build the revocation list: {e}"),
            }
            let reminder = tokio::time::sleep(REMIND);
            tokio::pin!(reminder);
            loop {
                tokio::select! {
                    heard = listener.next() => match heard {
                        Some(Heard::Message(_)) => {}
                        Some(Heard::Neighbour) => break,
                        None => {
                            tokio::time::sleep(REJOIN).await;
                            (teller, listener) = Self::join(&identity.id(), swarm, with).await?;
                            break;
                        }
                    },
                    () = self.changed.notified() => break,
                    () = &mut reminder => break,
                }
            }
        }
    }
}

/// Opens a list signed by `owner` and checks its form.
///
/// # Errors
/// Returns [`NodeError::Unverified`].
pub fn opened(envelope: Envelope, owner: &PeerId) -> Result<Signed<Revocations>, NodeError> {
    let list = Signed::<Revocations>::open(envelope)?;
    if list.signer() != *owner {
        return Err(Unverified::ListSigner { signer: list.signer(), owner: *owner }.into());
    }
    let checked = list.body().check(SystemTime::now());
    checked.map_err(|field| Unverified::ListField { field })?;
    Ok(list)
}

/// Listens for an owner's lists, and tells newcomers the last list, until the future is dropped.
///
/// `hear` is given each list, and returns the last.
pub(crate) async fn listen(
    owner: &Address,
    swarm: &Swarm,
    with: &[Address],
    mut hear: impl FnMut(Option<Signed<Revocations>>) -> Option<Signed<Revocations>>,
) -> Result<(), NodeError> {
    let all: Vec<_> = std::iter::once(owner).chain(with).cloned().collect();
    let name = topic(&owner.peer);
    let (mut teller, mut listener) = swarm.join(&name, &all).await?;
    loop {
        let tell = match listener.next().await {
            Some(Heard::Message(message)) => {
                // Anybody may say anything.
                let list =
                    Envelope::from_canonical_unchecked(&message).map_err(NodeError::from).and_then(|e| opened(e, &owner.peer));
                match list {
                    Ok(list) => drop(hear(Some(list))),
                    Err(e) => tracing::debug!("heard: {e}"),
                }
                None
            }
            Some(Heard::Neighbour) => hear(None),
            None => {
                tokio::time::sleep(REJOIN).await;
                (teller, listener) = swarm.join(&name, &all).await?;
                hear(None)
            }
        };
        if let Some(list) = tell.and_then(|list| list.envelope().to_canonical().ok()) {
            drop(teller.tell(list).await.inspect_err(|e| tracing::debug!("{e}")));
        }
    }
}
