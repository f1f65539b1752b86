//! Hourly limits, by peer, on actions with an entry in the log.
//!
//! A log that anybody could fill at will would be of use to nobody.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tidegate_protocol::PeerId;

const HOUR: Duration = Duration::from_secs(3600);

/// Counts by peer within an hour.
pub(in crate::owner) struct Hourly {
    most: u32,
    counts: Mutex<HashMap<PeerId, (Instant, u32)>>,
}

impl Hourly {
    /// Allows at most `most` actions of a peer an hour.
    pub(in crate::owner) fn new(most: u32) -> Self {
        Self { most, counts: Mutex::default() }
    }

    /// Returns whether `peer` has any actions left.
    pub(in crate::owner) fn left(&self, peer: &PeerId) -> bool {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(peer).is_none_or(|(since, count)| since.elapsed() >= HOUR || *count < self.most)
    }

    /// Counts an action of `peer`; returns false if none was left.
    pub(in crate::owner) fn take(&self, peer: PeerId) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|_, (since, _)| since.elapsed() < HOUR);
        let (_, count) = counts.entry(peer).or_insert((Instant::now(), 0));
        *count += 1;
        *count <= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_has_its_own_and_no_more() {
        let [a, b] = [[1; 32], [2; 32]].map(|seed| tidegate_protocol::Identity::from_seed(seed).id());
        let hourly = Hourly::new(2);
        assert!(hourly.take(a) && hourly.left(&a) && hourly.take(a));
        assert!(!hourly.left(&a) && !hourly.take(a));
        assert!(hourly.left(&b) && hourly.take(b));
    }
}
