//! The job protocol: one request and one reply a stream, length-prefixed JSON, an attachment as raw bytes after the request.

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
    shares::{Share, Shares},
};

/// How long a peer may take to send a whole request.
const REQUEST_TIME: Duration = Duration::from_secs(60);
/// How long a connection is kept on which nothing is asked.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// Why a connection is closed: QUIC's application error codes.
const TOO_MANY: u32 = 2;
const IDLE: u32 = 3;

/// Answers requests. Implemented by `node`.
pub trait Handler: Send + Sync + std::fmt::Debug + 'static {
    /// Whether `peer` may send the attachment that `request` announces: asked before a byte of it is read, so that a stranger cannot make
    /// this node hold it.
    ///
    /// # Errors
    /// The refusal that is sent instead.
    fn expects(&self, peer: PeerId, request: &Request) -> Result<(), Refusal>;

    /// Whether `peer`, who was allowed these files, is sent these parts of them: asked before a byte is. Nobody is, unless this says otherwise.
    fn fetching<'a>(
        &'a self,
        _peer: PeerId,
        _parts: Vec<(ContentHash, Vec<ByteRange>)>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(std::future::ready(false))
    }

    /// Answers `request` of `peer`, whose key the connection has proven. `gone` is cancelled when the peer hangs up: it is for the handler to say
    /// whether what it does is still of use.
    fn handle<'a>(
        &'a self,
        peer: PeerId,
        request: Request,
        attachment: Vec<u8>,
        gone: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>>;
}

/// The protocol as iroh's router takes it.
#[derive(Debug, Clone)]
pub struct JobProtocol {
    handler: Arc<dyn Handler>,
    /// Attachments that may lie in memory at the same time.
    attachments: Arc<Shares>,
    /// Connections that may be open at the same time.
    connections: Arc<Shares>,
}

impl JobProtocol {
    /// Over `handler`.
    pub fn new(handler: Arc<dyn Handler>) -> Self {
        let attachments = Shares::new(limits::ATTACHMENTS, limits::ATTACHMENTS.div_ceil(2));
        Self { handler, attachments, connections: Shares::new(limits::CONNECTIONS, limits::CONNECTIONS_PER_PEER) }
    }
}

impl ProtocolHandler for JobProtocol {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        let Some(peer) = peer_of(connection.remote_id()) else { return Ok(()) };
        let Some(_share) = self.connections.take(peer) else {
            connection.close(TOO_MANY.into(), b"too many connections");
            return Ok(());
        };
        let asked = Arc::new(());
        loop {
            let (send, recv) = match tokio::time::timeout(IDLE_TIME, connection.accept_bi()).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(_)) => return Ok(()),
                // Jobs may run for long.
                Err(_) if Arc::strong_count(&asked) > 1 => continue,
                Err(_) => {
                    connection.close(IDLE.into(), b"idle");
                    return Ok(());
                }
            };
            let (protocol, connection, asked) = (self.clone(), connection.clone(), asked.clone());
            // A job that is paid for goes on when its buyer hangs up: the result waits under the request id.
            tokio::spawn(async move {
                let _asked = asked;
                if let Err(e) = protocol.answer(peer, &connection, send, recv).await {
                    tracing::debug!(%peer, "request broke off: {e}");
                }
            });
        }
    }
}

