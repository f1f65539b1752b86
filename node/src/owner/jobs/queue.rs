//! Job slots: which jobs run now and which wait.
//!
//! As many jobs run as the node has slots, no buyer has more than a share of the slots, and the queue has a maximum length.
//!
//! A slot is held until the job's outcome is settled, at a public time, so the time that others wait reveals nothing about rows.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tidegate_protocol::{Code, PeerId, Refusal};
use tokio::sync::oneshot;

/// Owner's settings of job limits and lifetimes; unset values take defaults, in part from the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes {
    /// Maximum number of running jobs.
    pub jobs: Option<usize>,
    /// Maximum number of running jobs of a single buyer.
    pub per_buyer: Option<usize>,
    /// Maximum number of waiting jobs.
    pub queue: Option<usize>,
    /// Lifetime of leases on this owner's privacy budgets.
    pub leases_last: Option<Duration>,
    /// Validity period of a revocation list at mirrors and leaseholders.
    pub revocations_last: Option<Duration>,
}

/// Limits on jobs that run and wait at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::owner) struct Caps {
    /// Maximum number of running jobs.
    jobs: usize,
    /// Maximum number of running jobs of a single buyer.
    per_buyer: usize,
    /// Maximum number of jobs waiting for a slot; a quarter of them, rounded up, may be a single buyer's.
    queue: usize,
}

/// Resources of a machine.
#[derive(Debug, Clone, Copy)]
pub(in crate::owner) struct Machine {
    processors: usize,
    memory: u64,
}

impl Machine {
    pub(in crate::owner) fn this() -> Self {
        let about = rustix::system::sysinfo();
        let memory = (about.totalram as u64).saturating_mul(u64::from(about.mem_unit));
        Self { processors: std::thread::available_parallelism().map_or(1, usize::from), memory }
    }
}

impl Caps {
    /// Returns how many jobs run at the same time.
    pub(in crate::owner) fn jobs(&self) -> usize {
        self.jobs
    }

    /// Maximum time a job waits for a slot.
    const WAIT: Duration = Duration::from_secs(600);

    /// Builds the limits from the owner's wishes and the machine.
    ///
    /// By default there is one job per processor, up to four, as long as their workers fit in memory at up to `memory` bytes
    /// each, and half of the jobs may be a single buyer's. Fuel is counted as if a job had a processor to itself.
    pub(in crate::owner) fn of(wishes: Wishes, machine: Machine, memory: u64) -> Self {
        let fit = usize::try_from(machine.memory / memory.max(1)).unwrap_or(usize::MAX);
        let jobs = wishes.jobs.unwrap_or_else(|| machine.processors.min(4).min(fit)).max(1);
        if jobs > machine.processors || jobs > fit {
            let Machine { processors, .. } = machine;
            tracing::warn!(
                "{jobs} concurrent jobs on {processors} processors with memory for {fit}: jobs may exceed their time budget, or fail for lack of memory"
            );
        }
        let per_buyer = wishes.per_buyer.unwrap_or(jobs.div_ceil(2)).clamp(1, jobs);
        Self { jobs, per_buyer, queue: wishes.queue.unwrap_or(16) }
    }
}

/// Job slots of the node.
pub(in crate::owner) struct Slots(Arc<Shared>);

struct Shared {
    caps: Caps,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: HashMap<PeerId, usize>,
    waiting: Vec<Waiter>,
}

struct Waiter {
    buyer: PeerId,
    /// The job is paid for, so the buyer's share does not hold the job up.
    paid: bool,
    tell: oneshot::Sender<Slot>,
}

/// A job slot, freed on drop.
pub(in crate::owner) struct Slot {
    shared: Arc<Shared>,
    buyer: PeerId,
}

impl State {
    fn of(&self, buyer: &PeerId) -> usize {
        self.running.get(buyer).copied().unwrap_or_default()
    }

    fn free(&self, caps: &Caps) -> bool {
        self.running.values().sum::<usize>() < caps.jobs
    }

    /// Removes the next waiter from the queue and returns the waiter.
    ///
    /// Among waiters whose buyer may have another slot, the buyer with the fewest running jobs comes first, then the earliest
    /// waiter.
    fn next(&mut self, caps: &Caps) -> Option<Waiter> {
        self.waiting.retain(|waiter| !waiter.tell.is_closed());
        let may = |waiter: &Waiter| waiter.paid || self.of(&waiter.buyer) < caps.per_buyer;
        let candidates = self.waiting.iter().enumerate().filter(|(_, waiter)| may(waiter));
        let (next, _) = candidates.min_by_key(|(_, waiter)| self.of(&waiter.buyer))?;
        Some(self.waiting.remove(next))
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives free slots to waiting jobs.
    fn hand_out(self: &Arc<Self>) {
        loop {
            let waiter = {
                let mut state = self.lock();
                if !state.free(&self.caps) {
                    return;
                }
                let Some(waiter) = state.next(&self.caps) else { return };
                *state.running.entry(waiter.buyer).or_default() += 1;
                waiter
            };
            // Sent outside the lock: if the receiver is gone, the slot is dropped at once, which calls this function again.
            drop(waiter.tell.send(Slot { shared: self.clone(), buyer: waiter.buyer }));
        }
    }
}

impl Slots {
    pub(in crate::owner) fn new(caps: Caps) -> Self {
        Self(Arc::new(Shared { caps, state: Mutex::default() }))
    }

