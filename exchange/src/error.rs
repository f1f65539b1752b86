//! Errors of the network.

/// The network failed, or a peer broke the protocol.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// No connection to the peer.
    #[error("cannot reach {peer}: {why}. Is `tidegate serve` running there, and is the address right?")]
    Unreachable {
        /// Whom we dialled.
        peer: String,
        /// Why not.
        why: String,
    },
    /// The peer hung up, sent too much or something else than a reply.
    #[error("the peer broke off: {0}")]
    Peer(String),
    /// The caller stopped it.
    #[error("stopped; the same command resumes it")]
    Stopped,
    /// This machine's own network.
    #[error("the network: {0}")]
    Local(String),
}

/// Makes an error of this machine's own.
pub(crate) fn local(e: impl std::fmt::Display) -> NetError {
    NetError::Local(e.to_string())
}

/// Makes an error of what a peer did.
pub(crate) fn peer(e: impl std::error::Error) -> NetError {
    NetError::Peer(chain(&e))
}

/// Says an error and what it came of.
pub(crate) fn chain(e: &dyn std::error::Error) -> String {
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
