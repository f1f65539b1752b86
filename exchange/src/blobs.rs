//! Governed blobs: iroh-blobs serves everybody who knows a hash; here a peer gets the hashes it was allowed, whole blobs only.
//!
//! Rules, each with a test: observe, get-many and push are refused; a get is refused unless this peer was allowed this hash; and only as a
//! single blob, because a blob whose bytes are another's hash would otherwise open that other one as a hash sequence.

use std::{
    collections::HashMap,
    ops::ControlFlow,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use futures_lite::StreamExt as _;
use iroh::Endpoint;
use iroh_blobs::{
    BlobFormat, BlobsProtocol, Hash,
    api::{
        blobs::{AddPathOptions, AddProgressItem, ExportMode, ExportOptions, ImportMode},
        remote::GetProgressItem,
    },
    protocol::ChunkRangesSeq,
    provider::events::{
        AbortReason, ConnectMode, EventMask, EventSender, ObserveMode, ProviderMessage, RequestMode, ThrottleMode,
    },
    store::fs::FsStore,
};
use tidegate_protocol::{ContentHash, PeerId};

use crate::{Address, Handler, NetError, address::peer_of};

/// Most separate ranges of one request.
const RANGES: usize = 64;
/// Bytes of a BLAKE3 chunk, in which ranges are counted.
const CHUNK: u64 = 1024;

/// A part of a file, from byte to byte, the last excluded; without an end where everything to the file's end is asked for.
pub type ByteRange = (u64, Option<u64>);

/// Who may fetch what, and until when. Empty at first: nobody, nothing.
#[derive(Debug, Clone, Default)]
pub struct Access(Arc<Mutex<HashMap<PeerId, HashMap<ContentHash, Allowed>>>>);

/// A file that a peer may fetch.
#[derive(Debug, Clone, Copy)]
struct Allowed {
    until: Instant,
    /// Anybody may have it: nobody is asked about it.
    free: bool,
}

impl Access {
    /// Lets `peer` begin to fetch `hashes` for so long, or until [`Access::revoke`]. A transfer that has begun goes on.
    pub fn allow(&self, peer: PeerId, hashes: impl IntoIterator<Item = ContentHash>, time: Duration) {
        self.add(peer, hashes, time, false);
    }

    /// As [`Access::allow`], of what anybody may have: [`Handler::fetching`](crate::Handler::fetching) is not asked.
    pub fn allow_freely(&self, peer: PeerId, hashes: impl IntoIterator<Item = ContentHash>, time: Duration) {
        self.add(peer, hashes, time, true);
    }

    fn add(&self, peer: PeerId, hashes: impl IntoIterator<Item = ContentHash>, time: Duration, free: bool) {
        let now = Instant::now();
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Strangers may ask for mock rows: what has run out must not pile up.
        peers.retain(|_, hashes| {
            hashes.retain(|_, allowed| allowed.until > now);
            !hashes.is_empty()
        });
        let allowed = Allowed { until: now + time, free };
        peers.entry(peer).or_default().extend(hashes.into_iter().map(|hash| (hash, allowed)));
    }

    /// Takes everything from everybody: who still may asks again.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Takes everything from `peer`.
    pub fn revoke(&self, peer: &PeerId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(peer);
    }

    fn may(&self, peer: &PeerId, hash: &ContentHash) -> Option<Allowed> {
        let peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        peers.get(peer).and_then(|hashes| hashes.get(hash)).copied().filter(|allowed| allowed.until > Instant::now())
    }
}

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

impl Served {
    /// Opens the store in `folder`.
    ///
    /// # Errors
    /// [`NetError::Local`].
    pub async fn open(folder: &Path) -> Result<Self, NetError> {
        let store = FsStore::load(folder).await.map_err(local)?;
        let access = Access::default();
        let mask = EventMask {
            connected: ConnectMode::Intercept,
            get: RequestMode::Intercept,
            get_many: RequestMode::Disabled,
            push: RequestMode::Disabled,
            observe: ObserveMode::Intercept,
            throttle: ThrottleMode::None,
        };
        let (events, messages) = EventSender::channel(64, mask);
        let handler = Asked::default();
        tokio::spawn(guard(messages, access.clone(), handler.clone()));
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

    pub(crate) fn protocol(&self) -> BlobsProtocol {
        self.protocol.clone()
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

/// The parts that a request for a single blob asks for; `None` where they are too many, or it asks for another thing.
fn byte_ranges(ranges: &ChunkRangesSeq) -> Option<Vec<ByteRange>> {
    let (0, chunks) = ranges.as_single()? else { return None };
    let bytes: Vec<u64> = chunks.boundaries().iter().map(|chunk| chunk.0.saturating_mul(CHUNK)).collect();
    (bytes.len() <= 2 * RANGES).then(|| bytes.chunks(2).map(|pair| (pair[0], pair.get(1).copied())).collect())
}

async fn guard(mut messages: tokio::sync::mpsc::Receiver<ProviderMessage>, access: Access, handler: Asked) {
    let mut peers: HashMap<u64, PeerId> = HashMap::new();
    while let Some(message) = messages.recv().await {
        match message {
            ProviderMessage::ClientConnected(message) => {
                let verdict = match message.inner.endpoint_id.and_then(peer_of) {
                    Some(peer) => {
                        peers.insert(message.inner.connection_id, peer);
                        Ok(())
                    }
                    None => Err(AbortReason::Permission),
                };
                let _ = message.tx.send(verdict).await;
            }
            ProviderMessage::ConnectionClosed(message) => {
                peers.remove(&message.inner.connection_id);
            }
            ProviderMessage::GetRequestReceived(message) => {
                let request = &message.inner.request;
                let hash = ContentHash(*request.hash.as_bytes());
                let peer = peers.get(&message.inner.connection_id).copied();
                let allowed = peer.and_then(|peer| Some((peer, access.may(&peer, &hash)?, byte_ranges(&request.ranges)?)));
                let handler = handler.get().cloned();
                // Others do not wait for what is written down about this one.
                tokio::spawn(async move {
                    let sent = match (allowed, handler) {
                        (Some((_, Allowed { free: true, .. }, _)), _) => true,
                        (Some((peer, _, ranges)), Some(handler)) => handler.fetching(peer, hash, ranges).await,
                        _ => false,
                    };
                    let _ = message.tx.send(if sent { Ok(()) } else { Err(AbortReason::Permission) }).await;
                });
            }
            ProviderMessage::ObserveRequestReceived(message) => {
                let _ = message.tx.send(Err(AbortReason::Permission)).await;
            }
            ProviderMessage::GetManyRequestReceived(message) => {
                let _ = message.tx.send(Err(AbortReason::Permission)).await;
            }
            ProviderMessage::PushRequestReceived(message) => {
                let _ = message.tx.send(Err(AbortReason::Permission)).await;
            }
            ProviderMessage::Throttle(message) => {
                let _ = message.tx.send(Ok(())).await;
            }
            // Notifications, which this mask does not ask for.
            _ => {}
        }
    }
}

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
    let outcome = transfer(endpoint, &store, from, Hash::from_bytes(hash.0), target, progress).await;
    let _ = store.shutdown().await;
    if outcome.is_ok() {
        // The copy at `target` is whole: what was kept for resuming is not needed twice.
        let _ = std::fs::remove_dir_all(&folder);
    }
    outcome
}

async fn transfer(
    endpoint: &Endpoint,
    store: &FsStore,
    from: &Address,
    hash: Hash,
    target: &Path,
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
                GetProgressItem::Error(e) => return Err(NetError::Peer(e.to_string())),
            }
        }
    }
    if !store.blobs().has(hash).await.map_err(local)? {
        return Err(NetError::Peer("the transfer ended before it was whole".into()));
    }
    let options = ExportOptions { hash, mode: ExportMode::Copy, target: target.to_owned() };
    store.blobs().export_with_opts(options).finish().await.map_err(local)?;
    Ok(received)
}