    /// Takes a slot for `buyer`, now or when its turn comes.
    ///
    /// # Errors
    /// Returns [`Code::Busy`] if the queue is full, the buyer has its share of the queue, or no slot came free within
    /// [`Caps::WAIT`]. Safe to retry.
    pub(in crate::owner) async fn take(&self, buyer: PeerId) -> Result<Slot, Refusal> {
        let Caps { jobs, queue, .. } = self.0.caps;
        let busy = |message: String| Refusal::new(Code::Busy, message).fix("Nothing was charged: send the same job again later");
        let theirs = queue.div_ceil(4);
        let full = {
            let mut state = self.0.lock();
            state.waiting.retain(|waiter| !waiter.tell.is_closed());
            let mine = state.waiting.iter().filter(|waiter| waiter.buyer == buyer).count();
            let now = state.free(&self.0.caps) && state.of(&buyer) < self.0.caps.per_buyer;
            match () {
                () if now => None,
                () if mine >= theirs => Some(format!("{mine} of your jobs are waiting, the maximum of one buyer in the queue")),
                () if state.waiting.len() >= queue => {
                    Some(format!("all {jobs} concurrency permits are in use, and {queue} jobs wait"))
                }
                () => None,
            }
        };
        match full {
            Some(message) => Err(busy(message)),
            None => tokio::time::timeout(Caps::WAIT, self.queue(buyer, false))
                .await
                .ok()
                .flatten()
                .ok_or_else(|| busy(format!("no concurrency permit became free within {} s", Caps::WAIT.as_secs()))),
        }
    }

    /// Waits for a slot for a paid job of `buyer`, whatever the buyer's share.
    pub(in crate::owner) async fn wait(&self, buyer: PeerId) -> Option<Slot> {
        self.queue(buyer, true).await
    }

    async fn queue(&self, buyer: PeerId, paid: bool) -> Option<Slot> {
        let (tell, told) = oneshot::channel();
        self.0.lock().waiting.push(Waiter { buyer, paid, tell });
        self.0.hand_out();
        told.await.ok()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            if let Some(mine) = state.running.get_mut(&self.buyer) {
                *mine -= 1;
                if *mine == 0 {
                    state.running.remove(&self.buyer);
                }
            }
        }
        self.shared.hand_out();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buyer(seed: u8) -> PeerId {
        tidegate_protocol::Identity::from_seed([seed; 32]).id()
    }

    /// Lets the others go on until they wait.
    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn a_machine_runs_what_it_has_room_for() {
        let of = |jobs, processors, memory: u64| {
            let wishes = Wishes { jobs, ..Wishes::default() };
            Caps::of(wishes, Machine { processors, memory: memory << 30 }, 2 << 30)
        };
        assert_eq!(of(None, 2, 16), Caps { jobs: 2, per_buyer: 1, queue: 16 });
        assert_eq!((of(None, 64, 64).jobs, of(None, 64, 64).per_buyer), (4, 2));
        assert_eq!((of(None, 8, 5).jobs, of(None, 8, 1).jobs), (2, 1), "by memory");
        assert_eq!((of(Some(12), 2, 16).jobs, of(Some(0), 2, 16).jobs), (12, 1), "as the owner says");
    }

    #[tokio::test]
    async fn no_buyer_keeps_the_others_away() {
        let slots = Arc::new(Slots::new(Caps { jobs: 4, per_buyer: 2, queue: 8 }));
        let wait = |seed: u8| {
            let slots = slots.clone();
            tokio::spawn(async move { slots.take(buyer(seed)).await })
        };
        let mut mine = vec![slots.take(buyer(1)).await.unwrap(), slots.take(buyer(1)).await.unwrap()];
        // Two slots are free, but not for the first buyer: its next jobs wait, and more than a quarter of the queue is not its.
        let third = wait(1);
        let fourth = wait(1);
        settle().await;
        let refusal = slots.take(buyer(1)).await.err().unwrap();
        assert!(refusal.code == Code::Busy && refusal.message.contains("of your jobs are waiting"), "{refusal}");
        // Another is served at once.
        let other = slots.take(buyer(2)).await.unwrap();
        let more = slots.take(buyer(2)).await.unwrap();
        // Now all are taken. Whose buyer has fewest is next, though the first came before.
        let late = wait(3);
        settle().await;
        assert!(!third.is_finished() && !late.is_finished());
        drop(mine.pop());
        settle().await;
        assert!(late.is_finished() && !third.is_finished(), "who has none goes before who has one");
        // Who has left is passed over.
        third.abort();
        settle().await;
        drop(mine.pop());
        let fourth = fourth.await.unwrap().unwrap();
        drop((fourth, other, more, late.await.unwrap().unwrap()));
        let state = slots.0.lock();
        assert!(state.running.is_empty() && state.waiting.is_empty());
    }

    #[tokio::test]
    async fn the_queue_has_an_end_and_what_is_paid_for_waits_beyond_it() {
        let slots = Arc::new(Slots::new(Caps { jobs: 1, per_buyer: 1, queue: 2 }));
        let first = slots.take(buyer(1)).await.unwrap();
        let wait = |seed: u8| {
            let slots = slots.clone();
            tokio::spawn(async move { slots.take(buyer(seed)).await })
        };
        let (second, third) = (wait(2), wait(3));
        settle().await;
        let refusal = slots.take(buyer(4)).await.err().unwrap();
        assert!(refusal.code == Code::Busy && refusal.message.contains("2 jobs wait"), "{refusal}");
        let paid = {
            let slots = slots.clone();
            tokio::spawn(async move { slots.wait(buyer(2)).await })
        };
        settle().await;
        drop(first);
        drop(second.await.unwrap().unwrap());
        drop(third.await.unwrap().unwrap());
        drop(paid.await.unwrap().unwrap());
        assert!(slots.0.lock().running.is_empty());
    }
}
