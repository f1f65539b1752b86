//! The other side: a verified copy of what a peer lets this party have.

use std::{ops::ControlFlow, path::Path};

use futures_lite::StreamExt as _;
use iroh::Endpoint;
use iroh_blobs::{
    Hash,
    api::{
        blobs::{ExportMode, ExportOptions},
        remote::GetProgressItem,
    },
    store::fs::FsStore,
};
use tidegate_protocol::ContentHash;

use super::{chain, failed, local};
use crate::{Address, NetError};

/// What a caller says to each report of progress: [`ControlFlow::Break`] stops the transfer in good order, to be resumed later.
pub type Progress<'a> = &'a mut (dyn FnMut(u64) -> ControlFlow<()> + Send);

/// Fetches `hash` from `from` into `target`, verified. What has come stays in `folder` until it is whole, so the next call resumes;
/// `progress` is told the bytes that came in this call. Returns the payload bytes that came.
///
/// # Errors
/// [`NetError`], [`NetError::Stopped`] where `progress` said so; nothing appears at `target` then.
pub async fn fetch(
    endpoint: &Endpoint,
    folder: &Path,
    from: &Address,
    hash: ContentHash,
    target: &Path,
    progress: Progress<'_>,
) -> Result<u64, NetError> {
    let folder = folder.join(hash.to_string());
    let store = FsStore::load(&folder).await.map_err(local)?;
    let came = transfer(endpoint, &store, from, Hash::from_bytes(hash.0), progress).await;
    finish(store, &folder, came, Hash::from_bytes(hash.0), target).await
}

/// Hands on what is whole; what is not is kept for the next call.
pub(super) async fn finish(
    store: FsStore,
    folder: &Path,
    came: Result<u64, NetError>,
    hash: Hash,
    target: &Path,
) -> Result<u64, NetError> {
    let exported = match &came {
        Ok(_) => export(&store, hash, target).await,
        Err(_) => Ok(()),
    };
    // What could not be handed on, the disk being full there, is still here; unless it was moved already.
    let kept = exported.is_err() && store.blobs().export_ranges(hash, 0..1).concatenate().await.is_ok();
    let _ = store.shutdown().await;
    if came.is_ok() && !kept {
        let _ = std::fs::remove_dir_all(folder);
    }
    exported.and(came)
}

async fn transfer(
    endpoint: &Endpoint,
    store: &FsStore,
    from: &Address,
    hash: Hash,
    progress: Progress<'_>,
) -> Result<u64, NetError> {
    let connection = endpoint
        .connect(from.endpoint_addr()?, iroh_blobs::ALPN)
        .await
        .map_err(|e| NetError::Unreachable { peer: from.to_string(), why: e.to_string() })?;
    let mut received = 0;
    {
        let mut items = std::pin::pin!(store.remote().fetch(connection, hash).stream());
        while let Some(item) = items.next().await {
            match item {
                GetProgressItem::Progress(bytes) => {
                    received = bytes;
                    if progress(bytes).is_break() {
                        return Err(NetError::Stopped);
                    }
                }
                GetProgressItem::Done(stats) => received = stats.payload_bytes_read,
                GetProgressItem::Error(e) => return Err(failed(&e, "")),
            }
        }
    }
    if !store.blobs().has(hash).await.map_err(local)? {
        return Err(NetError::Peer("the transfer ended before it was whole".into()));
    }
    Ok(received)
}

/// Moves a file that is whole out of the store to `target`, which appears at once. The store is of no use afterwards.
async fn export(store: &FsStore, hash: Hash, target: &Path) -> Result<(), NetError> {
    let here = |e: &dyn std::error::Error| local(format!("{}: {}", target.display(), chain(e)));
    let parent = target.parent().unwrap_or(target);
    let part = tempfile::Builder::new().prefix(".part-").tempfile_in(parent).map_err(|e| here(&e))?.into_temp_path();
    // By reference: moved where it is the same file system, and copied where not.
    let options = ExportOptions { hash, mode: ExportMode::TryReference, target: part.to_path_buf() };
    store.blobs().export_with_opts(options).finish().await.map_err(|e| here(&e))?;
    part.persist(target).map_err(|e| here(&e.error))
}
