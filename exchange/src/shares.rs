//! A bounded number of shares for peers to hold concurrently, with a limit per peer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tidegate_protocol::PeerId;

/// All shares, with their holders.
#[derive(Debug)]
pub(crate) struct Shares {
    all: usize,
    of_one: usize,
    held: Mutex<HashMap<PeerId, usize>>,
}

/// A share, freed on drop.
#[derive(Debug)]
pub(crate) struct Share {
    of: Arc<Shares>,
    peer: PeerId,
}

impl Shares {
    pub(crate) fn new(all: usize, of_one: usize) -> Arc<Self> {
        Arc::new(Self { all, of_one, held: Mutex::default() })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<PeerId, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a share for `peer`, if there is a free share and the peer is below its limit.
    pub(crate) fn take(self: &Arc<Self>, peer: PeerId) -> Option<Share> {
        let mut held = self.held();
        let mine = held.get(&peer).copied().unwrap_or_default();
        if mine >= self.of_one || held.values().sum::<usize>() >= self.all {
            return None;
        }
        held.insert(peer, mine + 1);
        Some(Share { of: self.clone(), peer })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.of.held();
        if let Some(mine) = held.get_mut(&self.peer) {
            *mine -= 1;
            if *mine == 0 {
                held.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_peer_has_more_than_its_part() {
        let peer = |seed: u8| tidegate_protocol::Identity::from_seed([seed; 32]).id();
        let shares = Shares::new(4, 2);
        let mine: Vec<_> = (0..2).map(|_| shares.take(peer(1)).unwrap()).collect();
        assert!(shares.take(peer(1)).is_none());
        let others = [shares.take(peer(2)).unwrap(), shares.take(peer(3)).unwrap()];
        assert!(shares.take(peer(4)).is_none());
        drop(mine);
        assert!(shares.take(peer(1)).is_some());
        drop(others);
        assert!(shares.held().is_empty());
    }
}
