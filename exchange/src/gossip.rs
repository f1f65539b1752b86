//! Broadcast by iroh-gossip: topics by name, short messages, no guarantee of a message's origin or truth.

use std::time::Duration;

use futures_lite::StreamExt as _;
use iroh::{
    Endpoint, EndpointId,
    address_lookup::memory::MemoryLookup,
    endpoint::Connection,
    protocol::{AcceptError, ProtocolHandler},
};
use iroh_gossip::{
    TopicId,
    api::{Event, GossipReceiver, GossipSender},
    net::Gossip,
};
use tokio::time::Instant;

use crate::{Address, NetError, address::peer_of, host::Host};

/// Maximum message length in bytes. Messages sent are at most half as long: a listing, or a checkpoint with cosignatures.
pub const MESSAGE_BYTES: usize = 64 << 10;

/// Maximum message length accepted from others: a message plus gossip's overhead. A buffer of this size is allocated when a
/// message is announced.
const TAKEN_BYTES: usize = (MESSAGE_BYTES / 2) + (4 << 10);

/// Interval between checks whether a stranger said something.
const LOOK: Duration = Duration::from_secs(1);

/// Interval between attempts to reach the named peers while there are no neighbours.
const AGAIN: Duration = Duration::from_secs(5);

/// A node's part in gossip.
#[derive(Debug, Clone)]
pub struct Swarm {
    gossip: Gossip,
    lookup: MemoryLookup,
}

fn local(e: impl std::fmt::Display) -> NetError {
    NetError::Local(format!("gossip: {e}"))
}

impl Swarm {
    /// Builds a swarm over an endpoint to be served with [`crate::serve_in`].
    ///
    /// # Errors
    /// Returns [`NetError::Local`] if the endpoint is closed.
    pub fn new(endpoint: &Endpoint) -> Result<Self, NetError> {
        let lookup = MemoryLookup::new();
        endpoint.address_lookup().map_err(local)?.add(lookup.clone());
        Ok(Self { gossip: Gossip::builder().max_message_size(TAKEN_BYTES).spawn(endpoint.clone()), lookup })
    }

    pub(crate) fn protocol(&self, host: Host) -> Hosted {
        Hosted { gossip: self.gossip.clone(), host }
    }

    /// Joins the topic of this name, with these peers to begin with.
    ///
    /// # Errors
    /// Returns [`NetError::Local`] if gossip fails or an address is invalid.
    pub async fn join(&self, name: &str, with: &[Address]) -> Result<(Teller, Listener), NetError> {
        let mut peers = Vec::new();
        for address in with {
            let place = address.endpoint_addr()?;
            peers.push(place.id);
            self.lookup.add_endpoint_info(place);
        }
        let topic = TopicId::from_bytes(blake3_of(name));
        let (sender, receiver) = self.gossip.subscribe(topic, peers.clone()).await.map_err(local)?.split();
        Ok((Teller(sender.clone()), Listener { receiver, sender, peers, again: Instant::now() + AGAIN }))
    }
}

/// Gossip limited to the available places; connections begun by this node are not counted.
#[derive(Debug, Clone)]
pub(crate) struct Hosted {
    gossip: Gossip,
    host: Host,
}

impl ProtocolHandler for Hosted {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        let Some(peer) = peer_of(connection.remote_id()) else { return Ok(()) };
        let Some(place) = self.host.gossips.take(peer, connection.clone()) else { return Ok(()) };
        self.gossip.accept(connection.clone()).await?;
        let mut said = 0;
        while tokio::time::timeout(LOOK, connection.closed()).await.is_err() {
            let now = connection.stats().frame_rx.stream;
            if now != said {
                said = now;
                place.stirs();
            }
        }
        Ok(())
    }

    async fn shutdown(&self) {
        ProtocolHandler::shutdown(&self.gossip).await;
    }
}

fn blake3_of(name: &str) -> [u8; 32] {
    tidegate_protocol::ContentHash::of(format!("tidegate gossip of {name}").as_bytes()).0
}

/// Sender of messages.
#[derive(Debug, Clone)]
pub struct Teller(GossipSender);

impl Teller {
    /// Sends a message to everybody listening now, unless too long.
    ///
    /// # Errors
    /// Returns [`NetError::Local`] if the message is too long or gossip fails.
    pub async fn tell(&self, message: Vec<u8>) -> Result<(), NetError> {
        if message.len() > MESSAGE_BYTES / 2 {
            return Err(local("the message is too long"));
        }
        self.0.broadcast(message.into()).await.map_err(local)
    }
}

/// Event heard from the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A new neighbour appeared.
    Neighbour,
    /// A message arrived.
    Message(Vec<u8>),
}

/// Receiver of events.
#[derive(Debug)]
pub struct Listener {
    receiver: GossipReceiver,
    sender: GossipSender,
    peers: Vec<EndpointId>,
    /// Time at which the named peers are asked again.
    again: Instant,
}

impl Listener {
    /// Returns the next event, or `None` once the topic has ended.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            let event = tokio::select! {
                event = self.receiver.next() => event?,
                // Counted across calls, whatever else the caller does meanwhile.
                () = tokio::time::sleep_until(self.again) => {
                    self.again = Instant::now() + AGAIN;
                    if self.receiver.neighbors().next().is_none() && !self.peers.is_empty() {
                        drop(self.sender.join_peers(self.peers.clone()).await);
                    }
                    continue;
                }
            };
            match event {
                Ok(Event::Received(message)) => return Some(Heard::Message(message.content.to_vec())),
                Ok(Event::NeighborUp(_)) => return Some(Heard::Neighbour),
                Ok(Event::NeighborDown(_) | Event::Lagged) => {}
                Err(e) => {
                    tracing::debug!("gossip: {e}");
                    return None;
                }
            }
        }
    }
}
