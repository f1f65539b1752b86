//! The job protocol: a request and a reply per stream, length-prefixed JSON, an attachment as raw bytes after the request.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use iroh::{
    Endpoint,
    endpoint::{Connection, RecvStream, SendStream},
    protocol::{AcceptError, ProtocolHandler},
};
use tidegate_protocol::{
    Code, ContentHash, PeerId, Refusal,
    frame::{ALPN, Reply, Request},
    limits,
};

use tokio_util::sync::CancellationToken;

use crate::{
    Address, NetError,
    address::peer_of,
    blobs::ByteRange,
    host::Host,
    places::Place,
    room::{Coming, Taken},
    shares::Share,
};

/// Time for a peer to send a whole request.
const REQUEST_TIME: Duration = Duration::from_secs(60);
/// Time for which an idle connection is kept.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// Time for a peer to take a reply, plus a second per [`BYTES_A_SECOND`] bytes.
const STALL: Duration = Duration::from_secs(30);
const BYTES_A_SECOND: usize = 32 << 10;
/// QUIC application error code for closing an idle connection.
const IDLE: u32 = 3;

/// Answers requests. Implemented by `node`.
pub trait Handler: Send + Sync + std::fmt::Debug + 'static {
    /// Checks whether `peer` may send the attachment announced in `request`.
    ///
    /// Called before a byte of the attachment is read, so that a stranger cannot make this node hold it.
    ///
    /// # Errors
    /// Returns the refusal to send instead.
    fn expects(&self, peer: PeerId, request: &Request) -> Result<(), Refusal>;

    /// Returns whether `request` shows `peer` to hold a grant of something here, and so to be no stranger.
    ///
    /// Called before anything else is done for the peer; strangers have a small part of this node's places and memory. By
    /// default, everybody is a stranger.
    fn knows(&self, _peer: PeerId, _request: &Request) -> bool {
        false
    }

    /// Returns a guard held from reading a request until its reply is taken, or given up: ending a node waits for these.
    fn replying(&self) -> Option<Box<dyn std::any::Any + Send>> {
        None
    }

    /// Decides whether `peer`, which was allowed these files, is sent these parts of them.
    ///
    /// Called before a byte is sent. By default, nobody is.
    fn fetching<'a>(
        &'a self,
        _peer: PeerId,
        _parts: Vec<(ContentHash, Vec<ByteRange>)>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(std::future::ready(false))
    }

    /// Answers `request` of `peer`, whose key the connection has proven.
    ///
    /// `gone` is cancelled when the peer hangs up: the handler decides whether its work is still of use.
    fn handle<'a>(
        &'a self,
        peer: PeerId,
        request: Request,
        attachment: Vec<u8>,
        gone: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>>;
}

/// Protocol handler for iroh's router.
#[derive(Debug, Clone)]
pub(crate) struct JobProtocol {
    handler: Arc<dyn Handler>,
    host: Host,
}

impl JobProtocol {
    pub(crate) fn new(handler: Arc<dyn Handler>, host: Host) -> Self {
        Self { handler, host }
    }
}

impl ProtocolHandler for JobProtocol {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        let Some(peer) = peer_of(connection.remote_id()) else { return Ok(()) };
        let Some(place) = self.host.connections.take(peer, connection.clone()) else { return Ok(()) };
        let place = Arc::new(place);
        loop {
            let next = async {
                loop {
                    tokio::select! {
                        both = connection.accept_bi() => return both,
                        // Nobody reads these streams: their data must not pile up here.
                        one = connection.accept_uni() => drop(one?.stop(0u32.into())),
                    }
                }
            };
            let (send, recv) = match tokio::time::timeout(IDLE_TIME, next).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(_)) => return Ok(()),
                // Jobs may run for a long time.
                Err(_) if Arc::strong_count(&place) > 1 => continue,
                Err(_) => {
                    connection.close(IDLE.into(), b"idle");
                    return Ok(());
                }
            };
            let told = CancellationToken::new();
            let Some(mine) = self.host.requests.take(peer, told.clone()) else { continue };
            let (protocol, connection, place) = (self.clone(), connection.clone(), place.clone());
            // A paid job continues when its buyer hangs up: the result waits under the request id.
            tokio::spawn(async move {
                if let Err(e) = protocol.answer(peer, (&connection, &place), (&mine, &told), send, recv).await {
                    tracing::debug!(%peer, "request failed: {e}");
                }
            });
        }
    }
}

