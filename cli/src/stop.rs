//! Signals that stop a node.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals for stopping a node: Ctrl-C, a service manager's SIGTERM, or SIGHUP of a closed terminal.
#[derive(Debug)]
pub(crate) struct Stop([Signal; 3]);

impl Stop {
    /// Starts to listen.
    ///
    /// # Errors
    /// Returns the error with which listening fails.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let [interrupt, terminate, hangup] = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    /// Waits for the next signal.
    pub(crate) async fn asked(&mut self) {
        let Self([interrupt, terminate, hangup]) = self;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
