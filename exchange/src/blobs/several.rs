//! Fetching a file, or parts of a file, from several peers over several connections.
//!
//! Each is asked for different parts; parts that one peer does not have right are fetched from the others.

use std::{
    collections::VecDeque,
    ops::ControlFlow,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use iroh::Endpoint;
use iroh_blobs::{
    Hash,
    protocol::{ChunkRanges, ChunkRangesExt as _},
};
use tidegate_protocol::{ContentHash, limits};
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    arriving::{Arriving, Inlet, whole},
    fetch::{Progress, connect, receive},
    ranges::{cut, runs},
};
use crate::{
    Address,
    error::{NetError, local},
};

/// Smallest part of a request, in bytes; of a large file, parts are as large as makes [`PARTS`] per connection.
const PART: u64 = 8 << 20;
/// Number of parts per connection. Each is an entry of the log.
const PARTS: u64 = 8;
/// Number of connections to each peer: with a single connection, processors wait for each other, and little data can be in flight
/// to a distant peer.
pub(super) const LANES: usize = 2;
// A dataset with the maximum number of files must fit within the hourly limit of fetches.
const _: () = assert!((PARTS * LANES as u64 + 1) * limits::FILES as u64 <= limits::FETCHES_PER_HOUR as u64);
/// Number of bytes of a BLAKE3 chunk, the unit of ranges.
const CHUNK: u64 = 1024;
/// Number of bytes passed on at a time.
const PIECE: u64 = 4 << 20;
/// Number of consecutive failures after which a peer is asked for nothing more.
const FAILURES: u32 = 2;
/// Pause before a failed peer is asked again: idle peers come first.
const PAUSE: Duration = Duration::from_millis(200);
/// Pause of an idle connection while others are busy: their parts may come back.
const WAIT: Duration = Duration::from_millis(20);

/// Parts not requested yet, and the number of parts under way.
#[derive(Debug, Default)]
struct Parts {
    left: VecDeque<ChunkRanges>,
    under_way: usize,
}

type Queue = Arc<Mutex<Parts>>;

fn parts(queue: &Queue) -> std::sync::MutexGuard<'_, Parts> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Cuts the missing ranges for this number of connections.
fn parts_of(lacking: &ChunkRanges, connections: usize) -> VecDeque<ChunkRanges> {
    let chunks = runs(lacking).iter().map(|(from, to)| to - from).fold(0, u64::saturating_add);
    let bytes = chunks.saturating_mul(CHUNK);
    cut(lacking, (bytes / (PARTS * connections.max(1) as u64)).max(PART).next_multiple_of(PART) / CHUNK)
}

/// Fetches byte ranges of `hash`, a file of `bytes` bytes, verified, and hands them to `write` with their offsets.
///
/// Otherwise like [`fetch_from`]; received data is kept in `folder` only until all of it is written.
///
/// # Errors
/// As for [`fetch_from`], and any error of `write`.
pub async fn fetch_ranges(
    endpoint: &Endpoint,
    folder: &Path,
    sources: &[Address],
    (hash, bytes): (ContentHash, u64),
    ranges: &[(u64, u64)],
    write: &mut (dyn FnMut(u64, &[u8]) -> std::io::Result<()> + Send),
    progress: Progress<'_>,
) -> Result<u64, NetError> {
    let folder = folder.join(format!("{hash} in part"));
    let hash = Hash::from_bytes(hash.0);
    let arriving = Arriving::open(folder, hash, Some(bytes)).await?;
    let mut wanted = ChunkRanges::empty();
    for (from, to) in ranges {
        wanted |= ChunkRanges::bytes(*from..(*to).min(bytes));
    }
    let came = gather(endpoint, &arriving, sources, hash, &wanted, progress).await;
    let arrived = arriving.close().await;
    let (came, failed) = came?;
    if !arrived.has(&wanted) {
        return Err(failed);
    }
    let mut written = Ok(());
    let mut piece = vec![];
    for (from, to) in ranges {
        let mut at = *from;
        while at < (*to).min(bytes) && written.is_ok() {
            let end = (*to).min(bytes).min(at + PIECE);
            piece.resize((end - at) as usize, 0);
            written = arrived.data().read_exact_at(&mut piece, at).and_then(|()| write(at, &piece)).map_err(local);
            at = end;
        }
    }
    arrived.forget();
    written.map(|()| came)
}

/// Fetches `hash`, a file of `bytes` bytes, from any of `sources`, into `target`, verified.
///
/// Received parts stay in `folder` until the file is complete, so the next call resumes; `progress` is told the bytes received in
/// this call. Returns their number.
///
/// # Errors
/// Returns [`NetError`] of the source that failed last, if none has the rest; [`NetError::Stopped`] if `progress` said so.
/// Nothing appears at `target` then.
pub async fn fetch_from(
    endpoint: &Endpoint,
    folder: &Path,
    sources: &[Address],
    (hash, bytes): (ContentHash, u64),
    target: &Path,
    progress: Progress<'_>,
) -> Result<u64, NetError> {
    let folder = folder.join(hash.to_string());
    let (hash, wanted) = (Hash::from_bytes(hash.0), whole(bytes));
    let arriving = Arriving::open(folder, hash, Some(bytes)).await?;
    let came = gather(endpoint, &arriving, sources, hash, &wanted, progress).await;
    let arrived = arriving.close().await;
    let (came, failed) = came?;
    if !arrived.is_whole() {
        return Err(failed);
    }
    arrived.hand_on(target)?;
    Ok(came)
}

