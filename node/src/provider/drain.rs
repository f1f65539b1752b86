//! A node that is to end: it takes no new job, finishes those that are charged within their slots, and says when their replies are taken.

use std::{any::Any, time::Duration};

use tidegate_protocol::{Code, Refusal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Provider;

/// How long replies are waited for that nobody takes.
const REPLIES: Duration = Duration::from_secs(10);

/// What a node has in hand, and whether it is to end.
#[derive(Debug)]
pub(super) struct Drain {
    told: CancellationToken,
    jobs: watch::Sender<usize>,
    requests: watch::Sender<usize>,
}

/// One of what is in hand, until this is dropped.
#[derive(Debug)]
pub(super) struct Inside(watch::Sender<usize>);

impl Inside {
    fn of(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

async fn none_of(count: &watch::Sender<usize>) {
    // It fails where nobody counts any more.
    drop(count.subscribe().wait_for(|count| *count == 0).await);
}

impl Default for Drain {
    fn default() -> Self {
        Self { told: CancellationToken::new(), jobs: watch::Sender::new(0), requests: watch::Sender::new(0) }
    }
}

impl Drain {
    /// A job is taken in hand, where the node goes on.
    ///
    /// # Errors
    /// [`Code::Busy`]: another process may answer here soon.
    pub(super) fn enter(&self) -> Result<Inside, Refusal> {
        // Counted first: who looks after the node was told sees it.
        let inside = Inside::of(&self.jobs);
        if self.told.is_cancelled() { Err(ending()) } else { Ok(inside) }
    }

    /// Until the node is told to end.
    pub(super) async fn told(&self) {
        self.told.cancelled().await;
    }

    /// Whether it was.
    pub(super) fn is_told(&self) -> bool {
        self.told.is_cancelled()
    }
}

/// What a job is told that would begin now.
pub(super) fn ending() -> Refusal {
    Refusal::new(Code::Busy, "the owner's node is ending, and takes no new job")
        .fix("Send the same job again in a while; nothing was charged")
}

impl Provider {
    /// Takes no new job from now on, and waits until those that run are settled and their replies are taken, or a while for these.
    pub async fn drain(&self) {
        self.drain.told.cancel();
        none_of(&self.drain.jobs).await;
        if tokio::time::timeout(REPLIES, none_of(&self.drain.requests)).await.is_err() {
            tracing::warn!("replies are not taken: their buyers get them when this node serves again");
        }
    }

    pub(super) fn replying(&self) -> Box<dyn Any + Send> {
        Box::new(Inside::of(&self.drain.requests))
    }
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
