//! Fetching a file from a peer, verified on arrival.

use std::{
    io::{self, Read},
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use iroh::{
    Endpoint,
    endpoint::{Connection, RecvStream},
};
use iroh_blobs::{
    Hash,
    protocol::{ChunkRanges, GetRequest},
};
use serde::Serialize;
use tidegate_protocol::{ContentHash, limits};
use tokio::{io::AsyncReadExt as _, sync::mpsc};

use super::{
    arriving::{Arriving, Inlet, whole},
    ranges::cut,
    wire,
};
use crate::{
    Address,
    error::{NetError, local, peer},
};

/// Callback for progress: [`ControlFlow::Break`] stops the transfer in good order, to be resumed later.
pub type Progress<'a> = &'a mut (dyn FnMut(u64) -> ControlFlow<()> + Send);

/// Number of bytes taken from the network together.
const PIECE: usize = 128 << 10;
/// Maximum number of pieces waiting to be written.
const WAITING: usize = 8;
/// Time during which a peer may send nothing.
const STALL: Duration = Duration::from_secs(30);

/// Fetches `hash` from `from` into `target`, verified, and returns the number of payload bytes received.
///
/// Received parts stay in `folder` until the file is complete, so the next call resumes; `progress` is told the bytes received in
/// this call.
///
/// # Errors
/// Returns [`NetError`] if the transfer fails, [`NetError::Stopped`] if `progress` said so; nothing appears at `target` then.
pub async fn fetch(
    endpoint: &Endpoint,
    folder: &Path,
    from: &Address,
    hash: ContentHash,
    target: &Path,
    progress: Progress<'_>,
) -> Result<u64, NetError> {
    let hash = Hash::from_bytes(hash.0);
    let arriving = Arriving::open(folder.join(ContentHash(*hash.as_bytes()).to_string()), hash, None).await?;
    let came = transfer(endpoint, &arriving, from, hash, progress).await;
    let arrived = arriving.close().await;
    let came = came?;
    if !arrived.is_whole() {
        return Err(NetError::Peer("the transfer ended early".into()));
    }
    arrived.hand_on(target)?;
    Ok(came)
}

async fn transfer(
    endpoint: &Endpoint,
    arriving: &Arriving,
    from: &Address,
    hash: Hash,
    progress: Progress<'_>,
) -> Result<u64, NetError> {
    let parts = match arriving.size() {
        None => vec![ChunkRanges::all()],
        Some(size) => cut(&arriving.lacking(&whole(size)), u64::MAX).into(),
    };
    let mut came = 0;
    if !parts.is_empty() {
        let (connection, inlet) = (connect(endpoint, from).await?, arriving.inlet());
        for ranges in parts {
            let before = came;
            came += receive(&connection, &inlet, (hash, false), ranges, &mut |bytes| progress(before + bytes)).await?;
        }
    }
    Ok(came)
}

pub(super) async fn connect(endpoint: &Endpoint, to: &Address) -> Result<Connection, NetError> {
    let connected = endpoint.connect(to.endpoint_addr()?, iroh_blobs::ALPN).await;
    let connection = connected.map_err(|e| NetError::Unreachable { peer: to.to_string(), why: e.to_string() })?;
    connection.set_receive_window(limits::KNOWN_WINDOW_BYTES.into());
    Ok(connection)
}

/// Asks for `ranges` of `hash`, with known or unknown size, and writes the answer; returns the number of payload bytes.
///
/// `progress` is told the bytes received.
pub(super) async fn receive(
    connection: &Connection,
    inlet: &Inlet,
    (hash, known): (Hash, bool),
    ranges: ChunkRanges,
    progress: Progress<'_>,
) -> Result<u64, NetError> {
    let (mut from, size) = ask(connection, hash, ranges.clone()).await?;
    inlet.begins(size, known)?;
    let (pieces, queue) = mpsc::channel(WAITING);
    let (came, inlet) = (Arc::new(AtomicU64::new(0)), inlet.clone());
    let counted = came.clone();
    // Hashing and writing have a thread of their own, so that the network never has to wait.
    let taking = tokio::task::spawn_blocking(move || inlet.take(size, &ranges, Piped { queue, now: Bytes::new() }, &counted));
    let read = loop {
        let mut piece = BytesMut::with_capacity(PIECE);
        let more = fill(&mut from, &mut piece).await;
        // If nobody takes pieces any more, the writer has ended and reports why.
        if piece.is_empty() || pieces.send(piece.freeze()).await.is_err() {
            break more.map(drop);
        }
        if progress(came.load(Ordering::Relaxed)).is_break() {
            break Err(NetError::Stopped);
        }
        match more {
            Ok(true) => {}
            ended => break ended.map(drop),
        }
    };
    drop(pieces);
    let taken = taking.await.map_err(local)?;
    let came = came.load(Ordering::Relaxed);
    // An error from the cut-off reader is only a consequence.
    match (taken, read) {
        (Err(e @ NetError::Local(_)), _) | (_, Err(e)) | (Err(e), Ok(())) => Err(e),
        (Ok(()), Ok(())) => {
            let _ = progress(came);
            Ok(came)
        }
    }
}

/// Fills `piece` as far as data is available; returns whether there may be more.
async fn fill(from: &mut RecvStream, piece: &mut BytesMut) -> Result<bool, NetError> {
    while piece.len() < piece.capacity() {
        if in_time(from.read_buf(piece)).await?.map_err(peer)? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Data from the network, for a blocking thread.
struct Piped {
    queue: mpsc::Receiver<Bytes>,
    now: Bytes,
}

impl Read for Piped {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.now.is_empty() {
            self.now = self.queue.blocking_recv().unwrap_or_default();
        }
        let some = target.len().min(self.now.len());
        target[..some].copy_from_slice(&self.now.split_to(some));
        Ok(some)
    }
}

/// Asks for `ranges` of `hash`; returns the answer's stream and the stated file size.
async fn ask(connection: &Connection, hash: Hash, ranges: ChunkRanges) -> Result<(RecvStream, u64), NetError> {
    let mut from = request(connection, wire::GET, &GetRequest::blob_ranges(hash, ranges)).await?;
    let mut size = [0; wire::SIZE];
    in_time(from.read_exact(&mut size)).await?.map_err(peer)?;
    Ok((from, u64::from_le_bytes(size)))
}

/// Sends a request of this kind; returns the stream with the answer.
pub(super) async fn request(connection: &Connection, kind: u8, request: &impl Serialize) -> Result<RecvStream, NetError> {
    let (mut to, from) = in_time(connection.open_bi()).await?.map_err(peer)?;
    let request = postcard::to_extend(request, vec![kind]).map_err(local)?;
    in_time(to.write_all(&request)).await?.map_err(peer)?;
    to.finish().map_err(peer)?;
    Ok(from)
}

/// Awaits a step of a transfer, but no longer than [`STALL`].
pub(super) async fn in_time<T>(next: impl Future<Output = T>) -> Result<T, NetError> {
    let silent = |_| NetError::Peer(format!("no data for {} s", STALL.as_secs()));
    tokio::time::timeout(STALL, next).await.map_err(silent)
}
