//! Many small files from one peer, over one connection, as many together as make a request worth its while: each is held in memory until it is whole and
//! right.

use std::{io::Write as _, ops::ControlFlow, path::PathBuf, sync::Arc};

use bytes::{Bytes, BytesMut};
use iroh::{Endpoint, endpoint::Connection};
use iroh_blobs::{
    Hash,
    protocol::{ChunkRangesSeq, GetManyRequest},
};
use tidegate_protocol::ContentHash;
use tokio::{sync::Mutex, task::JoinSet};

use super::{
    fetch::{connect, fill, request},
    local, wire,
};
use crate::{Address, NetError};

/// Most bytes of a small file, and of those that are asked for together.
pub const SMALL: u64 = 1 << 20;
/// Most files that are asked for together: a peer takes no more of them in one request.
const TOGETHER: usize = wire::RANGES;
/// Requests that are under way at the same time.
const AT_ONCE: usize = 4;

/// A file, how many bytes it has, and where it goes.
type Wanted = (ContentHash, u64, PathBuf);

/// Fetches files of so many bytes, [`SMALL`] ones, each to its own place, where it appears whole; `progress` is told the number of each that is there, and
/// may stop it. What is there when it fails stays.
///
/// # Errors
/// [`NetError`] of the first that failed; [`NetError::Stopped`] where `progress` said so.
pub async fn fetch_small(
    endpoint: &Endpoint,
    from: &Address,
    files: &[Wanted],
    progress: &mut (dyn FnMut(usize) -> ControlFlow<()> + Send),
) -> Result<(), NetError> {
    if files.is_empty() {
        return Ok(());
    }
    let connection = connect(endpoint, from).await?;
    let (mut at, mut under_way, writing) = (0, JoinSet::new(), Arc::new(Mutex::new(())));
    loop {
        while under_way.len() < AT_ONCE && at < files.len() {
            let (connection, some, first) = (connection.clone(), together(&files[at..]).to_vec(), at);
            let writing = writing.clone();
            at += some.len();
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

/// As many of the first as are asked for together: one, whatever its size.
fn together(files: &[Wanted]) -> &[Wanted] {
    let mut bytes = 0_u64;
    let fit = files.iter().take(TOGETHER).take_while(|(_, more, _)| {
        bytes = bytes.saturating_add(*more);
        bytes <= SMALL
    });
    &files[..fit.count().max(1)]
}

/// Fetches files by one request; where one is not right, says how many before it are there.
async fn several(connection: &Connection, files: Vec<Wanted>, writing: &Mutex<()>) -> Result<(), (usize, NetError)> {
    let encoded = answer(connection, &files).await.map_err(|e| (0, e))?;
    // A folder takes one new file at a time: others that have some would only keep processors busy.
    let _one = writing.lock().await;
    let written = tokio::task::spawn_blocking(move || {
        let mut encoded = &encoded[..];
        files.iter().enumerate().try_for_each(|(number, file)| put(file, &mut encoded).map_err(|e| (number, e)))
    });
    written.await.map_err(|e| (0, local(e)))?
}

/// All that a peer sends of them.
async fn answer(connection: &Connection, files: &[Wanted]) -> Result<Bytes, NetError> {
    if let Some((_, bytes, _)) = files.iter().find(|(_, bytes, _)| *bytes > SMALL) {
        return Err(local(format!("a file of {bytes} bytes is no small one")));
    }
    let most: u64 = files.iter().map(|(_, bytes, _)| wire::sent(*bytes)).sum();
    let hashes = files.iter().map(|(hash, ..)| Hash::from_bytes(hash.0)).collect();
    let mut from = request(connection, wire::GET_MANY, &GetManyRequest { hashes, ranges: ChunkRangesSeq::all() }).await?;
    let mut encoded = BytesMut::with_capacity(most as usize + 1);
    fill(&mut from, &mut encoded).await?;
    if encoded.len() as u64 != most {
        return Err(NetError::Peer(format!("it sends {} bytes of what has {most}, or more", encoded.len())));
    }
    Ok(encoded.freeze())
}

/// Takes a file from an answer, and has it appear whole.
fn put((hash, bytes, target): &Wanted, encoded: &mut &[u8]) -> Result<(), NetError> {
    let data = wire::unpacked(hash, *bytes, encoded)?;
    let here = |e| local(format!("{}: {e}", target.display()));
    let mut part = super::part().tempfile_in(target.parent().unwrap_or(target)).map_err(here)?;
    part.write_all(&data).map_err(here)?;
    part.persist(target).map_err(|e| here(e.error))?;
    Ok(())
}
