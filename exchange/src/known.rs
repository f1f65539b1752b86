//! The peers that have shown a good grant not long ago. All others are strangers: keys cost nothing, and there may be any number of them.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tidegate_protocol::{PeerId, limits};

/// How long one is known.
const TIME: Duration = Duration::from_secs(3600);

/// Who has shown a grant, and when last.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<HashMap<PeerId, Instant>>);

impl Known {
    /// `peer` has shown one now.
    pub(crate) fn add(&self, peer: PeerId) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= limits::CONNECTIONS && !known.contains_key(&peer) {
            known.retain(|_, since| since.elapsed() < TIME);
            // Who showed one longest ago shows it again.
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