/// A request with its attachment, and the share held until the answer.
struct Asked {
    request: Request,
    attachment: Vec<u8>,
    _held: Option<Share>,
}

fn busy(why: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::Busy, why.to_string()).fix("Try again later")
}

impl JobProtocol {
    async fn answer(
        &self,
        peer: PeerId,
        (connection, place): (&Connection, &Place),
        (mine, told): (&Place<CancellationToken>, &CancellationToken),
        mut send: SendStream,
        mut recv: RecvStream,
    ) -> Result<(), NetError> {
        // Held until the request is answered.
        let mut taken = self.host.coming.of(peer);
        let read = tokio::time::timeout(REQUEST_TIME, self.read(peer, connection, &mut recv, &mut taken));
        let read = tokio::select! {
            read = read => read.map_err(|_| NetError::Peer("the request took too long".into()))??,
            () = told.cancelled() => return Err(NetError::Peer("closed as the most idle connection, because other peers wait".into())),
        };
        // Further data is not part of any request.
        let _ = recv.stop(0u32.into());
        place.stirs();
        mine.stirs();
        let _replying = self.handler.replying();
        // A stranger's turn lasts until there is memory for its reply: no more unsent replies exist than are answered at a time.
        let turn = match &read {
            Ok(_) if !self.host.knows(&peer) => {
                tokio::select! { turn = self.host.turn() => Some(turn), () = told.cancelled() => Some(None) }
            }
            _ => None,
        };
        let bytes = match (read, &turn) {
            (Err(refusal), _) => written(&Reply::Refused(refusal))?,
            (Ok(_), Some(None)) => written(&Reply::Refused(busy("the limit of requests from peers without a grant is reached")))?,
            (Ok(asked), _) => self.reply(peer, connection, asked).await?,
        };
        drop(taken);
        let (bytes, _room) = match self.host.reply(peer, bytes.len()).await {
            Ok(room) => (bytes, Some(room)),
            Err(full) => (written(&Reply::Refused(busy(full)))?, None),
        };
        drop(turn);
        let told = CancellationToken::new();
        let Some(_sent) = self.host.replies.take(peer, told.clone()) else {
            return Err(NetError::Peer("it reads too many replies at a time".into()));
        };
        let time = STALL + Duration::from_secs((bytes.len() / BYTES_A_SECOND) as u64);
        let sending = async {
            write_frame(&mut send, &bytes).await?;
            send.finish().map_err(|e| NetError::Peer(e.to_string()))?;
            // Wait until the peer has the reply, so that closing does not cut it off.
            let _ = send.stopped().await;
            Ok(())
        };
        let sent = tokio::select! {
            sent = tokio::time::timeout(time, sending) => sent.ok(),
            () = told.cancelled() => None,
        };
        sent.unwrap_or_else(|| {
            // Nothing is kept for a peer that takes nothing.
            let _ = send.reset(IDLE.into());
            Err(NetError::Peer("the peer did not read the reply".into()))
        })
    }

    /// Reads a request, checking the peer's status before doing anything for the peer.
    async fn read(
        &self,
        peer: PeerId,
        connection: &Connection,
        recv: &mut RecvStream,
        taken: &mut Taken,
    ) -> Result<Result<Asked, Refusal>, NetError> {
        let frame = read_frame(recv, Coming::counted(limits::REQUEST_BYTES, taken)).await?;
        let request: Request = match serde_json::from_slice(&frame) {
            Ok(request) => request,
            Err(e) => return Ok(Err(Refusal::new(Code::BadRequest, format!("not a request: {e}")))),
        };
        drop(frame);
        let bytes = if let Request::Submit { attachment_bytes, .. } = request { attachment_bytes } else { 0 };
        if bytes > limits::PROGRAM_BYTES as u64 {
            let message = format!("the program has more than {} bytes", limits::PROGRAM_BYTES);
            return Ok(Err(Refusal::new(Code::BadRequest, message)));
        }
        let mut asked = Asked { request, attachment: Vec::new(), _held: None };
        if bytes > 0
            && let Err(refusal) = self.handler.expects(peer, &asked.request)
        {
            return Ok(Err(refusal));
        }
        // A peer that may send an attachment has shown more than a grant.
        if self.host.knows(&peer) || bytes > 0 || self.handler.knows(peer, &asked.request) {
            self.host.meets(peer, connection);
            taken.is_known();
        }
        if bytes > 0 {
            asked._held = self.host.attachments.take(peer);
            if asked._held.is_none() {
                let message = format!("{} programs are waiting here, or half as many of yours", limits::ATTACHMENTS);
                return Ok(Err(Refusal::new(Code::Busy, message).fix("Send the same job again later")));
            }
            let mut coming = Coming::counted(limits::PROGRAM_BYTES, taken);
            coming.read(recv, bytes as usize).await?;
            asked.attachment = coming.done();
        }
        Ok(Ok(asked))
    }

