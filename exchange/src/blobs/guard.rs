//! Every request that iroh-blobs knows, decided before a byte is sent.

use std::{sync::Arc, time::Duration};

use bao_tree::io::EncodeError;
use iroh::{
    endpoint::{Connection, RecvStream, SendStream, VarInt},
    protocol::{AcceptError, ProtocolHandler},
};
use iroh_blobs::{
    Hash,
    protocol::{ChunkRanges, ERR_INTERNAL, ERR_PERMISSION, GetManyRequest, GetRequest},
};
use tidegate_protocol::{ContentHash, PeerId};
use tokio::sync::Semaphore;

use super::{
    Access, Asked, ByteRange, GET, GET_MANY, chain,
    kept::Files,
    send::{Unsent, send},
};
use crate::address::peer_of;

/// Most separate ranges of one request, and most files.
const RANGES: usize = 64;
/// Bytes of a BLAKE3 chunk, in which ranges are counted.
const CHUNK: u64 = 1024;
/// Most bytes of a request for as many ranges.
const REQUEST: usize = 4 << 10;
/// Most requests of a connection that are answered at the same time.
const AT_ONCE: usize = 32;
/// How long a peer may take to say what it asks for.
const ASKING: Duration = Duration::from_secs(30);

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
        let wanted = tokio::time::timeout(ASKING, asked(from)).await.ok().flatten().ok_or(ERR_PERMISSION)?;
        let (mut parts, mut governed) = (vec![], vec![]);
        for (hash, chunks) in wanted {
            let hash = ContentHash(*hash.as_bytes());
            let allowed = self.access.begins(&peer, &hash).ok_or(ERR_PERMISSION)?;
            if !allowed.is_free() {
                governed.push((hash, byte_ranges(&chunks)));
            }
            parts.push((self.files.get(&hash).ok_or(ERR_INTERNAL)?, chunks));
        }
        if !governed.is_empty() {
            let handler = self.handler.get().cloned().ok_or(ERR_PERMISSION)?;
            if !handler.fetching(peer, governed).await {
                return Err(ERR_PERMISSION);
            }
        }
        match send(parts, to).await {
            Ok(()) => drop(to.finish()),
            Err(Unsent::Peer(e)) => tracing::debug!("a file was not sent whole: {e}"),
            Err(Unsent::Ended(e)) => {
                tracing::debug!("{e}");
                return Err(ERR_INTERNAL);
            }
            Err(Unsent::Here(kept, e)) => {
                tracing::warn!("{} is not sent, it may have changed since it was published: {}", kept.path.display(), chain(&e));
                // Not where it could not be opened or read just now, which many requests may bring about.
                if matches!(e, EncodeError::ParentHashMismatch(_) | EncodeError::LeafHashMismatch(_)) {
                    kept.mend();
                }
                return Err(ERR_INTERNAL);
            }
        }
        Ok(())
    }
}

/// Which parts of which files are asked for: of one, or of several at once. Everything else that the protocol knows is refused unread.
async fn asked(from: &mut RecvStream) -> Option<Vec<(Hash, ChunkRanges)>> {
    let mut kind = [0];
    from.read_exact(&mut kind).await.ok()?;
    if ![GET, GET_MANY].contains(&kind[0]) {
        return None;
    }
    let request = from.read_to_end(REQUEST).await.ok()?;
    let wanted: Vec<_> = if kind[0] == GET {
        let GetRequest { hash, ranges } = postcard::from_bytes(&request).ok()?;
        // Of the file itself, and not of those whose hashes may be in it.
        let (0, chunks) = ranges.as_single()? else { return None };
        vec![(hash, chunks.clone())]
    } else {
        let GetManyRequest { hashes, ranges } = postcard::from_bytes(&request).ok()?;
        hashes.into_iter().zip(ranges.iter_infinite()).map(|(hash, chunks)| (hash, chunks.clone())).collect()
    };
    let boundaries: usize = wanted.iter().map(|(_, chunks)| chunks.boundaries().len()).sum();
    let full = wanted.iter().all(|(_, chunks)| !chunks.is_empty());
    (full && wanted.len() <= RANGES && boundaries <= 2 * RANGES).then_some(wanted)
}

/// Parts in bytes.
fn byte_ranges(chunks: &ChunkRanges) -> Vec<ByteRange> {
    let bytes: Vec<u64> = chunks.boundaries().iter().map(|chunk| chunk.0.saturating_mul(CHUNK)).collect();
    bytes.chunks(2).map(|pair| (pair[0], pair.get(1).copied())).collect()
}
