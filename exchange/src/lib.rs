//! The iroh node: peers dialled by key, a request per stream, blobs for peers with permission.
//!
//! # Goals
//! - Every frame from a peer is bounded before it is read, and takes no more memory than the part received.
//! - A peer that has shown no grant has a small part of the places and the memory here, and so have all
//!   such peers together.
//! - A blob is served to a peer only after [`blobs::Access::allow`] named exactly that hash for exactly that peer.
//!
//! # Non-goals
//! - Deciding who may ask (`node`), or whether what is heard ([`gossip`]) is true.
//!
//! # Path
//! [`bind`] → [`serve`] with a [`Handler`]; on the other side [`ask`], and [`blobs::fetch`].

#![forbid(unsafe_code)]

mod address;
pub mod blobs;
mod bounded;
mod error;
pub mod gossip;
mod host;
mod jobs;
mod known;
mod places;
mod reach;
mod room;
mod shares;
pub mod web;

pub use address::{Address, BadAddress};
pub use error::NetError;
pub use host::Crowd;
pub use jobs::{Handler, ask};
pub use reach::{Reach, bind, bind_reaching, listening_for, local_address};

pub use iroh::{Endpoint, RelayUrl, protocol::Router};

/// Serves the job protocol, and the blobs of `store` under `access`.
pub fn serve(endpoint: Endpoint, handler: std::sync::Arc<dyn Handler>, served: &blobs::Served) -> Router {
    serve_in(endpoint, handler, served, None)
}

/// Serves like [`serve`], and takes part in a `swarm` if given.
pub fn serve_in(
    endpoint: Endpoint,
    handler: std::sync::Arc<dyn Handler>,
    served: &blobs::Served,
    swarm: Option<&gossip::Swarm>,
) -> Router {
    serve_crowd(endpoint, handler, served, swarm, Crowd::default())
}

/// Serves like [`serve_in`], with these limits on concurrent connections.
pub fn serve_crowd(
    endpoint: Endpoint,
    handler: std::sync::Arc<dyn Handler>,
    served: &blobs::Served,
    swarm: Option<&gossip::Swarm>,
    crowd: Crowd,
) -> Router {
    served.ask(handler.clone());
    let host = host::Host::of(crowd);
    let mut router = Router::builder(endpoint)
        .accept(tidegate_protocol::frame::ALPN, jobs::JobProtocol::new(handler, host.clone()))
        .accept(iroh_blobs::ALPN, served.governed(host.clone()));
    if let Some(swarm) = swarm {
        router = router.accept(iroh_gossip::ALPN, swarm.protocol(host));
    }
    router.spawn()
}