    /// Handles a request and returns the reply as bytes.
    async fn reply(&self, peer: PeerId, connection: &Connection, asked: Asked) -> Result<Vec<u8>, NetError> {
        let gone = CancellationToken::new();
        let Asked { request, attachment, _held } = asked;
        let mut handling = self.handler.handle(peer, request, attachment, gone.clone());
        let reply = tokio::select! {
            reply = &mut handling => reply,
            _ = connection.closed() => {
                gone.cancel();
                handling.await
            }
        };
        written(&reply)
    }
}

fn written(reply: &Reply) -> Result<Vec<u8>, NetError> {
    serde_json::to_vec(reply).map_err(|e| NetError::Local(e.to_string()))
}

/// Sends a request to a peer and waits for the reply.
///
/// # Errors
/// Returns [`NetError`] if the peer cannot be reached, breaks off or does not send a reply.
pub async fn ask(endpoint: &Endpoint, to: &Address, request: &Request, attachment: &[u8]) -> Result<Reply, NetError> {
    let unreachable = |why: String| NetError::Unreachable { peer: to.to_string(), why };
    let connecting = endpoint.connect(to.endpoint_addr()?, ALPN);
    let connection = tokio::time::timeout(Duration::from_secs(15), connecting)
        .await
        .map_err(|_| unreachable("no answer within 15 s".into()))?
        .map_err(|e| unreachable(e.to_string()))?;
    connection.set_receive_window(limits::KNOWN_WINDOW_BYTES.into());
    let peer = |e: &dyn std::fmt::Display| NetError::Peer(e.to_string());
    let (mut send, mut recv) = connection.open_bi().await.map_err(|e| peer(&e))?;
    let bytes = serde_json::to_vec(request).map_err(|e| NetError::Local(e.to_string()))?;
    write_frame(&mut send, &bytes).await?;
    // A peer that wants no attachment stops it midway, and says why.
    let sent = send.write_all(attachment).await.map_err(|e| peer(&e));
    if sent.is_ok() {
        send.finish().map_err(|e| peer(&e))?;
    }
    let frame = match (read_frame(&mut recv, Coming::asked_for(limits::FRAME_BYTES)).await, sent) {
        (Err(_), Err(e)) => return Err(e),
        (frame, _) => frame?,
    };
    connection.close(0u32.into(), b"done");
    serde_json::from_slice(&frame).map_err(|e| NetError::Peer(format!("not a reply: {e}")))
}

async fn write_frame(send: &mut SendStream, bytes: &[u8]) -> Result<(), NetError> {
    let length = u32::try_from(bytes.len()).ok().filter(|n| *n as usize <= limits::FRAME_BYTES);
    let length = length.ok_or_else(|| NetError::Local(format!("a frame of {} bytes is too long to send", bytes.len())))?;
    send.write_all(&length.to_be_bytes()).await.map_err(|e| NetError::Peer(e.to_string()))?;
    send.write_all(bytes).await.map_err(|e| NetError::Peer(e.to_string()))
}

async fn read_frame(recv: &mut RecvStream, mut coming: Coming<'_>) -> Result<Vec<u8>, NetError> {
    let mut length = [0; 4];
    recv.read_exact(&mut length).await.map_err(|e| NetError::Peer(e.to_string()))?;
    coming.read(recv, u32::from_be_bytes(length) as usize).await?;
    Ok(coming.done())
}
