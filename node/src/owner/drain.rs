//! Graceful shutdown: a node takes no new job, finishes charged jobs within their time budgets, and waits until replies are
//! taken.

use std::{any::Any, time::Duration};

use tidegate_protocol::{Code, Refusal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Maximum time to wait for replies to be taken.
const REPLIES: Duration = Duration::from_secs(10);

/// Jobs and requests in progress, and the signal to shut down.
#[derive(Debug)]
pub(in crate::owner) struct Drain {
    told: CancellationToken,
    jobs: watch::Sender<usize>,
    requests: watch::Sender<usize>,
}

/// Guard that counts a job or request as in progress until dropped.
#[derive(Debug)]
pub(in crate::owner) struct Inside(watch::Sender<usize>);

impl Inside {
    pub(in crate::owner) fn of(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Waits until nothing is counted as in progress.
pub(in crate::owner) async fn none_of(count: &watch::Sender<usize>) {
    // This fails only if the counter no longer exists.
    drop(count.subscribe().wait_for(|count| *count == 0).await);
}

impl Default for Drain {
    fn default() -> Self {
        Self { told: CancellationToken::new(), jobs: watch::Sender::new(0), requests: watch::Sender::new(0) }
    }
}

impl Drain {
    /// Counts a new job as in progress unless the node is shutting down.
    ///
    /// # Errors
    /// Returns [`Code::Busy`] during shutdown: another process may answer here soon.
    pub(in crate::owner) fn enter(&self) -> Result<Inside, Refusal> {
        // Counted first, so that whoever looks after the signal sees the job.
        let inside = Inside::of(&self.jobs);
        if self.told.is_cancelled() { Err(ending()) } else { Ok(inside) }
    }

    /// Waits for the signal to shut down.
    pub(in crate::owner) async fn told(&self) {
        self.told.cancelled().await;
    }

    /// Returns whether the signal to shut down was given.
    pub(in crate::owner) fn is_told(&self) -> bool {
        self.told.is_cancelled()
    }

    /// Gives the signal to shut down, and waits until running jobs are settled and, for a limited time, until replies are taken.
    pub(in crate::owner) async fn end(&self) {
        self.told.cancel();
        none_of(&self.jobs).await;
        if tokio::time::timeout(REPLIES, none_of(&self.requests)).await.is_err() {
            tracing::warn!("some replies were not received: their buyers get them when this node serves again");
        }
    }

    /// Counts a reply as in progress until the guard is dropped.
    pub(in crate::owner) fn replying(&self) -> Box<dyn Any + Send> {
        Box::new(Inside::of(&self.requests))
    }
}

/// Builds the refusal for a job that arrives during shutdown.
pub(in crate::owner) fn ending() -> Refusal {
    Refusal::new(Code::Busy, "the owner's node is shutting down and accepts no new job")
        .fix("Nothing was charged: send the same job again later")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_in_hand_is_waited_for_and_nothing_more_comes() {
        let drain = Drain::default();
        let inside = drain.enter().unwrap();
        drain.told.cancel();
        assert_eq!(drain.enter().unwrap_err().code, Code::Busy);
        let wait = Duration::from_millis(50);
        assert!(tokio::time::timeout(wait, none_of(&drain.jobs)).await.is_err(), "one is in hand");
        drop(inside);
        assert!(tokio::time::timeout(wait, none_of(&drain.jobs)).await.is_ok());
    }
}
