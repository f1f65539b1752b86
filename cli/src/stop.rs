//! Until when a node runs.

use tokio::signal::{
    ctrl_c,
    unix::{SignalKind, signal},
};

/// Waits until whoever runs this stops it: Ctrl-C, or a service manager's SIGTERM.
pub(crate) async fn asked() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        stopped = ctrl_c() => stopped,
        _ = terminate.recv() => Ok(()),
    }
}
