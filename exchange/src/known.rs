//! Peers with a recently shown, valid grant. All others are strangers: keys cost nothing, and there may be any number of them.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tidegate_protocol::{PeerId, limits};

/// Time for which a peer stays known.
const TIME: Duration = Duration::from_secs(3600);

/// Known peers, with the time at which each last showed a grant.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<HashMap<PeerId, Instant>>);

impl Known {
    /// Records a grant shown by `peer` now.
    pub(crate) fn add(&self, peer: PeerId) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= limits::CONNECTIONS && !known.contains_key(&peer) {
            known.retain(|_, since| since.elapsed() < TIME);
            // The peer whose grant is oldest must show it again.
            if known.len() >= limits::CONNECTIONS
                && let Some(oldest) = known.iter().min_by_key(|(_, since)| **since).map(|(peer, _)| *peer)
            {
                known.remove(&oldest);
            }
        }
        known.insert(peer, Instant::now());
    }

    pub(crate) fn has(&self, peer: &PeerId) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(peer).is_some_and(|since| since.elapsed() < TIME)
    }
}
