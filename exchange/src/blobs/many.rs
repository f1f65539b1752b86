//! Many small files from one peer, over one connection, some at the same time: each is held in memory until it is whole and right.

use std::{io::Write as _, ops::ControlFlow, path::PathBuf};

use bao_tree::io::{BaoContentItem, sync::DecodeResponseIter};
use iroh::{Endpoint, endpoint::Connection};
use iroh_blobs::{Hash, protocol::ChunkRanges};
use tidegate_protocol::ContentHash;
use tokio::task::JoinSet;

use super::{
    fetch::{ask, connect, in_time, peer},
    local, tree,
};
use crate::{Address, NetError};

/// Most bytes of a small file.
pub const SMALL: u64 = 1 << 20;
/// Files that are under way at the same time.
const AT_ONCE: usize = 16;

/// Fetches files of so many bytes, [`SMALL`] ones, each to its own place, where it appears whole; `progress` is told the number of each that is there, and
/// may stop it. What is there when it fails stays.
///
/// # Errors
/// [`NetError`] of the first that failed; [`NetError::Stopped`] where `progress` said so.
pub async fn fetch_small(
    endpoint: &Endpoint,
    from: &Address,
    files: &[(ContentHash, u64, PathBuf)],
    progress: &mut (dyn FnMut(usize) -> ControlFlow<()> + Send),
) -> Result<(), NetError> {
    if files.is_empty() {
        return Ok(());
    }
    let connection = connect(endpoint, from).await?;
    let (mut next, mut under_way) = (files.iter().enumerate(), JoinSet::new());
    loop {
        while under_way.len() < AT_ONCE
            && let Some((number, file)) = next.next()
        {
            let (connection, file) = (connection.clone(), file.clone());
            under_way.spawn(async move { one(&connection, file).await.map(|()| number) });
        }
        let Some(ended) = under_way.join_next().await else { return Ok(()) };
        if progress(ended.map_err(local)??).is_break() {
            return Err(NetError::Stopped);
        }
    }
}

async fn one(connection: &Connection, (hash, bytes, target): (ContentHash, u64, PathBuf)) -> Result<(), NetError> {
    let (mut from, size) = ask(connection, Hash::from_bytes(hash.0), ChunkRanges::all()).await?;
    if size != bytes || bytes > SMALL {
        return Err(NetError::Peer(format!("it says that the file has {size} bytes, of {bytes}")));
    }
    let most = bytes + tree::of(bytes).outboard_size();
    let encoded = in_time(from.read_to_end(most as usize)).await?.map_err(peer)?;
    let written = tokio::task::spawn_blocking(move || {
        let data = proven(hash, bytes, &encoded)?;
        let here = |e| local(format!("{}: {e}", target.display()));
        let mut part = super::part().tempfile_in(target.parent().unwrap_or(&target)).map_err(here)?;
        part.write_all(&data).map_err(here)?;
        part.persist(&target).map_err(|e| here(e.error))?;
        Ok(())
    });
    written.await.map_err(local)?
}

/// A whole file out of an answer that has it.
fn proven(hash: ContentHash, bytes: u64, encoded: &[u8]) -> Result<Vec<u8>, NetError> {
    let mut data = Vec::with_capacity(bytes as usize);
    for item in DecodeResponseIter::new(hash.0.into(), tree::of(bytes), encoded, &ChunkRanges::all()) {
        if let BaoContentItem::Leaf(leaf) = item.map_err(peer)? {
            data.extend_from_slice(&leaf.data);
        }
    }
    Ok(data)
}
