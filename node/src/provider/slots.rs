//! Who may run a job now, and who waits: as many run as the node has slots for, no buyer has more than a share of them, and the queue is as long as it may
//! be and no longer.
//!
//! A slot is held until a job's outcome is settled, at a public time: how long others wait tells nothing of rows.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tidegate_protocol::{Code, PeerId, Refusal};
use tokio::sync::oneshot;

/// What an owner wants a node to run and to let wait; what they do not say follows from the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes {
    /// Jobs that run.
    pub jobs: Option<usize>,
    /// Of those, one buyer's.
    pub per_buyer: Option<usize>,
    /// Jobs that wait.
    pub queue: Option<usize>,
    /// Also where walls are missing.
    pub unwalled: bool,
    /// How long others may spend what they were handed of this owner's budgets.
    pub leases_last: Option<Duration>,
    /// How long a list of revoked grants is good for, at those who hold this owner's files or answer for it.
    pub revocations_last: Option<Duration>,
}

/// What a node lets run and wait at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caps {
    /// Jobs that run.
    jobs: usize,
    /// Of those, one buyer's.
    per_buyer: usize,
    /// Jobs that wait for a slot; of those, one buyer's are at most a quarter.
    queue: usize,
}

/// What a machine has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    processors: usize,
    memory: u64,
}

impl Machine {
    pub(super) fn this() -> Self {
        let about = rustix::system::sysinfo();
        let memory = (about.totalram as u64).saturating_mul(u64::from(about.mem_unit));
        Self { processors: std::thread::available_parallelism().map_or(1, usize::from), memory }
    }
}

impl Caps {
    /// How many jobs run at the same time.
    pub(super) fn jobs(&self) -> usize {
        self.jobs
    }

    /// How long a job waits at most.
    const WAIT: Duration = Duration::from_secs(600);

    /// As an owner wishes. If they do not say: a job for each processor, up to four, as long as their workers, of up to `memory` bytes each, fit in
    /// memory; half of them one buyer's. Fuel is counted as if a job had a processor for itself.
    pub(super) fn of(wishes: Wishes, machine: Machine, memory: u64) -> Self {
        let fit = usize::try_from(machine.memory / memory.max(1)).unwrap_or(usize::MAX);
        let jobs = wishes.jobs.unwrap_or_else(|| machine.processors.min(4).min(fit)).max(1);
        if jobs > machine.processors || jobs > fit {
            let Machine { processors, .. } = machine;
            tracing::warn!(
                "{jobs} jobs at a time, on {processors} processors and memory for {fit}: jobs may end late, or for want of memory"
            );
        }
        let per_buyer = wishes.per_buyer.unwrap_or(jobs.div_ceil(2)).clamp(1, jobs);
        Self { jobs, per_buyer, queue: wishes.queue.unwrap_or(16) }
    }
}

/// The node's slots.
pub(super) struct Slots(Arc<Shared>);

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
    /// Paid for: a share does not hold it up.
    paid: bool,
    tell: oneshot::Sender<Slot>,
}

/// A slot. It is free again when this is dropped.
pub(super) struct Slot {
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

    /// Who is next: of those whose buyer may have one more, the one whose buyer has the fewest, and of those the one who came first.
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

    /// Gives what is free to who waits.
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
            // Outside of the lock: who has left lets go of it at once, and so comes back here.
            drop(waiter.tell.send(Slot { shared: self.clone(), buyer: waiter.buyer }));
        }
    }
}

impl Slots {
    pub(super) fn new(caps: Caps) -> Self {
        Self(Arc::new(Shared { caps, state: Mutex::default() }))
    }

    /// A slot for `buyer`: now, or when its turn comes.
    ///
    /// # Errors
    /// [`Code::Busy`]: the queue is full, or the buyer has its share of it, or none came for a long time. Safe to retry.
    pub(super) async fn take(&self, buyer: PeerId) -> Result<Slot, Refusal> {
        let Caps { jobs, queue, .. } = self.0.caps;
        let busy =
            |message: String| Refusal::new(Code::Busy, message).fix("Send the same job again in a while; nothing was charged");
        let theirs = queue.div_ceil(4);
        let full = {
            let mut state = self.0.lock();
            state.waiting.retain(|waiter| !waiter.tell.is_closed());
            let mine = state.waiting.iter().filter(|waiter| waiter.buyer == buyer).count();
            let now = state.free(&self.0.caps) && state.of(&buyer) < self.0.caps.per_buyer;
            match () {
                () if now => None,
                () if mine >= theirs => {
                    Some(format!("{mine} jobs of yours wait already, as many as one buyer may have in the queue"))
                }
                () if state.waiting.len() >= queue => Some(format!("all {jobs} job slots are busy, and {queue} jobs wait")),
                () => None,
            }
        };
        match full {
            Some(message) => Err(busy(message)),
            None => tokio::time::timeout(Caps::WAIT, self.queue(buyer, false))
                .await
                .ok()
                .flatten()
                .ok_or_else(|| busy(format!("no job slot came free within {} s", Caps::WAIT.as_secs()))),
        }
    }

    /// A slot for `buyer` as soon as there is one, whatever its share: for jobs that are paid for.
    pub(super) async fn wait(&self, buyer: PeerId) -> Option<Slot> {
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
        assert!(refusal.code == Code::Busy && refusal.message.contains("of yours"), "{refusal}");
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
