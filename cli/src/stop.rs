//! Until when a node runs.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What whoever runs this stops it by: Ctrl-C, a service manager's SIGTERM, or SIGHUP of a terminal that is closed.
#[derive(Debug)]
pub(crate) struct Stop([Signal; 3]);

impl Stop {
    /// Listens from now on.
    ///
    /// # Errors
    /// What listening fails with.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let [interrupt, terminate, hangup] = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    /// Waits for the next of them.
    pub(crate) async fn asked(&mut self) {
        let Self([interrupt, terminate, hangup]) = self;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
