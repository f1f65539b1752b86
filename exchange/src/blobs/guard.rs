//! Guard of iroh-blobs: every request is decided before a byte is sent.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use bao_tree::io::EncodeError;
use iroh::{
    endpoint::{Connection, RecvStream, SendStream, VarInt},
    protocol::{AcceptError, ProtocolHandler},
};
use iroh_blobs::protocol::{ChunkRanges, ERR_INTERNAL, ERR_LIMIT, ERR_PERMISSION};
use tidegate_protocol::{ContentHash, PeerId};
use tokio::sync::Semaphore;

use super::{
    access::{Access, ended},
    kept::Files,
    send::{Unsent, send},
    wire,
};
use crate::{
    address::peer_of,
    error::chain,
    host::Host,
    jobs::Handler,
    places::Place,
    room::{Coming, Taken},
};

/// Handler to ask before a peer is sent a part of a file; nothing is sent before there is a handler.
pub(super) type Asked = Arc<OnceLock<Arc<dyn Handler>>>;

/// Maximum number of requests answered concurrently per connection.
const AT_ONCE: usize = 32;
/// Time for a peer to send its request.
const ASKING: Duration = Duration::from_secs(30);
/// Time during which a stranger may accept nothing of the data sent.
const STALL: Duration = Duration::from_secs(30);

/// Protocol handler for peers, able to cut a connection.
#[derive(Debug, Clone)]
pub(crate) struct Governed {
    pub(super) files: Files,
    pub(super) access: Access,
    pub(super) handler: Asked,
    pub(super) host: Host,
}

impl ProtocolHandler for Governed {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        let Some(peer) = peer_of(connection.remote_id()) else { return Ok(()) };
        if self.access.by_grant(&peer) {
            self.host.meets(peer, &connection);
        }
        let Some(place) = self.host.connections.take(peer, connection.clone()) else { return Ok(()) };
        let Some(_known) = self.access.opened(peer, connection.clone()) else { return Ok(()) };
        let (turns, place) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(place));
        // Each task ends with the connection, if not before.
        while let Ok(turn) = turns.clone().acquire_owned().await
            && let Ok((mut to, mut from)) = connection.accept_bi().await
        {
            let (governed, place) = (self.clone(), place.clone());
            tokio::spawn(async move {
                let answered = governed.answer(peer, &place, &mut from, &mut to).await;
                drop((turn, place));
                let code = match answered {
                    Err(code) => code,
                    Ok(None) => return,
                    // Data handed to the network may wait there if the network is slow.
                    Ok(ends) => tokio::select! {
                        _ = to.stopped() => return,
                        () = ended(ends) => ERR_PERMISSION,
                    },
                };
                drop((from.stop(code), to.reset(code)));
            });
        }
        Ok(())
    }
}

impl Governed {
    /// Sends the requested parts and returns the end of the grant; or returns the error code with which sending was refused or
    /// stopped.
    async fn answer(
        &self,
        peer: PeerId,
        place: &Place,
        from: &mut RecvStream,
        to: &mut SendStream,
    ) -> Result<Option<SystemTime>, VarInt> {
        let mut taken = self.host.coming.of(peer);
        let wanted = tokio::time::timeout(ASKING, asked(from, &mut taken)).await.ok().flatten().ok_or(ERR_PERMISSION)?;
        drop(taken);
        place.stirs();
        let (mut parts, mut governed, mut ends) = (vec![], vec![], None);
        for (hash, chunks) in wanted {
            let allowed = self.access.begins(&peer, &hash).ok_or(ERR_PERMISSION)?;
            ends = ends.into_iter().chain(allowed.ends()).min();
            if !allowed.is_free() {
                governed.push((hash, wire::byte_ranges(&chunks)));
            }
            parts.push((self.files.get(&hash).ok_or(ERR_INTERNAL)?, chunks));
        }
        if !governed.is_empty() {
            let handler = self.handler.get().cloned().ok_or(ERR_PERMISSION)?;
            if !handler.fetching(peer, governed).await {
                return Err(ERR_PERMISSION);
            }
        }
        // Data read ahead for strangers is in memory for few of them at a time, and not for long.
        let stranger = !self.host.knows(&peer);
        let _turn = if stranger { Some(self.host.fetch().await.ok_or(ERR_LIMIT)?) } else { None };
        let sent = tokio::select! {
            biased;
            () = ended(ends) => return Err(ERR_PERMISSION),
            sent = send(parts, to, stranger.then_some(STALL)) => sent,
        };
        match sent {
            Ok(()) => drop(to.finish()),
            Err(Unsent::Peer(e)) => tracing::debug!("sending a file failed: {e}"),
            Err(Unsent::Stalled) => return Err(ERR_LIMIT),
            Err(Unsent::Ended(e)) => {
                tracing::debug!("{e}");
                return Err(ERR_INTERNAL);
            }
            Err(Unsent::Here(kept, e)) => {
                tracing::warn!(
                    "not sending {}, which may have changed since it was published: {}",
                    kept.path.display(),
                    chain(&e)
                );
                // Not if it merely could not be opened or read just now, which many requests may cause.
                if matches!(e, EncodeError::ParentHashMismatch(_) | EncodeError::LeafHashMismatch(_)) {
                    kept.mend();
                }
                return Err(ERR_INTERNAL);
            }
        }
        Ok(ends)
    }
}

/// Reads a request and returns the requested parts of files.
async fn asked(from: &mut RecvStream, taken: &mut Taken) -> Option<Vec<(ContentHash, ChunkRanges)>> {
    let mut kind = [0];
    from.read_exact(&mut kind).await.ok()?;
    if !wire::is_get(kind[0]) {
        return None;
    }
    let mut coming = Coming::counted(wire::REQUEST, taken);
    coming.read_all(from).await.ok()?;
    wire::asked(kind[0], &coming.done())
}
