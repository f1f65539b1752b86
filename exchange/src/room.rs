//! Memory budget for peers' incoming and outgoing data, in bytes, with limits per peer and for all strangers together.
//!
//! No memory is taken before the data is there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use iroh::endpoint::RecvStream;
use tidegate_protocol::{PeerId, limits};

use crate::{NetError, known::Known};

/// Maximum numbers of bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// For each peer without a shown grant.
    pub(crate) of_stranger: usize,
    /// For all such peers together.
    pub(crate) of_strangers: usize,
    /// For each peer with a shown grant.
    pub(crate) of_one: usize,
    /// For all peers together.
    pub(crate) of_all: usize,
}

/// Memory in use, by peer.
#[derive(Debug)]
pub(crate) struct Room {
    bounds: Bounds,
    known: Arc<Known>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    strangers: HashMap<PeerId, usize>,
    known: HashMap<PeerId, usize>,
    of_strangers: usize,
    all: usize,
}

/// Reserved memory, freed on drop.
#[derive(Debug)]
pub(crate) struct Taken {
    room: Arc<Room>,
    peer: PeerId,
    bytes: usize,
    /// Whether the memory counts as a stranger's.
    stranger: bool,
}

/// Error when the limit is reached.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Full(&'static str);

impl Room {
    pub(crate) fn new(bounds: Bounds, known: Arc<Known>) -> Arc<Self> {
        Arc::new(Self { bounds, known, held: Mutex::default() })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts an empty reservation for `peer`.
    pub(crate) fn of(self: &Arc<Self>, peer: PeerId) -> Taken {
        Taken { room: self.clone(), peer, bytes: 0, stranger: !self.known.has(&peer) }
    }

    fn add(&self, peer: PeerId, stranger: bool, bytes: usize) -> Result<(), Full> {
        let Bounds { of_stranger, of_strangers, of_one, of_all } = self.bounds;
        let mut held = self.held();
        let (map, most) = if stranger { (&held.strangers, of_stranger) } else { (&held.known, of_one) };
        let mine = map.get(&peer).copied().unwrap_or_default();
        let fits = |now: usize, most: usize| now.checked_add(bytes).is_some_and(|all| all <= most);
        if !fits(mine, most) {
            return Err(Full("this node has reached its memory limit for this peer"));
        }
        if !fits(held.all, of_all) || stranger && !fits(held.of_strangers, of_strangers) {
            return Err(Full("this node has reached its memory limit for all peers"));
        }
        let map = if stranger { &mut held.strangers } else { &mut held.known };
        map.insert(peer, mine + bytes);
        held.all += bytes;
        held.of_strangers += if stranger { bytes } else { 0 };
        Ok(())
    }

    fn give_back(&self, peer: PeerId, stranger: bool, bytes: usize) {
        let mut held = self.held();
        held.all -= bytes;
        held.of_strangers -= if stranger { bytes } else { 0 };
        let map = if stranger { &mut held.strangers } else { &mut held.known };
        if let Some(mine) = map.get_mut(&peer) {
            *mine -= bytes;
            if *mine == 0 {
                map.remove(&peer);
            }
        }
    }
}

impl Taken {
    /// Grows the reservation to `to` bytes; never shrinks it.
    pub(crate) fn grow(&mut self, to: usize) -> Result<(), Full> {
        let more = to.saturating_sub(self.bytes);
        if more > 0 {
            self.room.add(self.peer, self.stranger, more)?;
            self.bytes += more;
        }
        Ok(())
    }

    /// Recounts the reservation as a known peer's, if there is room.
    pub(crate) fn is_known(&mut self) {
        if self.stranger && self.room.add(self.peer, false, self.bytes).is_ok() {
            self.room.give_back(self.peer, true, self.bytes);
            self.stranger = false;
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.room.give_back(self.peer, self.stranger, self.bytes);
        }
    }
}

/// Bytes arriving from a peer: memory is allocated for data received, never for data announced, up to a limit.
#[derive(Debug)]
pub(crate) struct Coming<'a> {
    bytes: Vec<u8>,
    most: usize,
    /// Reservation to count in; data requested by this node itself is bounded by the request.
    taken: Option<&'a mut Taken>,
    /// Bytes counted there before.
    before: usize,
}

/// First allocation in bytes.
const FIRST: usize = 1 << 10;

impl<'a> Coming<'a> {
    /// Accepts at most `most` bytes, on top of the bytes already counted.
    pub(crate) fn counted(most: usize, taken: &'a mut Taken) -> Self {
        let before = taken.bytes;
        Self { bytes: Vec::new(), most, taken: Some(taken), before }
    }

    /// Accepts at most `most` bytes of data requested by this node.
    pub(crate) fn asked_for(most: usize) -> Self {
        Self { bytes: Vec::new(), most, taken: None, before: 0 }
    }

