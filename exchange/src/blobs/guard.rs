//! Every request that iroh-blobs knows, decided before a byte is sent.

use std::collections::HashMap;

use iroh::{
    endpoint::Connection,
    protocol::{AcceptError, ProtocolHandler},
};
use iroh_blobs::{
    BlobsProtocol,
    protocol::ChunkRangesSeq,
    provider::events::{AbortReason, ConnectMode, EventMask, ObserveMode, ProviderMessage, RequestMode, ThrottleMode},
};
use tidegate_protocol::{ContentHash, PeerId};

use super::{Access, Asked, ByteRange};
use crate::address::peer_of;

/// Most separate ranges of one request.
const RANGES: usize = 64;
/// Bytes of a BLAKE3 chunk, in which ranges are counted.
const CHUNK: u64 = 1024;

/// What is asked about, and what is refused unasked.
pub(super) const MASK: EventMask = EventMask {
    connected: ConnectMode::Intercept,
    get: RequestMode::Intercept,
    get_many: RequestMode::Disabled,
    push: RequestMode::Disabled,
    observe: ObserveMode::Intercept,
    throttle: ThrottleMode::None,
};

/// The protocol as peers meet it: a connection can be cut from here.
#[derive(Debug)]
pub(crate) struct Governed {
    pub(super) protocol: BlobsProtocol,
    pub(super) access: Access,
}

impl ProtocolHandler for Governed {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        let Some(peer) = peer_of(connection.remote_id()) else { return Ok(()) };
        let Some(_known) = self.access.opened(peer, connection.clone()) else { return Ok(()) };
        self.protocol.accept(connection).await
    }

    async fn shutdown(&self) {
        self.protocol.shutdown().await;
    }
}

/// The parts that a request for a single blob asks for; `None` where they are too many, or it asks for another thing.
fn byte_ranges(ranges: &ChunkRangesSeq) -> Option<Vec<ByteRange>> {
    let (0, chunks) = ranges.as_single()? else { return None };
    let bytes: Vec<u64> = chunks.boundaries().iter().map(|chunk| chunk.0.saturating_mul(CHUNK)).collect();
    (bytes.len() <= 2 * RANGES).then(|| bytes.chunks(2).map(|pair| (pair[0], pair.get(1).copied())).collect())
}

pub(super) async fn guard(mut messages: tokio::sync::mpsc::Receiver<ProviderMessage>, access: Access, handler: Asked) {
    let mut peers: HashMap<u64, PeerId> = HashMap::new();
    while let Some(message) = messages.recv().await {
        match message {
            ProviderMessage::ClientConnected(message) => {
                let verdict = match message.inner.endpoint_id.and_then(peer_of) {
                    Some(peer) => {
                        peers.insert(message.inner.connection_id, peer);
                        Ok(())
                    }
                    None => Err(AbortReason::Permission),
                };
                let _ = message.tx.send(verdict).await;
            }
            ProviderMessage::ConnectionClosed(message) => {
                peers.remove(&message.inner.connection_id);
            }
            ProviderMessage::GetRequestReceived(message) => {
                let request = &message.inner.request;
                let hash = ContentHash(*request.hash.as_bytes());
                let peer = peers.get(&message.inner.connection_id).copied();
                let allowed = peer.and_then(|peer| Some((peer, access.begins(&peer, &hash)?, byte_ranges(&request.ranges)?)));
                let handler = handler.get().cloned();
                // Others do not wait for what is written down about this one.
                tokio::spawn(async move {
                    let sent = match (allowed, handler) {
                        (Some((_, allowed, _)), _) if allowed.is_free() => true,
                        (Some((peer, _, ranges)), Some(handler)) => handler.fetching(peer, hash, ranges).await,
                        _ => false,
                    };
                    let _ = message.tx.send(if sent { Ok(()) } else { Err(AbortReason::Permission) }).await;
                });
            }
            ProviderMessage::ObserveRequestReceived(message) => {
                let _ = message.tx.send(Err(AbortReason::Permission)).await;
            }
            ProviderMessage::GetManyRequestReceived(message) => {
                let _ = message.tx.send(Err(AbortReason::Permission)).await;
            }
            ProviderMessage::PushRequestReceived(message) => {
                let _ = message.tx.send(Err(AbortReason::Permission)).await;
            }
            ProviderMessage::Throttle(message) => {
                let _ = message.tx.send(Ok(())).await;
            }
            // Notifications, which this mask does not ask for.
            _ => {}
        }
    }
}
