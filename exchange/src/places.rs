//! Places for connections and for requests, with limits in all, per peer and for strangers.
//!
//! If the strangers' places are full, the longest-idle stranger is dropped; likewise if all places are taken and a peer comes
//! that has shown a grant.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use iroh::endpoint::Connection;
use tidegate_protocol::PeerId;
use tokio_util::sync::CancellationToken;

use crate::known::Known;

/// QUIC application error code for closing a connection.
pub(crate) const TOO_MANY: u32 = 2;

/// Numbers of places.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number {
    pub(crate) all: usize,
    /// For strangers.
    pub(crate) of_strangers: usize,
    /// For each stranger.
    pub(crate) of_stranger: usize,
    /// For each other peer.
    pub(crate) of_one: usize,
}

/// Occupant of a place, which can be told to go.
pub(crate) trait Guest: Send {
    /// Tells the occupant to go, which may take a while after losing the place.
    fn go(&self);
}

impl Guest for Connection {
    fn go(&self) {
        self.close(TOO_MANY.into(), b"too many connections");
    }
}

/// Token of a task serving a peer: cancelling ends the task.
impl Guest for CancellationToken {
    fn go(&self) {
        self.cancel();
    }
}

/// Set of places with their occupants.
#[derive(Debug)]
pub(crate) struct Places<G = Connection> {
    number: Number,
    known: Arc<Known>,
    state: Mutex<State<G>>,
}

#[derive(Debug)]
struct State<G> {
    next: u64,
    /// Occupants without a shown grant, by their last activity: the idlest first.
    strangers: BTreeMap<(Instant, u64), (PeerId, G)>,
    /// Number of other occupants.
    known: usize,
    of_one: HashMap<PeerId, usize>,
}

/// A taken place, freed on drop.
#[derive(Debug)]
pub(crate) struct Place<G: Guest = Connection> {
    of: Arc<Places<G>>,
    peer: PeerId,
    number: u64,
    /// Last activity, for a stranger.
    last: Mutex<Option<Instant>>,
}

