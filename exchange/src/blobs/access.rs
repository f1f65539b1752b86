//! Permissions to fetch files, with their end and grant; and the connections using them, which are cut when the grant is revoked.
//!
//! A transfer still running when its grant ends is cut where it is sent.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use iroh::endpoint::Connection;
use tidegate_protocol::{ContentHash, PeerId, grant::Authority, limits};

/// QUIC application error code sent to a peer whose grant was revoked during a transfer.
const REVOKED: u32 = 1;
/// QUIC application error code sent to a peer without permission.
const REFUSED: u32 = 2;

/// Permissions to fetch files. Empty at first: nobody may fetch anything.
#[derive(Debug, Clone, Default)]
pub struct Access(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    peers: HashMap<PeerId, HashMap<ContentHash, Allowed>>,
    /// Peers among them with only free files, by the end of their permission.
    strangers: BTreeSet<(Instant, PeerId)>,
    /// Time of the last removal of expired permissions.
    swept: Option<Instant>,
    open: HashMap<PeerId, Open>,
    next: u64,
}

/// Open connections of a peer.
#[derive(Debug, Default)]
struct Open {
    /// Connections by a number of their own.
    connections: HashMap<u64, Connection>,
    /// Revocation ids of the grants by which anything was sent over these connections.
    ///
    /// They stay longer than the permission to begin a fetch, and whatever was allowed since.
    by: HashSet<String>,
}

/// Permission of a peer to fetch a file.
#[derive(Debug, Clone)]
pub(super) struct Allowed {
    /// Time until which a fetch may begin.
    until: Instant,
    /// End of the grant, and of transfers begun with the grant.
    ends: Option<SystemTime>,
    /// Revocation ids of the grant; `None` for free files, for which no handler is asked.
    by: Option<Arc<[String]>>,
}

impl Allowed {
    /// Builds a permission by a grant, or to a free file.
    fn by(authority: Option<&Authority>) -> Self {
        let until = Instant::now() + limits::COPY_TIME;
        Self { until, ends: authority.and_then(|by| by.ends), by: authority.map(|by| by.ids.as_slice().into()) }
    }

    /// Returns whether a fetch may begin. A grant ends by the wall clock, which may be set, and which goes on while a machine
    /// sleeps.
    fn lasts(&self, now: Instant) -> bool {
        self.until > now && self.ends.is_none_or(|ends| ends > SystemTime::now())
    }

    pub(super) fn ends(&self) -> Option<SystemTime> {
        self.ends
    }

    pub(super) fn is_free(&self) -> bool {
        self.by.is_none()
    }
}

/// Open connection; registered until dropped.
#[derive(Debug)]
pub(super) struct Opened {
    access: Access,
    peer: PeerId,
    number: u64,
}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut state = self.access.state();
        if let Some(of_peer) = state.open.get_mut(&self.peer) {
            of_peer.connections.remove(&self.number);
            if of_peer.connections.is_empty() {
                state.open.remove(&self.peer);
            }
        }
    }
}

/// Interval between removals of expired permissions.
const SWEEP: Duration = Duration::from_secs(1);

/// Interval between checks for the end of a grant.
const LOOK: Duration = Duration::from_secs(1);

/// Waits until a grant has ended; forever if there is no end.
pub(super) async fn ended(ends: Option<SystemTime>) {
    let Some(ends) = ends else { return std::future::pending().await };
    while let Ok(left) = ends.duration_since(SystemTime::now())
        && !left.is_zero()
    {
        tokio::time::sleep(left.min(LOOK)).await;
    }
}

impl State {
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now < swept + SWEEP) {
            return;
        }
        self.swept = Some(now);
        self.peers.retain(|_, hashes| {
            hashes.retain(|_, allowed| allowed.lasts(now));
            !hashes.is_empty()
        });
        let peers = &self.peers;
        self.strangers.retain(|(_, peer)| peers.contains_key(peer));
    }

    fn forget_as_stranger(&mut self, peer: &PeerId) {
        let of_peer = self.peers.get(peer).filter(|hashes| hashes.values().all(Allowed::is_free));
        if let Some(ends) = of_peer.and_then(|hashes| hashes.values().map(|allowed| allowed.until).max()) {
            self.strangers.remove(&(ends, *peer));
        }
    }
}

impl Access {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `peer` begin to fetch `hashes` for [`limits::COPY_TIME`], and no longer than the grant lasts.
    ///
    /// A transfer that has begun continues until the grant ends, or [`Access::revoke`].
    pub fn allow(&self, peer: PeerId, hashes: impl IntoIterator<Item = ContentHash>, by: &Authority) {
        self.add(peer, hashes, &Allowed::by(Some(by)));
    }

    /// Lets `peer` fetch files free for anybody: unlike for [`Access::allow`], [`Handler::fetching`](crate::Handler::fetching) is
    /// not asked.
    pub fn allow_freely(&self, peer: PeerId, hashes: impl IntoIterator<Item = ContentHash>) {
        self.add(peer, hashes, &Allowed::by(None));
    }

