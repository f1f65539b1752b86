//! Sending requested parts of files, read ahead and proven while the network takes the ready ones.

use std::{
    fs::File,
    io::{self, IoSliceMut},
    os::unix::fs::FileExt as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bao_tree::{
    ChunkRanges,
    io::{EncodeError, mixed::ReadBytesAt},
};
use bytes::Bytes;
use iroh::endpoint::{SendStream, WriteError};
use rustix::io::{ReadWriteFlags, preadv2};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::mpsc,
    task::JoinError,
};

use super::{kept::Kept, outgoing::Outgoing, prove::prove};

/// Maximum number of bytes read ahead at a time.
const PIECE: usize = 128 << 10;
/// Maximum number of pieces waiting for the network.
const WAITING: usize = 4;

/// Reason why a part was not sent.
pub(super) enum Unsent {
    /// The peer is gone, or was cut off.
    Peer(WriteError),
    /// The peer took nothing for too long.
    Stalled,
    /// The file has changed, or cannot be read.
    Here(Arc<Kept>, EncodeError),
    /// This node is going down.
    Ended(JoinError),
}

/// Sends parts of files in order; gives up on a peer taking nothing for the time `stall`, if given.
pub(super) async fn send(
    parts: Vec<(Arc<Kept>, ChunkRanges)>,
    to: &mut SendStream,
    stall: Option<Duration>,
) -> Result<(), Unsent> {
    let (pieces, mut queue) = mpsc::channel(WAITING);
    // Reading and hashing continue while the network takes the ready pieces.
    let proving = tokio::spawn(async move {
        let mut wire = Outgoing::new(pieces);
        for (kept, ranges) in parts {
            match part(&kept, &ranges, &mut wire).await {
                Err(Some(e)) => return Err((kept, e)),
                // The other side knows why nobody takes it.
                Err(None) => return Ok(()),
                Ok(()) => {}
            }
        }
        drop(wire.flush().await);
        Ok(())
    });
    while let Some(mut piece) = queue.recv().await {
        let writing = to.write_all_chunks(&mut piece);
        let written = match stall {
            Some(time) => tokio::time::timeout(time, writing).await.map_err(|_| Unsent::Stalled)?,
            None => writing.await,
        };
        written.map_err(Unsent::Peer)?;
    }
    proving.await.map_err(Unsent::Ended)?.map_err(|(kept, e)| Unsent::Here(kept, e))
}

async fn part(kept: &Kept, ranges: &ChunkRanges, wire: &mut Outgoing) -> Result<(), Option<EncodeError>> {
    let (data, tree) = kept.open().map_err(|e| Some(e.into()))?;
    let ahead = Ahead { size: tree.tree.size(), data, window: Mutex::default() };
    let proven = prove(ahead, tree, ranges, wire).await;
    if let Err(Some(_)) = proven {
        // Correct parts are sent.
        wire.flush().await?;
    }
    proven
}

/// File read in pieces growing with sequential reads.
struct Ahead {
    data: File,
    size: u64,
    window: Mutex<(u64, Bytes)>,
}

impl Ahead {
    fn read(&self, piece: &mut [u8], offset: u64) -> io::Result<()> {
        // Data in memory comes at once.
        let at_once = preadv2(&self.data, &mut [IoSliceMut::new(piece)], offset, ReadWriteFlags::NOWAIT).unwrap_or(0);
        if at_once == piece.len() {
            return Ok(());
        }
        let rest = &mut piece[at_once..];
        let mut read = || self.data.read_exact_at(rest, offset + at_once as u64);
        // Other tasks continue while this one waits for a disk.
        match Handle::try_current().map(|handle| handle.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(read),
            _ => read(),
        }
    }
}

impl ReadBytesAt for Ahead {
    fn read_bytes_at(&self, offset: u64, size: usize) -> io::Result<Bytes> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let (start, bytes) = &*window;
        if let Some(from) = offset.checked_sub(*start)
            && from + size as u64 <= bytes.len() as u64
        {
            return Ok(bytes.slice(from as usize..from as usize + size));
        }
        let follows = start + bytes.len() as u64 == offset;
        let most = if follows { (2 * bytes.len()).min(PIECE) } else { 0 };
        let left = self.size.saturating_sub(offset).try_into().unwrap_or(usize::MAX);
        let mut piece = vec![0; most.min(left).max(size)];
        self.read(&mut piece, offset)?;
        *window = (offset, piece.into());
        Ok(window.1.slice(..size))
    }
}
