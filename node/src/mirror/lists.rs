//! Which grants are revoked: the owner's word on it, told to whoever holds its encrypted files and to whoever asks.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use tidegate_exchange::{
    Address,
    gossip::{Heard, Swarm},
};
use tidegate_ledger::Store;
use tidegate_protocol::{Envelope, Identity, PeerId, Revocations, Signed};

use crate::NodeError;

/// How long it stays away where it could not follow.
const REJOIN: Duration = Duration::from_secs(2);
/// Longest that nobody is told again.
const REMIND: Duration = Duration::from_secs(60);

/// The gossip that an owner's lists are told in.
fn topic(owner: &PeerId) -> String {
    format!("revocations of {owner}")
}

/// An owner's own list, signed anew where something was revoked or its time runs.
#[derive(Debug)]
pub(crate) struct Own {
    lifetime: Duration,
    last: Mutex<Option<Signed<Revocations>>>,
    /// Told when a grant was revoked.
    changed: tokio::sync::Notify,
}

impl Own {
    /// Lists that are good for so long.
    pub(crate) fn lasting(lifetime: Duration) -> Self {
        Self { lifetime, last: Mutex::default(), changed: tokio::sync::Notify::new() }
    }

    /// The list as the log has it now.
    pub(crate) fn now(&self, store: &Store, identity: &Identity) -> Result<Signed<Revocations>, NodeError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now();
        let list = store.revocations(now, self.lifetime)?;
        let same = |last: &&Signed<Revocations>| {
            let body = last.body();
            (body.number, body.digest, &body.revoked) == (list.number, list.digest, &list.revoked)
        };
        // A quarter of its time later, it is signed again.
        let fresh = |last: &&Signed<Revocations>| last.body().good(&[], now + self.lifetime * 3 / 4).is_ok();
        if let Some(last) = last.as_ref().filter(same).filter(fresh) {
            return Ok(last.clone());
        }
        let signed = Signed::sign(list, identity)?;
        *last = Some(signed.clone());
        Ok(signed)
    }

    /// Says that something was revoked.
    pub(crate) fn revised(&self) {
        self.changed.notify_one();
    }

    /// Tells the list, whenever it is another and to whoever comes, for as long as this is run.
    pub(crate) async fn tell(
        &self,
        store: &Store,
        identity: &Identity,
        swarm: &Swarm,
        with: &[Address],
    ) -> Result<(), NodeError> {
        let name = topic(&identity.id());
        let (mut teller, mut listener) = swarm.join(&name, with).await?;
        loop {
            match self.now(store, identity).and_then(|list| Ok(list.envelope().to_canonical()?)) {
                // One that is too long to be told is asked for.
                Ok(list) => drop(teller.tell(list).await.inspect_err(|e| tracing::debug!("{e}"))),
                Err(e) => tracing::error!("the list of revoked grants: {e}"),
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
                            (teller, listener) = swarm.join(&name, with).await?;
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

/// A list that `owner` signed, and that can be one.
///
/// # Errors
/// [`NodeError::Unverified`].
pub fn opened(envelope: Envelope, owner: &PeerId) -> Result<Signed<Revocations>, NodeError> {
    let list = Signed::<Revocations>::open(envelope)?;
    if list.signer() != *owner {
        return Err(NodeError::Unverified(format!("a list of revoked grants is {}'s, not {owner}'s", list.signer())));
    }
    let checked = list.body().check(SystemTime::now());
    checked.map_err(|field| NodeError::Unverified(format!("a list of revoked grants: `{field}`")))?;
    Ok(list)
}

/// Hears an owner's lists, and tells the last of them to whoever comes, for as long as this is run. `hear` is given each, and says which is the last.
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