impl<G: Guest> Places<G> {
    pub(crate) fn new(number: Number, known: Arc<Known>) -> Arc<Self> {
        let state = State { next: 0, strangers: BTreeMap::new(), known: 0, of_one: HashMap::new() };
        Arc::new(Self { number, known, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State<G>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the idlest stranger to go, if any.
    pub(crate) fn drop_idlest(&self) {
        self.state().drop_idlest();
    }

    /// Takes a place for `guest` of `peer`, within the peer's limit; if none is free, the idlest stranger's.
    pub(crate) fn take(self: &Arc<Self>, peer: PeerId, guest: G) -> Option<Place<G>> {
        let known = self.known.has(&peer);
        let mut state = self.state();
        let mine = state.of_one.get(&peer).copied().unwrap_or_default();
        let strangers = state.strangers.len();
        if mine < if known { self.number.of_one } else { self.number.of_stranger } {
            let full = strangers + state.known >= self.number.all || !known && strangers >= self.number.of_strangers;
            if !full || state.drop_idlest() {
                let (number, now) = (state.next, Instant::now());
                state.next += 1;
                *state.of_one.entry(peer).or_default() += 1;
                if known {
                    state.known += 1;
                } else {
                    state.strangers.insert((now, number), (peer, guest));
                }
                let last = Mutex::new((!known).then_some(now));
                return Some(Place { of: self.clone(), peer, number, last });
            }
        }
        guest.go();
        None
    }
}

impl<G: Guest> State<G> {
    fn drop_idlest(&mut self) -> bool {
        let Some((_, (peer, guest))) = self.strangers.pop_first() else { return false };
        self.left(&peer);
        guest.go();
        true
    }

    fn left(&mut self, peer: &PeerId) {
        if let Some(mine) = self.of_one.get_mut(peer) {
            *mine -= 1;
            if *mine == 0 {
                self.of_one.remove(peer);
            }
        }
    }
}

impl<G: Guest> Place<G> {
    fn last(&self) -> MutexGuard<'_, Option<Instant>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records activity, which makes others idler. A peer known by now is no longer a stranger.
    pub(crate) fn stirs(&self) {
        let mut last = self.last();
        let Some(before) = *last else { return };
        let mut state = self.of.state();
        // It may have been told to go.
        let Some(mine) = state.strangers.remove(&(before, self.number)) else { return };
        if self.of.known.has(&self.peer) {
            (state.known, *last) = (state.known + 1, None);
        } else {
            let now = Instant::now();
            state.strangers.insert((now, self.number), mine);
            *last = Some(now);
        }
    }
}

impl<G: Guest> Drop for Place<G> {
    fn drop(&mut self) {
        let last = *self.last();
        let mut state = self.of.state();
        match last {
            None => state.known -= 1,
            Some(last) if state.strangers.remove(&(last, self.number)).is_none() => return,
            Some(_) => {}
        }
        state.left(&self.peer);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts those who were told to go.
    #[derive(Clone, Default)]
    struct Told(Arc<AtomicUsize>);

    impl Guest for Told {
        fn go(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Told {
        fn to_go(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn peer(seed: u8) -> PeerId {
        tidegate_protocol::Identity::from_seed([seed; 32]).id()
    }

    #[test]
    fn the_idlest_stranger_goes_first_and_who_is_known_never() {
        let known = Arc::new(Known::default());
        let places = Places::new(Number { all: 6, of_strangers: 4, of_stranger: 2, of_one: 2 }, known.clone());
        let guests: Vec<Told> = (0..8).map(|_| Told::default()).collect();
        let take = |seed: u8| places.take(peer(seed), guests[seed as usize].clone());
        let mut kept: Vec<_> = (0..4).map(|seed| take(seed).unwrap()).collect();
        // The first does something: the second is the idlest.
        kept[0].stirs();
        kept.push(take(4).unwrap());
        assert_eq!(guests.iter().map(Told::to_go).collect::<Vec<_>>(), [0, 1, 0, 0, 0, 0, 0, 0]);
        // Who is known has places that strangers cannot take, and then theirs.
        known.add(peer(5));
        known.add(peer(6));
        for (seed, gone) in [(5, 0), (5, 0), (6, 1), (6, 1)] {
            kept.push(take(seed).unwrap());
            assert_eq!(guests[2].to_go(), gone);
        }
        assert_eq!((guests[3].to_go(), guests[5].to_go(), guests[6].to_go()), (1, 0, 0));
        assert!(take(5).is_none(), "its part");
        assert_eq!(guests[5].to_go(), 1);
        // Of the strangers, one more takes another's.
        kept.push(take(7).unwrap());
        assert_eq!((guests[0].to_go(), guests[4].to_go()), (1, 0));
        drop(kept);
        let state = places.state();
        assert!((state.strangers.len(), state.known, state.of_one.len()) == (0, 0, 0));
    }

    #[test]
    fn who_shows_a_grant_is_no_stranger_any_more() {
        let known = Arc::new(Known::default());
        let places = Places::new(Number { all: 3, of_strangers: 1, of_stranger: 1, of_one: 2 }, known.clone());
        let (mine, other) = (Told::default(), Told::default());
        let place = places.take(peer(1), mine.clone()).unwrap();
        known.add(peer(1));
        place.stirs();
        let _others: Vec<_> = (2..9).map(|seed| places.take(peer(seed), other.clone())).collect();
        assert_eq!((mine.to_go(), other.to_go()), (0, 6));
    }

    /// Where all places are known peers', nobody is told to go for another.
    #[test]
    fn nobody_goes_for_one_of_the_same_standing() {
        let known = Arc::new(Known::default());
        let places = Places::new(Number { all: 2, of_strangers: 1, of_stranger: 1, of_one: 2 }, known.clone());
        let guests: Vec<Told> = (0..4).map(|_| Told::default()).collect();
        let take = |seed: u8| {
            known.add(peer(seed));
            places.take(peer(seed), guests[seed as usize].clone())
        };
        let _kept = [take(0).unwrap(), take(1).unwrap()];
        assert!(take(2).is_none() && guests[0].to_go() == 0);
    }
}
