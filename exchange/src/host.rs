//! What a node has for those who come: places and memory, most of both for peers that have shown a grant. One of it for all protocols.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use iroh::endpoint::Connection;
use tidegate_protocol::{PeerId, limits};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    known::Known,
    places::{Number, Places},
    room::{Bounds, Full, Room, Taken},
    shares::Shares,
};

/// How long a stranger's request waits for its turn, and a reply for room.
const TURN: Duration = Duration::from_secs(20);
/// How often it is looked whether there is room.
const LOOK: Duration = Duration::from_millis(50);
/// How long a reply waits for room until the one goes that strangers have been taking for longest.
const PATIENCE: Duration = Duration::from_secs(1);
/// Most fetches of strangers at the same time, and of one of them.
const FETCHES: usize = 16;

/// How many may have a connection at the same time.
#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    /// All that come.
    pub connections: usize,
    /// Of them, those that have shown no grant.
    pub strangers: usize,
}

impl Default for Crowd {
    fn default() -> Self {
        Self { connections: limits::CONNECTIONS, strangers: limits::STRANGERS }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    known: Arc<Known>,
    /// For connections of the job protocol and for blobs.
    pub(crate) connections: Arc<Places>,
    /// For gossip that others began.
    pub(crate) gossips: Arc<Places>,
    /// For requests.
    pub(crate) requests: Arc<Places<CancellationToken>>,
    /// For what comes.
    pub(crate) coming: Arc<Room>,
    /// For replies that are being sent.
    pub(crate) replies: Arc<Places<CancellationToken>>,
    leaving: Arc<Room>,
    /// Attachments that may lie in memory at the same time.
    pub(crate) attachments: Arc<Shares>,
    turns: Arc<Semaphore>,
    fetches: Arc<Semaphore>,
}

impl Host {
    pub(crate) fn of(crowd: Crowd) -> Self {
        let known = Arc::new(Known::default());
        let connections = Number {
            all: crowd.connections,
            of_strangers: crowd.strangers,
            of_stranger: limits::CONNECTIONS_PER_PEER,
            of_one: limits::CONNECTIONS_PER_PEER,
        };
        let gossips = Number {
            all: limits::GOSSIPS,
            of_strangers: limits::STRANGERS_GOSSIPS,
            of_stranger: limits::GOSSIPS_PER_PEER,
            of_one: limits::GOSSIPS_PER_PEER,
        };
        let requests = Number {
            all: limits::REQUESTS,
            of_strangers: limits::STRANGERS_REQUESTS,
            of_stranger: limits::STRANGER_REQUESTS,
            of_one: limits::REQUESTS_PER_PEER,
        };
        let half = limits::ATTACHMENTS.div_ceil(2);
        let coming = Bounds {
            of_stranger: limits::STRANGER_BYTES,
            of_strangers: limits::STRANGERS_BYTES,
            of_one: half * limits::PROGRAM_BYTES + limits::STRANGERS_BYTES,
            of_all: limits::ATTACHMENTS * limits::PROGRAM_BYTES + 4 * limits::STRANGERS_BYTES,
        };
        let leaving = Bounds {
            of_stranger: limits::FRAME_BYTES,
            of_strangers: limits::STRANGERS_REPLY_BYTES,
            of_one: 4 * limits::FRAME_BYTES,
            of_all: 8 * limits::STRANGERS_REPLY_BYTES,
        };
        Self {
            connections: Places::new(connections, known.clone()),
            gossips: Places::new(gossips, known.clone()),
            requests: Places::new(requests, known.clone()),
            replies: Places::new(requests, known.clone()),
            coming: Room::new(coming, known.clone()),
            leaving: Room::new(leaving, known.clone()),
            attachments: Shares::new(limits::ATTACHMENTS, half),
            turns: Arc::new(Semaphore::new(limits::STRANGERS_AT_ONCE)),
            fetches: Arc::new(Semaphore::new(FETCHES)),
            known,
        }
    }

    pub(crate) fn knows(&self, peer: &PeerId) -> bool {
        self.known.has(peer)
    }

    /// `peer` has shown a grant over `connection`: more may be on its way over that.
    pub(crate) fn meets(&self, peer: PeerId, connection: &Connection) {
        self.known.add(peer);
        connection.set_receive_window(limits::KNOWN_WINDOW_BYTES.into());
    }

    /// A stranger's turn to be answered, where one comes in time; it is held until the reply is made.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        within(&self.turns).await
    }

    /// A stranger's turn to be sent a file.
    pub(crate) async fn fetch(&self) -> Option<OwnedSemaphorePermit> {
        within(&self.fetches).await
    }

    /// Room for a reply of so many bytes, where there is some in time; it is held until the peer has them.
    pub(crate) async fn reply(&self, peer: PeerId, bytes: usize) -> Result<Taken, Full> {
        let (mut taken, begun) = (self.leaving.of(peer), Instant::now());
        let mut patient = PATIENCE;
        loop {
            match taken.grow(bytes) {
                Ok(()) => return Ok(taken),
                Err(full) if begun.elapsed() >= TURN => return Err(full),
                Err(_) => tokio::time::sleep(LOOK).await,
            }
            if begun.elapsed() >= patient {
                self.replies.drop_idlest();
                patient += PATIENCE / 4;
            }
        }
    }
}

async fn within(turns: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    // Never closed.
    tokio::time::timeout(TURN, turns.clone().acquire_owned()).await.ok()?.ok()
}
