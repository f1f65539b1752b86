//! Every request that iroh-blobs knows, decided before a byte is sent.

use std::{sync::Arc, time::Duration};

use bao_tree::io::EncodeError;
use iroh::{
    endpoint::{Connection, RecvStream, SendStream, VarInt},
    protocol::{AcceptError, ProtocolHandler},
};
use iroh_blobs::protocol::{ChunkRanges, ChunkRangesSeq, ERR_INTERNAL, ERR_PERMISSION, GetRequest};
use tidegate_protocol::{ContentHash, PeerId};
use tokio::sync::Semaphore;

use super::{
    Access, Asked, ByteRange, chain,
    kept::Files,
    send::{Unsent, send},
};
use crate::address::peer_of;

/// Most separate ranges of one request.
const RANGES: usize = 64;
/// Bytes of a BLAKE3 chunk, in which ranges are counted.
const CHUNK: u64 = 1024;
/// Most bytes of a request for as many ranges.
const REQUEST: usize = 4 << 10;
/// Most requests of a connection that are answered at the same time.
const AT_ONCE: usize = 32;
/// How long a peer may take to say what it asks for.
const ASKING: Duration = Duration::from_secs(30);
/// What a request for a blob begins with: the number of its kind (`iroh_blobs::protocol::RequestType`).
const GET: u8 = 0;

/// The protocol as peers meet it: a connection can be cut from here.
#[derive(Debug, Clone)]
pub(crate) struct Governed {
    pub(super) files: Files,
    pub(super) access: Access,
    pub(super) handler: Asked,
}

impl ProtocolHandler for Governed {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        let Some(peer) = peer_of(connection.remote_id()) else { return Ok(()) };
        let Some(_known) = self.access.opened(peer, connection.clone()) else { return Ok(()) };
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        // Each ends with the connection, if not before.
        while let Ok(turn) = turns.clone().acquire_owned().await
            && let Ok((mut to, mut from)) = connection.accept_bi().await
        {
            let governed = self.clone();
            tokio::spawn(async move {
                let _turn = turn;
                if let Err(code) = governed.answer(peer, &mut from, &mut to).await {
                    drop((from.stop(code), to.reset(code)));
                }
            });
        }
        Ok(())
    }
}

impl Governed {
    /// Sends what is asked for, or says by which code it is not sent.
    async fn answer(&self, peer: PeerId, from: &mut RecvStream, to: &mut SendStream) -> Result<(), VarInt> {
        let request = tokio::time::timeout(ASKING, asked(from)).await.ok().flatten().ok_or(ERR_PERMISSION)?;
        let hash = ContentHash(*request.hash.as_bytes());
        let (ranges, bytes) = byte_ranges(&request.ranges).ok_or(ERR_PERMISSION)?;
        let allowed = self.access.begins(&peer, &hash).ok_or(ERR_PERMISSION)?;
        let kept = self.files.get(&hash).ok_or(ERR_INTERNAL)?;
        if !allowed.is_free() {
            let handler = self.handler.get().cloned().ok_or(ERR_PERMISSION)?;
            if !handler.fetching(peer, hash, bytes).await {
                return Err(ERR_PERMISSION);
            }
        }
        match send(&kept, ranges, to).await {
            Ok(()) => drop(to.finish()),
            Err(Unsent::Peer(e)) => tracing::debug!("{hash} was not sent whole: {e}"),
            Err(Unsent::Here(e)) => {
                tracing::warn!("{} is not sent, it may have changed since it was published: {}", kept.path.display(), chain(&e));
                // Not where it could not be opened or read just now, which many requests may bring about.
                if matches!(e, EncodeError::ParentHashMismatch(_) | EncodeError::LeafHashMismatch(_)) {
                    kept.doubt();
                }
                return Err(ERR_INTERNAL);
            }
        }
        Ok(())
    }
}

/// What is asked for, where it is a blob: everything else that the protocol knows is refused unread.
async fn asked(from: &mut RecvStream) -> Option<GetRequest> {
    let mut kind = [0];
    from.read_exact(&mut kind).await.ok()?;
    if kind != [GET] {
        return None;
    }
    postcard::from_bytes(&from.read_to_end(REQUEST).await.ok()?).ok()
}

/// The parts that a request for a single blob asks for, in chunks and in bytes; `None` where they are too many, or it asks for another thing.
fn byte_ranges(ranges: &ChunkRangesSeq) -> Option<(ChunkRanges, Vec<ByteRange>)> {
    let (0, chunks) = ranges.as_single()? else { return None };
    let bytes: Vec<u64> = chunks.boundaries().iter().map(|chunk| chunk.0.saturating_mul(CHUNK)).collect();
    let bytes = (bytes.len() <= 2 * RANGES).then(|| bytes.chunks(2).map(|pair| (pair[0], pair.get(1).copied())).collect())?;
    Some((chunks.clone(), bytes))
}