impl JobProtocol {
    async fn answer(
        &self,
        peer: PeerId,
        connection: &Connection,
        mut send: SendStream,
        mut recv: RecvStream,
    ) -> Result<(), NetError> {
        // Held until the request is answered.
        let mut held: Option<Share> = None;
        let read = tokio::time::timeout(REQUEST_TIME, async {
            let frame = read_frame(&mut recv, limits::REQUEST_BYTES).await?;
            let request: Request = match serde_json::from_slice(&frame) {
                Ok(request) => request,
                Err(e) => return Ok(Err(Refusal::new(Code::BadRequest, format!("not a request: {e}")))),
            };
            let attachment = match &request {
                Request::Submit { attachment_bytes, .. } if *attachment_bytes as usize > limits::PROGRAM_BYTES => {
                    let message = format!("the program has more than {} bytes", limits::PROGRAM_BYTES);
                    return Ok(Err(Refusal::new(Code::BadRequest, message)));
                }
                Request::Submit { attachment_bytes: 0, .. } => Vec::new(),
                Request::Submit { attachment_bytes, .. } => {
                    if let Err(refusal) = self.handler.expects(peer, &request) {
                        return Ok(Err(refusal));
                    }
                    held = self.attachments.take(peer);
                    if held.is_none() {
                        let message = format!("{} programs are here already, or half as many of yours", limits::ATTACHMENTS);
                        return Ok(Err(Refusal::new(Code::Busy, message).fix("Send the same job again in a while")));
                    }
                    read_exact(&mut recv, *attachment_bytes as usize).await?
                }
                _ => Vec::new(),
            };
            Ok::<_, NetError>(Ok((request, attachment)))
        });
        let reply = match read.await.map_err(|_| NetError::Peer("the request took too long".into()))?? {
            Ok((request, attachment)) => {
                let gone = CancellationToken::new();
                let mut handling = self.handler.handle(peer, request, attachment, gone.clone());
                tokio::select! {
                    reply = &mut handling => reply,
                    _ = connection.closed() => {
                        gone.cancel();
                        handling.await
                    }
                }
            }
            Err(refusal) => {
                // The peer may still be sending: it stops, and reads why.
                let _ = recv.stop(0u32.into());
                Reply::Refused(refusal)
            }
        };
        drop(held);
        let bytes = serde_json::to_vec(&reply).map_err(|e| NetError::Local(e.to_string()))?;
        write_frame(&mut send, &bytes).await?;
        send.finish().map_err(|e| NetError::Peer(e.to_string()))?;
        // Wait until the peer has it, so that closing does not cut it off.
        let _ = send.stopped().await;
        Ok(())
    }
}

/// Sends one request to a peer and waits for the reply.
///
/// # Errors
/// [`NetError`].
pub async fn ask(endpoint: &Endpoint, to: &Address, request: &Request, attachment: &[u8]) -> Result<Reply, NetError> {
    let unreachable = |why: String| NetError::Unreachable { peer: to.to_string(), why };
    let connecting = endpoint.connect(to.endpoint_addr()?, ALPN);
    let connection = tokio::time::timeout(Duration::from_secs(15), connecting)
        .await
        .map_err(|_| unreachable("no answer within 15 s".into()))?
        .map_err(|e| unreachable(e.to_string()))?;
    let peer = |e: &dyn std::fmt::Display| NetError::Peer(e.to_string());
    let (mut send, mut recv) = connection.open_bi().await.map_err(|e| peer(&e))?;
    let bytes = serde_json::to_vec(request).map_err(|e| NetError::Local(e.to_string()))?;
    write_frame(&mut send, &bytes).await?;
    // A peer that wants no attachment stops it in the middle, and says why.
    let sent = send.write_all(attachment).await.map_err(|e| peer(&e));
    if sent.is_ok() {
        send.finish().map_err(|e| peer(&e))?;
    }
    let frame = match (read_frame(&mut recv, limits::FRAME_BYTES).await, sent) {
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

async fn read_frame(recv: &mut RecvStream, most: usize) -> Result<Vec<u8>, NetError> {
    let mut length = [0; 4];
    recv.read_exact(&mut length).await.map_err(|e| NetError::Peer(e.to_string()))?;
    let length = u32::from_be_bytes(length) as usize;
    if length > most {
        return Err(NetError::Peer(format!("a frame of {length} bytes is over the limit")));
    }
    read_exact(recv, length).await
}

/// Reads in pieces, so that a peer cannot make us allocate more than it sends.
async fn read_exact(recv: &mut RecvStream, length: usize) -> Result<Vec<u8>, NetError> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let start = bytes.len();
        bytes.resize(length.min(start + (1 << 20)), 0);
        recv.read_exact(&mut bytes[start..]).await.map_err(|e| NetError::Peer(e.to_string()))?;
    }
    Ok(bytes)
}
