//! Fetching many small files from a peer, batched into requests: each file is held in memory until complete and verified.

use std::{collections::VecDeque, ops::ControlFlow, path::PathBuf, sync::Arc};

use bytes::Bytes;
use iroh::{Endpoint, endpoint::Connection};
use iroh_blobs::{
    Hash,
    protocol::{ChunkRangesSeq, GetManyRequest},
};
use tidegate_protocol::ContentHash;
use tokio::{sync::Mutex, task::JoinSet};

use super::{
    fetch::{connect, in_time, request},
    place,
    several::LANES,
    wire,
};
use crate::{
    Address,
    error::{NetError, local, peer},
    room::Coming,
};

/// Maximum size of a small file, and of a batch, in bytes.
pub const SMALL: u64 = 1 << 20;
/// Maximum number of files per batch: a peer takes no more of them in a request.
const TOGETHER: usize = wire::RANGES;
/// Number of concurrent requests per connection.
const AT_ONCE: usize = 4;

/// File, its size in bytes, and its target.
type Wanted = (ContentHash, u64, PathBuf);

/// Fetches [`SMALL`] files of known sizes, each to its own target, where the file appears whole.
///
/// `progress` is told the number of each finished file, and may stop the transfer. Finished files stay even after a failure.
///
/// # Errors
/// Returns the first [`NetError`], or [`NetError::Stopped`] if `progress` said so.
pub async fn fetch_small(
    endpoint: &Endpoint,
    from: &Address,
    files: &[Wanted],
    progress: &mut (dyn FnMut(usize) -> ControlFlow<()> + Send),
) -> Result<(), NetError> {
    let (mut batches, mut connections) = (batches(files), vec![]);
    for _ in 0..batches.len().min(LANES) {
        connections.push(connect(endpoint, from).await?);
    }
    let (mut lanes, mut under_way, writing) = (connections.iter().cycle(), JoinSet::new(), Arc::new(Mutex::new(())));
    loop {
        while under_way.len() < AT_ONCE * LANES
            && let Some((first, some)) = batches.pop_front()
            && let Some(connection) = lanes.next().cloned()
        {
            let (some, writing) = (some.to_vec(), writing.clone());
            under_way.spawn(async move { (first, some.len(), several(&connection, some, &writing).await) });
        }
        let Some(ended) = under_way.join_next().await else { return Ok(()) };
        let (first, count, failed) = ended.map_err(local)?;
        let whole = failed.as_ref().map_or_else(|(whole, _)| *whole, |()| count);
        if (first..first + whole).any(|number| progress(number).is_break()) {
            return Err(NetError::Stopped);
        }
        failed.map_err(|(_, e)| e)?;
    }
}

/// Splits the files into batches, each with the number of its first file: at least a file each, whatever its size.
fn batches(files: &[Wanted]) -> VecDeque<(usize, &[Wanted])> {
    let (mut at, mut all) = (0, VecDeque::new());
    while at < files.len() {
        let mut bytes = 0_u64;
        let fit = files[at..].iter().take(TOGETHER).take_while(|(_, more, _)| {
            bytes = bytes.saturating_add(*more);
            bytes <= SMALL
        });
        let end = at + fit.count().max(1);
        all.push_back((at, &files[at..end]));
        at = end;
    }
    all
}

/// Fetches files by a single request; on failure also returns how many files before it are there.
async fn several(connection: &Connection, files: Vec<Wanted>, writing: &Mutex<()>) -> Result<(), (usize, NetError)> {
    let encoded = answer(connection, &files).await.map_err(|e| (0, e))?;
    // A folder takes one new file at a time: writing in parallel would only keep processors busy.
    let _one = writing.lock().await;
    let written = tokio::task::spawn_blocking(move || {
        let mut encoded = &encoded[..];
        files.iter().enumerate().try_for_each(|(number, file)| put(file, &mut encoded).map_err(|e| (number, e)))
    });
    written.await.map_err(|e| (0, local(e)))?
}

/// Receives a peer's whole answer.
async fn answer(connection: &Connection, files: &[Wanted]) -> Result<Bytes, NetError> {
    if let Some((_, bytes, _)) = files.iter().find(|(_, bytes, _)| *bytes > SMALL) {
        return Err(local(format!("a file of {bytes} bytes is too large for this transfer")));
    }
    let most: u64 = files.iter().map(|(_, bytes, _)| wire::sent(*bytes)).sum();
    let hashes = files.iter().map(|(hash, ..)| Hash::from_bytes(hash.0)).collect();
    let mut from = request(connection, wire::GET_MANY, &GetManyRequest { hashes, ranges: ChunkRangesSeq::all() }).await?;
    let mut coming = Coming::asked_for(usize::try_from(most).unwrap_or(usize::MAX));
    while let Some(piece) = in_time(from.read_chunk(SMALL as usize)).await?.map_err(peer)? {
        coming.push(&piece)?;
    }
    let encoded = coming.done();
    if encoded.len() as u64 != most {
        return Err(NetError::Peer(format!("it sends {} bytes of {most}", encoded.len())));
    }
    Ok(encoded.into())
}

/// Takes a file from an answer and writes the whole file to its target, atomically.
fn put((hash, bytes, target): &Wanted, encoded: &mut &[u8]) -> Result<(), NetError> {
    let data = wire::unpacked(hash, *bytes, encoded)?;
    place::appear(target, &data).map_err(|e| local(format!("{}: {e}", target.display())))
}