/// Fetches `wanted` as far as anybody sends it; returns the number of bytes received, and the last failure.
async fn gather(
    endpoint: &Endpoint,
    arriving: &Arriving,
    sources: &[Address],
    hash: Hash,
    wanted: &ChunkRanges,
    progress: Progress<'_>,
) -> Result<(u64, NetError), NetError> {
    let mut failed = NetError::Peer("no peer was asked".into());
    let left = parts_of(&arriving.lacking(wanted), LANES * sources.len());
    if left.is_empty() {
        return Ok((0, failed));
    }
    let lanes = if left.len() < LANES * sources.len() { 1 } else { LANES };
    let queue = Queue::new(Mutex::new(Parts { left, under_way: 0 }));
    let (told, mut tells) = mpsc::channel(64);
    let mut asking = JoinSet::new();
    for source in std::iter::repeat_n(sources, lanes).flatten() {
        asking.spawn(ask_for_parts(endpoint.clone(), arriving.inlet(), source.clone(), hash, queue.clone(), told.clone()));
    }
    drop(told);
    let mut came = 0;
    // Ends when nothing more is being requested.
    while let Some(bytes) = tells.recv().await {
        came += bytes;
        if progress(came).is_break() {
            // Data still in their buffers is lost: nobody may write after this returns.
            asking.shutdown().await;
            return Err(NetError::Stopped);
        }
    }
    while let Some(ended) = asking.join_next().await {
        if let Err(e) = ended.map_err(local)? {
            tracing::debug!("{e}");
            failed = e;
        }
    }
    Ok((came, failed))
}

/// Asks a peer over a connection for parts, in turn, until none is left or the peer has failed too often.
async fn ask_for_parts(
    endpoint: Endpoint,
    inlet: Inlet,
    source: Address,
    hash: Hash,
    queue: Queue,
    told: mpsc::Sender<u64>,
) -> Result<(), NetError> {
    let (mut failures, mut last, mut connection) = (0, None, None);
    loop {
        let next = {
            let mut parts = parts(&queue);
            let next = parts.left.pop_front();
            parts.under_way += usize::from(next.is_some());
            if next.is_none() && parts.under_way == 0 {
                return last.map_or(Ok(()), Err);
            }
            next
        };
        let Some(ranges) = next else {
            tokio::time::sleep(WAIT).await;
            continue;
        };
        let asked = async {
            let connection = match &connection {
                Some(connection) => connection,
                None => connection.insert(connect(&endpoint, &source).await?),
            };
            let (mut before, mut untold) = (0, 0);
            let mut report = |bytes| {
                (untold, before) = (untold + bytes - before, bytes);
                // The receiver may be slow: bytes not reported now are reported later.
                if told.try_send(untold).is_ok() {
                    untold = 0;
                }
                ControlFlow::Continue(())
            };
            let received = receive(connection, &inlet, (hash, true), ranges.clone(), &mut report).await;
            let _ = told.send(untold).await;
            received.map_err(|e| match e {
                NetError::Peer(e) => NetError::Peer(format!("{source}: {e}")),
                other => other,
            })
        };
        let outcome = asked.await;
        {
            let mut parts = parts(&queue);
            parts.under_way -= 1;
            if outcome.is_err() {
                parts.left.push_front(ranges);
            }
        }
        let Err(e) = outcome else {
            failures = 0;
            continue;
        };
        connection = None;
        failures += 1;
        if failures >= FAILURES {
            return Err(e);
        }
        last = Some(e);
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(parts: &VecDeque<ChunkRanges>) -> Vec<(u64, u64)> {
        parts.iter().flat_map(runs).collect()
    }

    #[test]
    fn what_is_lacking_is_cut_without_gaps() {
        for (bytes, connections) in [(1, 0), (1, 2), (PART, 1), (PART + 1, 2), (5 << 30, 3)] {
            let parts = parts_of(&ChunkRanges::bytes(..bytes), connections);
            let runs = all(&parts);
            assert!(runs.windows(2).all(|pair| pair[0].1 == pair[1].0), "{bytes}");
            assert_eq!((runs[0].0, runs[runs.len() - 1].1), (0, bytes.div_ceil(CHUNK)), "{bytes}");
            assert!(parts.len() as u64 <= PARTS * connections.max(1) as u64 + 1, "{bytes}: {}", parts.len());
        }
        let some = ChunkRanges::bytes(..64 << 10);
        assert_eq!(all(&parts_of(&(&some - &ChunkRanges::chunks(16..32)), 1)), [(0, 16), (32, 64)]);
        assert!(parts_of(&ChunkRanges::empty(), 1).is_empty());
        assert_eq!(cut(&some, u64::MAX), [some]);
        // Many small ones are asked for together, and no more of them than a peer takes.
        let mut wanted = ChunkRanges::empty();
        (0..100).for_each(|i| wanted |= ChunkRanges::chunks(i * 32..i * 32 + 16));
        let parts = parts_of(&wanted, 1);
        assert_eq!((parts.len(), all(&parts).len()), (4, 100));
    }
}
