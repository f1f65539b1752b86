//! Who may run a job now: as many as the node has slots for, and no buyer more than a share of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tidegate_protocol::{Code, PeerId, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Jobs that run at the same time.
const ALL: usize = 4;
/// Of those, one buyer's: nobody's jobs, however many and slow, keep the others' away.
const ONES: usize = 2;

/// The node's slots.
pub(super) struct Slots {
    all: Arc<Semaphore>,
    held: Arc<Mutex<HashMap<PeerId, usize>>>,
}

/// A slot. It is free again when this is dropped.
pub(super) struct Slot {
    held: Arc<Mutex<HashMap<PeerId, usize>>>,
    buyer: PeerId,
    _permit: OwnedSemaphorePermit,
}

impl Default for Slots {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(ALL)), held: Arc::default() }
    }
}

impl Slots {
    /// A slot for `buyer`, now.
    ///
    /// # Errors
    /// [`Code::Busy`]: none is free, or the buyer has its share. Safe to retry.
    pub(super) fn take(&self, buyer: PeerId) -> Result<Slot, Refusal> {
        let busy =
            |message: String| Refusal::new(Code::Busy, message).fix("Send the same job again in a while; nothing was charged");
        // Held while both are looked at, so that two requests cannot take one place.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.get(&buyer).is_some_and(|mine| *mine >= ONES) {
            return Err(busy(format!("{ONES} jobs of yours are running, as many as one buyer may have of {ALL}")));
        }
        let permit = self.all.clone().try_acquire_owned().map_err(|_| busy(format!("all {ALL} job slots are busy")))?;
        *held.entry(buyer).or_default() += 1;
        Ok(Slot { held: self.held.clone(), buyer, _permit: permit })
    }

    /// A slot for `buyer` as soon as there is one, whatever its share: for jobs that are paid for.
    pub(super) async fn wait(&self, buyer: PeerId) -> Option<Slot> {
        let permit = self.all.clone().acquire_owned().await.ok()?;
        *self.held.lock().unwrap_or_else(PoisonError::into_inner).entry(buyer).or_default() += 1;
        Some(Slot { held: self.held.clone(), buyer, _permit: permit })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mine) = held.get_mut(&self.buyer) {
            *mine -= 1;
            if *mine == 0 {
                held.remove(&self.buyer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buyer(seed: u8) -> PeerId {
        tidegate_protocol::Identity::from_seed([seed; 32]).id()
    }

    #[tokio::test]
    async fn no_buyer_keeps_the_others_away() {
        let slots = Slots::default();
        let mine: Vec<_> = (0..ONES).map(|_| slots.take(buyer(1)).ok().unwrap()).collect();
        let refusal = slots.take(buyer(1)).err().unwrap();
        assert!(refusal.code == Code::Busy && refusal.message.contains("of yours"), "{refusal}");
        let theirs: Vec<_> = (0..ALL - ONES).map(|i| slots.take(buyer(2 + i as u8)).ok().unwrap()).collect();
        assert!(slots.take(buyer(9)).err().unwrap().message.contains("all"));
        drop(mine);
        let again = slots.take(buyer(1)).ok().unwrap();
        // Jobs that are paid for wait their turn beyond a share.
        let paid = slots.wait(buyer(1)).await.unwrap();
        drop((again, paid, theirs));
        assert!(slots.held.lock().unwrap().is_empty());
        assert_eq!(slots.all.available_permits(), ALL);
    }
}
