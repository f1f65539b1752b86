//! Governed blobs: iroh-blobs serves everybody who knows a hash; here a peer gets the hashes it was allowed, whole blobs only.
//!
//! Rules, each with a test: observe, get-many and push are refused; a get is refused unless this peer was allowed this hash; and only as a
//! single blob, because a blob whose bytes are another's hash would otherwise open that other one as a hash sequence. What a grant allowed ends with it,
//! in the middle of a transfer too.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use futures_lite::StreamExt as _;
use iroh_blobs::{
    BlobFormat, BlobsProtocol, Hash,
    api::blobs::{AddPathOptions, AddProgressItem, ImportMode},
    provider::events::EventSender,
    store::fs::FsStore,
};
use tidegate_protocol::ContentHash;

use crate::{Handler, NetError};

mod access;
mod fetch;
mod guard;
mod several;

pub use access::Access;
pub use fetch::{Progress, fetch};
pub(crate) use guard::Governed;
pub use several::{fetch_from, fetch_ranges};

/// A part of a file, from byte to byte, the last excluded; without an end where everything to the file's end is asked for.
pub type ByteRange = (u64, Option<u64>);

/// The blobs of one node and their guard.
#[derive(Debug)]
pub struct Served {
    store: FsStore,
    protocol: BlobsProtocol,
    access: Access,
    handler: Asked,
}

/// Who is asked before a peer is sent a part of a file: nobody is sent any before there is one.
type Asked = Arc<OnceLock<Arc<dyn Handler>>>;

fn local(e: impl std::fmt::Display) -> NetError {
    NetError::Local(e.to_string())
}

/// An error and what it came of.
fn chain(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut at = e.source();
    while let Some(source) = at {
        let more = source.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        at = source.source();
    }
    text
}

/// Why a transfer failed: this machine's own disk, or the peer, of which `whose` says which.
fn failed(e: &iroh_blobs::get::GetError, whose: &str) -> NetError {
    match e {
        iroh_blobs::get::GetError::LocalFailure { .. } => NetError::Local(format!("what came could not be kept: {}", chain(e))),
        other => NetError::Peer(format!("{whose}{}", chain(other))),
    }
}

impl Served {
    /// Opens the store in `folder`.
    ///
    /// # Errors
    /// [`NetError::Local`].
    pub async fn open(folder: &Path) -> Result<Self, NetError> {
        let store = FsStore::load(folder).await.map_err(local)?;
        let access = Access::default();
        let (events, messages) = EventSender::channel(64, guard::MASK);
        let handler = Asked::default();
        tokio::spawn(guard::guard(messages, access.clone(), handler.clone()));
        let protocol = BlobsProtocol::new(&store, Some(events));
        Ok(Self { store, protocol, access, handler })
    }

    /// Who may fetch what.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Says who is asked, for as long as this is served; the first word counts.
    pub(crate) fn ask(&self, handler: Arc<dyn Handler>) {
        drop(self.handler.set(handler));
    }

    pub(crate) fn governed(&self) -> Governed {
        Governed { protocol: self.protocol.clone(), access: self.access.clone() }
    }

    /// Hashes a file and imports it by reference: no second copy of a large one. `progress` is told the bytes hashed. Returns its hash and
    /// its size in bytes. Nobody may fetch it until [`Access::allow`].
    ///
    /// # Errors
    /// [`NetError::Local`].
    pub async fn import(&self, path: &Path, progress: &mut (dyn FnMut(u64) + Send)) -> Result<(ContentHash, u64), NetError> {
        let failed = |e: &dyn std::fmt::Display| NetError::Local(format!("{}: {e}", path.display()));
        let options = AddPathOptions { path: path.to_owned(), format: BlobFormat::Raw, mode: ImportMode::TryReference };
        let mut items = std::pin::pin!(self.store.blobs().add_path_with_opts(options).stream().await);
        let mut bytes = 0;
        while let Some(item) = items.next().await {
            match item {
                AddProgressItem::Size(size) => bytes = size,
                AddProgressItem::CopyProgress(done) | AddProgressItem::OutboardProgress(done) => progress(done),
                AddProgressItem::CopyDone => {}
                AddProgressItem::Done(tag) => {
                    // Named by its hash: importing it again leaves one tag.
                    let hash = tag.hash();
                    self.store.tags().set(hash.as_bytes(), tag.hash_and_format()).await.map_err(local)?;
                    progress(bytes);
                    return Ok((ContentHash(*hash.as_bytes()), bytes));
                }
                AddProgressItem::Error(e) => return Err(failed(&e)),
            }
        }
        Err(failed(&"the import ended before it was done"))
    }

    /// Makes sure that the store holds a published file: imports it again where the store does not know it.
    ///
    /// # Errors
    /// [`NetError::Local`], also when the file no longer has the hash it was published under.
    pub async fn add(&self, path: &Path, expected: ContentHash) -> Result<(), NetError> {
        if self.store.blobs().has(Hash::from_bytes(expected.0)).await.map_err(local)? {
            return Ok(());
        }
        if self.import(path, &mut |_| {}).await?.0 != expected {
            return Err(NetError::Local(format!("{} has changed since it was published", path.display())));
        }
        Ok(())
    }

    /// Closes the store.
    pub async fn shutdown(&self) {
        let _ = self.store.shutdown().await;
    }
}
