//! Mutual exclusion per job: a repeated request waits for the run in progress and takes its result.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tidegate_protocol::ContentHash;
use tokio::sync::OwnedMutexGuard;

/// Locks of the jobs in progress.
#[derive(Default)]
pub(in crate::owner) struct Turns(Mutex<HashMap<ContentHash, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits until nobody else works on `job`.
    pub(in crate::owner) async fn take(&self, job: ContentHash) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // A turn that nobody holds or waits for is referenced by this map alone.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            turns.entry(job).or_default().clone()
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_has_one_turn_at_a_time_and_is_then_forgotten() {
        let (turns, job) = (Turns::default(), ContentHash([1; 32]));
        let first = turns.take(job).await;
        let wait = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(wait, turns.take(job)).await.is_err(), "taken");
        assert!(tokio::time::timeout(wait, turns.take(ContentHash([2; 32]))).await.is_ok(), "another job");
        drop(first);
        let _again = turns.take(job).await;
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