    fn add(&self, peer: PeerId, hashes: impl IntoIterator<Item = ContentHash>, allowed: &Allowed) {
        let now = Instant::now();
        let mut state = self.state();
        state.sweep(now);
        state.forget_as_stranger(&peer);
        let hashes = hashes.into_iter().map(|hash| (hash, allowed.clone()));
        let of_peer = state.peers.entry(peer).or_default();
        of_peer.extend(hashes);
        if of_peer.values().all(Allowed::is_free) {
            let ends = of_peer.values().map(|allowed| allowed.until).max().unwrap_or(now);
            state.strangers.insert((ends, peer));
            // Keys cost nothing, and any number of them may ask.
            if state.strangers.len() > limits::STRANGERS_FETCHING
                && let Some((_, first)) = state.strangers.pop_first()
            {
                state.peers.remove(&first);
            }
        }
    }

    /// Returns the number of peers with a permission.
    pub fn len(&self) -> usize {
        self.state().peers.len()
    }

    /// Returns whether no peer has a permission.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Withdraws all permissions by a grant, named by the revocation id of any of its blocks, and cuts the connections that used
    /// it.
    pub fn revoke(&self, id: &str) {
        self.revoke_those(|of| of == id);
    }

    /// Withdraws permissions like [`Access::revoke`], for each revocation id for which `is_revoked` holds.
    pub fn revoke_those(&self, is_revoked: impl Fn(&str) -> bool) {
        let mut state = self.state();
        for hashes in state.peers.values_mut() {
            hashes.retain(|_, allowed| allowed.by.as_ref().is_none_or(|ids| !ids.iter().any(|id| is_revoked(id))));
        }
        let cut = state.open.values().filter(|open| open.by.iter().any(|id| is_revoked(id)));
        for connection in cut.flat_map(|open| open.connections.values()) {
            connection.close(REVOKED.into(), b"revoked");
        }
    }

    /// Withdraws all permissions to fetch these files, by whatever grant, and cuts all connections.
    ///
    /// A connection may be in the middle of such a file for longer than its permission is remembered. Peers fetching other files
    /// ask again and continue.
    pub fn forget(&self, files: &[ContentHash]) {
        let mut state = self.state();
        for hashes in state.peers.values_mut() {
            hashes.retain(|hash, _| !files.contains(hash));
        }
        for connection in state.open.values().flat_map(|open| open.connections.values()) {
            connection.close(REVOKED.into(), b"retired");
        }
    }

    /// Returns whether `peer` may fetch something by a grant.
    pub(super) fn by_grant(&self, peer: &PeerId) -> bool {
        let (state, now) = (self.state(), Instant::now());
        let mut all = state.peers.get(peer).into_iter().flat_map(HashMap::values);
        all.any(|allowed| !allowed.is_free() && allowed.lasts(now))
    }

    /// Returns the permission if `peer` may begin to fetch `hash` now; the grant is remembered as long as the peer has a
    /// connection.
    pub(super) fn begins(&self, peer: &PeerId, hash: &ContentHash) -> Option<Allowed> {
        let mut state = self.state();
        let allowed = state.peers.get(peer).and_then(|hashes| hashes.get(hash)).cloned();
        let allowed = allowed.filter(|allowed| allowed.lasts(Instant::now()))?;
        // A peer without a connection left is sent nothing.
        let open = state.open.get_mut(peer)?;
        open.by.extend(allowed.by.iter().flat_map(|ids| ids.iter().cloned()));
        Some(allowed)
    }

    /// Registers an open connection of `peer`, or closes the connection if the peer has no permission or too many connections.
    pub(super) fn opened(&self, peer: PeerId, connection: Connection) -> Option<Opened> {
        let mut state = self.state();
        let now = Instant::now();
        let may = state.peers.get(&peer).is_some_and(|hashes| hashes.values().any(|allowed| allowed.lasts(now)));
        if !may || state.open.get(&peer).is_some_and(|open| open.connections.len() >= limits::CONNECTIONS_PER_PEER) {
            connection.close(REFUSED.into(), b"permission");
            return None;
        }
        let number = state.next;
        state.next += 1;
        state.open.entry(peer).or_default().connections.insert(number, connection);
        drop(state);
        Some(Opened { access: self.clone(), peer, number })
    }
}

#[cfg(test)]
mod tests {
    use tidegate_protocol::Identity;

    use super::*;

    /// It does not matter for how long what is allowed may be begun.
    #[test]
    fn nothing_is_allowed_that_a_grant_does_not_allow_any_more() {
        let (access, now) = (Access::default(), SystemTime::now());
        for (seed, ends, may) in [(1, None, true), (2, Some(now + limits::COPY_TIME), true), (3, Some(now), false)] {
            let peer = Identity::from_seed([seed; 32]).id();
            access.allow(peer, [ContentHash::of(b"file")], &Authority { ids: vec![], holder: peer, scope: None, ends });
            assert_eq!(access.by_grant(&peer), may, "{ends:?}");
        }
        access.state().swept = None;
        access.allow_freely(Identity::from_seed([4; 32]).id(), []);
        assert!(!access.state().peers.contains_key(&Identity::from_seed([3; 32]).id()), "it is kept in vain");
    }
}