    /// Appends received bytes.
    ///
    /// # Errors
    /// Returns [`NetError::Peer`] if it is too much, or there is no room.
    pub(crate) fn push(&mut self, more: &[u8]) -> Result<(), NetError> {
        let needed = self.bytes.len() + more.len();
        if needed > self.most {
            return Err(NetError::Peer(format!("the request has more than {} bytes", self.most)));
        }
        if needed > self.bytes.capacity() {
            let room = needed.max(2 * self.bytes.capacity()).max(FIRST).min(self.most);
            if let Some(taken) = &mut self.taken {
                taken.grow(self.before + room).map_err(|e| NetError::Peer(e.to_string()))?;
            }
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        self.bytes.extend_from_slice(more);
        Ok(())
    }

    /// Reads `length` more bytes from a stream.
    ///
    /// # Errors
    /// Returns [`NetError::Peer`], also if the stream ends before.
    pub(crate) async fn read(&mut self, from: &mut RecvStream, length: usize) -> Result<(), NetError> {
        let end = self.bytes.len().saturating_add(length);
        if end > self.most {
            return Err(NetError::Peer(format!("a frame of {length} bytes is over the limit")));
        }
        while self.bytes.len() < end {
            let piece = from.read_chunk(end - self.bytes.len()).await.map_err(|e| NetError::Peer(e.to_string()))?;
            self.push(&piece.ok_or_else(|| NetError::Peer("it ends early".into()))?)?;
        }
        Ok(())
    }

    /// Reads everything up to a stream's end.
    ///
    /// # Errors
    /// Returns [`NetError::Peer`] if it is too much, there is no room, or the peer breaks off.
    pub(crate) async fn read_all(&mut self, from: &mut RecvStream) -> Result<(), NetError> {
        while let Some(piece) = from.read_chunk(limits::REQUEST_BYTES).await.map_err(|e| NetError::Peer(e.to_string()))? {
            self.push(&piece)?;
        }
        Ok(())
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { of_stranger: 10_000, of_strangers: 25_000, of_one: 50_000, of_all: 80_000 };

    fn peer(seed: u8) -> PeerId {
        tidegate_protocol::Identity::from_seed([seed; 32]).id()
    }

    #[test]
    fn a_stranger_has_its_part_and_all_strangers_theirs() {
        let known = Arc::new(Known::default());
        let room = Room::new(BOUNDS, known.clone());
        let of = |seed, bytes| {
            let mut taken = room.of(peer(seed));
            taken.grow(bytes).map(|()| taken)
        };
        let mine = of(1, 10_000).unwrap();
        assert!(of(1, 1).is_err(), "one's part");
        let others = [of(2, 10_000).unwrap(), of(3, 5_000).unwrap()];
        assert!(of(4, 1).is_err(), "all strangers' part");
        known.add(peer(4));
        let mut friend = of(4, 50_000).unwrap();
        assert!(friend.grow(50_001).is_err());
        known.add(peer(5));
        assert!(of(5, 5_001).is_err() && of(5, 5_000).is_ok(), "there is an end to it");
        drop((mine, others));
        assert!(of(6, 10_000).is_ok());
        drop(friend);
        let held = room.held();
        assert!((held.all, held.of_strangers, held.strangers.len(), held.known.len()) == (0, 0, 0, 0));
    }

    #[test]
    fn who_is_known_meanwhile_leaves_the_strangers_part() {
        let known = Arc::new(Known::default());
        let room = Room::new(BOUNDS, known.clone());
        let mut taken = room.of(peer(1));
        taken.grow(9_000).unwrap();
        assert!(taken.grow(11_000).is_err());
        known.add(peer(1));
        taken.is_known();
        taken.grow(50_000).unwrap();
        assert_eq!(room.held().of_strangers, 0);
    }

    #[test]
    fn room_is_made_for_what_came() {
        let room = Room::new(BOUNDS, Arc::default());
        let mut taken = room.of(peer(1));
        taken.grow(100).unwrap();
        let mut coming = Coming::counted(9_000, &mut taken);
        coming.push(&[1; 4]).unwrap();
        assert_eq!((coming.bytes.capacity(), room.held().all), (FIRST, 100 + FIRST));
        for _ in 0..8 {
            coming.push(&[2; 1000]).unwrap();
        }
        assert!(coming.bytes.capacity() <= 9_000 && room.held().all == 100 + coming.bytes.capacity());
        assert!(coming.push(&[3; 1000]).is_err(), "there is an end to it");
        assert_eq!(coming.done().len(), 8004);
        // Where there is no room, none is made.
        let mut coming = Coming::counted(1 << 30, &mut taken);
        assert!((0..100).any(|_| coming.push(&[0; 1000]).is_err()) && coming.bytes.capacity() <= 10_000);
    }
}
