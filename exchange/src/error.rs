//! Errors of the network.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Error of the network, or of a peer breaking the protocol.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// There is no connection to the peer.
    #[error("cannot reach {peer}: {why}. Is `tidegate serve` running there, and is the address right?")]
    Unreachable {
        /// Dialled peer.
        peer: String,
        /// Reason of the failure.
        why: String,
    },
    /// The peer hung up, sent too much or something other than a reply.
    #[error("the connection to the peer failed: {0}")]
    Peer(String),
    /// The caller stopped the transfer.
    #[error("stopped; run the same command to resume")]
    Stopped,
    /// A file or folder of a transfer cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Path of the file or folder.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// A served file differs from the published one.
    #[error("{} has changed since it was published", .path.display())]
    Changed {
        /// Path of the file.
        path: PathBuf,
    },
    /// This machine's own network failed.
    #[error("the network: {0}")]
    Local(String),
}

/// Wraps an error of a file or folder.
pub(crate) fn file_error(path: &Path, source: io::Error) -> NetError {
    NetError::Io { path: path.to_owned(), source }
}

/// Wraps an error of this machine's own.
pub(crate) fn local(e: impl std::fmt::Display) -> NetError {
    NetError::Local(e.to_string())
}

/// Wraps an error caused by a peer.
pub(crate) fn peer(e: impl std::error::Error) -> NetError {
    NetError::Peer(chain(&e))
}

/// Formats an error with its causes.
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
