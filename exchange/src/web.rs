//! Plain HTTP for others' tools: a log's files from any web server, and C2SP's tlog-witness in both directions
//! (<https://c2sp.org/tlog-witness>).

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use tokio::net::TcpListener;
pub use tokio_util::sync::CancellationToken;

use crate::{NetError, bounded::Bounded, room::Coming};

/// Time for a web server to answer.
const TIME: Duration = Duration::from_secs(30);
/// Maximum number of concurrent connections to a witness.
const CONNECTIONS: usize = 256;
/// Time limit of a connection to a witness.
const CONNECTION_TIME: Duration = Duration::from_secs(60);
/// Maximum body length of an `add-checkpoint` request in bytes.
const BODY_BYTES: usize = 64 << 10;
/// Maximum length in bytes of a witness's answer: a line per cosignature.
const ANSWER_BYTES: usize = 64 << 10;
/// tlog-witness's media type of the size stated by a conflict.
const SIZE_TYPE: &str = "text/x.tlog.size";

/// A witness's answer to `add-checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Cosignature lines, the size stated by a conflict, or the reason of a refusal.
    pub text: String,
}

/// Cosigning service. Implemented by `node`.
pub trait Cosigner: Send + Sync + std::fmt::Debug + 'static {
    /// Answers the body of a request.
    fn add_checkpoint(&self, body: String) -> Pin<Box<dyn Future<Output = Answer> + Send + '_>>;
}

async fn add_checkpoint(State(cosigner): State<Arc<dyn Cosigner>>, body: String) -> Response {
    let Answer { status, text } = cosigner.add_checkpoint(body).await;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = if status == StatusCode::CONFLICT { SIZE_TYPE } else { "text/plain; charset=utf-8" };
    (status, [(header::CONTENT_TYPE, kind)], text).into_response()
}

/// Serves `add-checkpoint` until `stop`.
///
/// # Errors
/// Returns [`NetError::Local`] if serving fails.
pub async fn serve_witness(listener: TcpListener, cosigner: Arc<dyn Cosigner>, stop: CancellationToken) -> Result<(), NetError> {
    let routes = Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(cosigner);
    let listener = Bounded::new(listener, CONNECTIONS, CONNECTION_TIME);
    let serving = axum::serve(listener, routes).with_graceful_shutdown(async move { stop.cancelled().await });
    serving.await.map_err(|e| NetError::Local(e.to_string()))
}

/// Client of web servers.
#[derive(Debug, Clone)]
pub struct Web(reqwest::Client);

impl Web {
    /// Builds a client without redirection, with a time limit for answers.
    ///
    /// # Errors
    /// Returns [`NetError::Local`] if the client cannot be built.
    pub fn new() -> Result<Self, NetError> {
        // An already installed provider is the same: iroh's connections use ring too.
        drop(rustls::crypto::ring::default_provider().install_default());
        let builder = reqwest::Client::builder().timeout(TIME).redirect(reqwest::redirect::Policy::none());
        builder.build().map(Self).map_err(|e| NetError::Local(e.to_string()))
    }

    /// Returns the bytes at `url`, at most `most` of them.
    ///
    /// # Errors
    /// Returns [`NetError::Peer`], also for a status other than 200.
    pub async fn get(&self, url: &str, most: usize) -> Result<Vec<u8>, NetError> {
        let response = self.0.get(url).send().await.map_err(|e| NetError::Peer(e.to_string()))?;
        if response.status() != StatusCode::OK {
            return Err(NetError::Peer(format!("{url}: {}", response.status())));
        }
        read(response, most).await
    }

    /// Asks the witness with the prefix `url` to cosign.
    ///
    /// # Errors
    /// Returns [`NetError::Peer`] if it does not answer.
    pub async fn add_checkpoint(&self, url: &str, body: String) -> Result<Answer, NetError> {
        let url = format!("{}/add-checkpoint", url.trim_end_matches('/'));
        let response = self.0.post(url).body(body).send().await.map_err(|e| NetError::Peer(e.to_string()))?;
        let status = response.status().as_u16();
        let text = read(response, ANSWER_BYTES).await?;
        Ok(Answer { status, text: String::from_utf8_lossy(&text).into_owned() })
    }
}

async fn read(mut response: reqwest::Response, most: usize) -> Result<Vec<u8>, NetError> {
    let mut coming = Coming::asked_for(most);
    while let Some(chunk) = response.chunk().await.map_err(|e| NetError::Peer(e.to_string()))? {
        coming.push(&chunk)?;
    }
    Ok(coming.done())
}
