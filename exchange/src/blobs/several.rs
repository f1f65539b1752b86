//! One file from several peers at the same time: each is asked for other parts, and what one does not have right the others send.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_lite::StreamExt as _;
use iroh::Endpoint;
use iroh_blobs::{
    Hash,
    api::remote::GetProgressItem,
    protocol::{ChunkRanges, ChunkRangesExt as _, GetRequest},
    store::fs::FsStore,
};
use tidegate_protocol::ContentHash;
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    fetch::{Progress, finish},
    local,
};
use crate::{Address, NetError};

/// Smallest part that is asked for, in bytes; of a large file as much as makes [`PARTS`] a peer.
const PART: u64 = 8 << 20;
const PARTS: u64 = 32;
/// How often in a row a peer may fail before it is asked for nothing more.
const FAILURES: u32 = 2;
/// How long one waits that has nothing to ask for while others are under way: theirs may come back.
const WAIT: Duration = Duration::from_millis(20);

/// The parts that nobody was asked for yet, and how many are under way.
#[derive(Debug, Default)]
struct Parts {
    left: VecDeque<(u64, u64)>,
    under_way: usize,
}

type Queue = Arc<Mutex<Parts>>;

fn parts(queue: &Queue) -> std::sync::MutexGuard<'_, Parts> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is lacking of a file of so many bytes, cut for so many peers.
fn lacking(present: &ChunkRanges, bytes: u64, peers: usize) -> VecDeque<(u64, u64)> {
    let all = ChunkRanges::bytes(..bytes.max(1));
    let part = PART.max(bytes / (PARTS * peers.max(1) as u64)).next_multiple_of(PART) / 1024;
    let missing = &all - &(present & &all);
    let bounds = missing.boundaries();
    let runs = bounds.chunks(2).map(|pair| (pair[0].0, pair.get(1).map_or(u64::MAX, |end| end.0)));
    runs.flat_map(|(from, to)| (from..to).step_by(part as usize).map(move |at| (at, to.min(at + part)))).collect()
}

/// Fetches `hash`, a file of so many `bytes`, from whichever of `sources` has it, into `target`, verified. What has come stays in `folder` until it is
/// whole, so the next call resumes; `progress` is told the bytes that came in this call. Returns those.
///
/// # Errors
/// [`NetError`] of the source that failed last, where none has the rest; [`NetError::Stopped`] where `progress` said so. Nothing appears at `target` then.
pub async fn fetch_from(
    endpoint: &Endpoint,
    folder: &Path,
    sources: &[Address],
    (hash, bytes): (ContentHash, u64),
    target: &Path,
    progress: Progress<'_>,
) -> Result<u64, NetError> {
    let folder = folder.join(hash.to_string());
    let store = FsStore::load(&folder).await.map_err(local)?;
    let hash = Hash::from_bytes(hash.0);
    let came = gather(endpoint, &store, sources, (hash, bytes), progress).await;
    finish(store, &folder, came, hash, target).await
}

async fn gather(
    endpoint: &Endpoint,
    store: &FsStore,
    sources: &[Address],
    (hash, bytes): (Hash, u64),
    progress: Progress<'_>,
) -> Result<u64, NetError> {
    if store.blobs().has(hash).await.map_err(local)? {
        return Ok(0);
    }
    let present = store.blobs().observe(hash).await.map_err(local)?.ranges;
    let queue = Queue::new(Mutex::new(Parts { left: lacking(&present, bytes, sources.len()), under_way: 0 }));
    let (told, mut tells) = mpsc::channel(64);
    let mut asking = JoinSet::new();
    for source in sources {
        asking.spawn(ask_for_parts(endpoint.clone(), store.clone(), source.clone(), hash, queue.clone(), told.clone()));
    }
    drop(told);
    let mut came = 0;
    // Ends when nobody is asked for anything more.
    while let Some(bytes) = tells.recv().await {
        came += bytes;
        if progress(came).is_break() {
            return Err(NetError::Stopped);
        }
    }
    let mut failed = NetError::Peer("nobody was asked".into());
    while let Some(ended) = asking.join_next().await {
        if let Err(e) = ended.map_err(local)? {
            tracing::debug!("{e}");
            failed = e;
        }
    }
    if store.blobs().has(hash).await.map_err(local)? { Ok(came) } else { Err(failed) }
}

/// Asks one peer for one part after the other, until none is left or it has failed too often.
async fn ask_for_parts(
    endpoint: Endpoint,
    store: FsStore,
    source: Address,
    hash: Hash,
    queue: Queue,
    told: mpsc::Sender<u64>,
) -> Result<(), NetError> {
    let failed = |why: &dyn std::fmt::Display| NetError::Peer(format!("{source}: {why}"));
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
        let Some((from, to)) = next else {
            tokio::time::sleep(WAIT).await;
            continue;
        };
        let asked = async {
            let connection = match &connection {
                Some(connection) => connection,
                None => connection.insert(
                    endpoint
                        .connect(source.endpoint_addr()?, iroh_blobs::ALPN)
                        .await
                        .map_err(|e| NetError::Unreachable { peer: source.to_string(), why: e.to_string() })?,
                ),
            };
            let ranges = ChunkRanges::chunks(from..to);
            let mut items =
                std::pin::pin!(store.remote().execute_get(connection.clone(), GetRequest::blob_ranges(hash, ranges)).stream());
            let mut came = 0;
            while let Some(item) = items.next().await {
                let (now, done) = match item {
                    GetProgressItem::Progress(bytes) => (bytes, false),
                    GetProgressItem::Done(stats) => (stats.payload_bytes_read, true),
                    GetProgressItem::Error(e) => return Err(failed(&e)),
                };
                let _ = told.send(now.saturating_sub(came)).await;
                came = came.max(now);
                if done {
                    return Ok(());
                }
            }
            Err(failed(&"it broke off"))
        };
        let outcome = asked.await;
        let mut parts = parts(&queue);
        parts.under_way -= 1;
        let Err(e) = outcome else {
            failures = 0;
            continue;
        };
        parts.left.push_front((from, to));
        connection = None;
        failures += 1;
        if failures >= FAILURES {
            return Err(e);
        }
        last = Some(e);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_cut_without_gaps() {
        let chunks = |bytes: u64| bytes.div_ceil(1024);
        for (bytes, peers) in [(0, 1), (1, 2), (PART, 1), (PART + 1, 2), (5 << 30, 3)] {
            let parts = lacking(&ChunkRanges::empty(), bytes, peers);
            assert!(parts.iter().zip(parts.iter().skip(1)).all(|(a, b)| a.1 == b.0), "{bytes}");
            assert_eq!((parts.front().unwrap().0, parts.back().unwrap().1), (0, chunks(bytes.max(1))), "{bytes}");
            assert!(parts.len() as u64 <= PARTS * peers as u64 + 1, "{bytes}: {}", parts.len());
        }
        let present = ChunkRanges::chunks(16..32);
        assert_eq!(lacking(&present, 64 << 10, 1), [(0, 16), (32, 64)]);
        assert_eq!(lacking(&ChunkRanges::all(), 64 << 10, 1), []);
    }
}
