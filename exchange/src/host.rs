//! A node's resources for incoming peers: places and memory, most of both for peers with a shown grant. Shared by all protocols.

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

/// Time for which a stranger's request waits for its turn, and a reply for memory.
const TURN: Duration = Duration::from_secs(20);
/// Interval between checks for free memory.
const LOOK: Duration = Duration::from_millis(50);
/// Time for which a reply waits for memory before the slowest receiver among strangers is dropped.
const PATIENCE: Duration = Duration::from_secs(1);
/// Maximum number of concurrent fetches by strangers.
const FETCHES: usize = 16;

/// Maximum numbers of concurrent connections.
#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    /// All incoming connections.
    pub connections: usize,
    /// Connections of peers without a shown grant.
    pub strangers: usize,
}

impl Default for Crowd {
    fn default() -> Self {
        Self { connections: limits::CONNECTIONS, strangers: limits::STRANGERS }
    }
}

/// Shared resources; see the module.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    known: Arc<Known>,
    /// Places for connections of the job protocol and for blobs.
    pub(crate) connections: Arc<Places>,
    /// Places for gossip begun by others.
    pub(crate) gossips: Arc<Places>,
    /// Places for requests.
    pub(crate) requests: Arc<Places<CancellationToken>>,
    /// Memory for incoming data.
    pub(crate) coming: Arc<Room>,
    /// Places for replies being sent.
    pub(crate) replies: Arc<Places<CancellationToken>>,
    leaving: Arc<Room>,
    /// Shares for attachments in memory.
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

    /// Records a grant shown by `peer` over `connection`, and lets more data be in flight there.
    pub(crate) fn meets(&self, peer: PeerId, connection: &Connection) {
        self.known.add(peer);
        connection.set_receive_window(limits::KNOWN_WINDOW_BYTES.into());
    }

    /// Waits for a stranger's turn to be answered, for a limited time; the turn lasts until the reply is made.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        within(&self.turns).await
    }

    /// Waits for a stranger's turn to be sent a file.
    pub(crate) async fn fetch(&self) -> Option<OwnedSemaphorePermit> {
        within(&self.fetches).await
    }

    /// Reserves memory for a reply of `bytes` bytes, waiting a limited time; held until the peer has the reply.
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
    // The semaphore is never closed.
    tokio::time::timeout(TURN, turns.clone().acquire_owned()).await.ok()?.ok()
}
