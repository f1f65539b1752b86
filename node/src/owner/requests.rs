//! Requests to a node that may be stopped at any time.
//!
//! The network's tasks hold this and not the node itself, so that nothing of the node is left once its owner has let go of it.

use std::{
    any::Any,
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
};

use tidegate_exchange::{Handler, blobs::ByteRange};
use tidegate_protocol::{
    Code, ContentHash, PeerId, Refusal,
    frame::{Reply, Request},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::owner::{
    drain::{Inside, none_of},
    state::Provider,
};

/// Handler that passes requests on to a node until it has stopped.
#[derive(Debug)]
pub(in crate::owner) struct Requests {
    node: Weak<Provider>,
    stopped: CancellationToken,
    inside: watch::Sender<usize>,
}

/// Builds the refusal for a request that is not answered because the node has stopped.
///
/// A job may be charged by then, so it is not [`Code::Busy`], after which buyers forget what they sent.
fn stopped() -> Refusal {
    Refusal::new(Code::Unavailable, "the owner's node has stopped")
        .fix("Send the same job again later: a charged job is not charged again")
}

impl Requests {
    /// Passes requests on to `node`.
    pub(in crate::owner) fn to(node: &Arc<Provider>) -> Self {
        Self { node: Arc::downgrade(node), stopped: CancellationToken::new(), inside: watch::Sender::new(0) }
    }

    /// Drops the requests in progress, as a crash would, and refuses all others.
    ///
    /// A job between its charge and its receipt is finished when the node is started again.
    pub(in crate::owner) fn stop(&self) {
        self.stopped.cancel();
    }

    /// Waits until no request is in progress.
    pub(in crate::owner) async fn ended(&self) {
        none_of(&self.inside).await;
    }
}

impl Handler for Requests {
    fn expects(&self, peer: PeerId, request: &Request) -> Result<(), Refusal> {
        self.node.upgrade().ok_or_else(stopped)?.expects(peer, request)
    }

    fn knows(&self, peer: PeerId, request: &Request) -> bool {
        self.node.upgrade().is_some_and(|node| node.knows(peer, request))
    }

    fn replying(&self) -> Option<Box<dyn Any + Send>> {
        self.node.upgrade()?.replying()
    }

    fn fetching<'a>(
        &'a self,
        peer: PeerId,
        parts: Vec<(ContentHash, Vec<ByteRange>)>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move {
            // Declared before the node, and so dropped after it.
            let _inside = Inside::of(&self.inside);
            let Some(node) = self.node.upgrade() else { return false };
            tokio::select! {
                biased;
                () = self.stopped.cancelled() => false,
                may = node.fetching(peer, parts) => may,
            }
        })
    }

    fn handle<'a>(
        &'a self,
        peer: PeerId,
        request: Request,
        attachment: Vec<u8>,
        gone: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>> {
        Box::pin(async move {
            let _inside = Inside::of(&self.inside);
            let Some(node) = self.node.upgrade() else { return Reply::Refused(stopped()) };
            tokio::select! {
                biased;
                () = self.stopped.cancelled() => Reply::Refused(stopped()),
                reply = node.handle(peer, request, attachment, gone) => reply,
            }
        })
    }
}
