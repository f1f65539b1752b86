//! Group commit: steps waiting at the same time share a transaction, and a single fsync makes them all durable.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread::JoinHandle,
};

use redb::Database;
use tidegate_protocol::Identity;

use super::{error::StoreError, tables::Tables};

/// Maximum number of steps in a transaction: a step waits for the others in its group.
const GROUP: usize = 256;

type Act = Box<dyn FnMut(&mut Tables<'_>) -> Result<(), StoreError> + Send>;

/// A waiting step: the closure to run within a transaction, again if another step in the group failed, and the waiting caller.
struct Step {
    act: Act,
    /// Receives the outcome of the transaction.
    done: SyncSender<Result<(), StoreError>>,
}

/// Callers with committed transactions.
type Durable = Vec<SyncSender<Result<(), StoreError>>>;

/// The only writer of a database.
pub(super) struct Committer {
    steps: Mutex<Option<Sender<Step>>>,
    failed: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Committer {
    pub(super) fn start(db: Arc<Database>, identity: Identity) -> Result<Self, StoreError> {
        let ((steps, queue), (durable, answers)) = (channel(), channel::<Durable>());
        let thread = |name: &str| std::thread::Builder::new().name(name.into());
        // Waking many callers takes as long as writing their steps, so it must not delay the next transaction.
        let answering = thread("answers").spawn(move || {
            for waiting in answers.iter().flatten() {
                drop(waiting.send(Ok(())));
            }
        })?;
        let failed = Arc::<AtomicBool>::default();
        let ledger = Ledger { db, identity, failed: failed.clone() };
        let writing = thread("ledger").spawn(move || write(&ledger, &queue, &durable))?;
        Ok(Self { steps: Mutex::new(Some(steps)), failed, threads: vec![writing, answering] })
    }

    /// Returns whether a write to the database has failed: the database then accepts nothing more until reopened.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Runs `step` in a transaction and waits for durability.
    ///
    /// A failed step leaves nothing behind; a step that returns `Ok` must have written everything it stands for, or nothing. The
    /// step runs again if another step of the same transaction failed.
    ///
    /// # Errors
    /// Returns the step's own error, or the reason why the transaction could not be committed.
    pub(super) fn run<T: Send + 'static>(
        &self,
        mut step: impl FnMut(&mut Tables<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let made: Arc<Mutex<Option<T>>> = Arc::default();
        let slot = made.clone();
        let act = Box::new(move |tables: &mut Tables<'_>| {
            let value = step(tables)?;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            Ok(())
        });
        let (done, ended) = sync_channel(1);
        let gone = || StoreError::Ended;
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(gone)?;
        steps.send(Step { act, done }).map_err(|_| gone())?;
        drop(steps);
        ended.recv().map_err(|_| gone())??;
        made.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(gone)
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).take();
        for thread in self.threads.drain(..) {
            // A thread that panicked has reported it.
            drop(thread.join());
        }
    }
}

/// State of the writing thread.
struct Ledger {
    db: Arc<Database>,
    identity: Identity,
    failed: Arc<AtomicBool>,
}

fn write(ledger: &Ledger, queue: &Receiver<Step>, durable: &Sender<Durable>) {
    while let Ok(first) = queue.recv() {
        let mut group = vec![first];
        group.extend(queue.try_iter().take(GROUP - 1));
        commit(ledger, group, durable);
    }
}

fn commit(ledger: &Ledger, mut group: Vec<Step>, durable: &Sender<Durable>) {
    if group.len() > 1 && ledger.together(&mut group).is_ok() {
        // Dropped first, so that whatever the closure holds is the caller's alone again.
        let waiting = group.into_iter().map(|Step { act: _, done }| done).collect();
        drop(durable.send(waiting));
        return;
    }
    // A single step, or a failed group: each gets a transaction of its own.
    for mut step in group {
        let ended = ledger.together(std::slice::from_mut(&mut step));
        drop(step.act);
        drop(step.done.send(ended));
    }
}

impl Ledger {
    fn together(&self, group: &mut [Step]) -> Result<(), StoreError> {
        let ended = self.transaction(group);
        if matches!(ended, Err(StoreError::Database(_))) {
            self.failed.store(true, Ordering::Relaxed);
        }
        ended
    }

    fn transaction(&self, group: &mut [Step]) -> Result<(), StoreError> {
        let tx = self.db.begin_write()?;
        {
            let mut tables = Tables::of(&tx, &self.identity)?;
            for step in group {
                (step.act)(&mut tables)?;
            }
            tables.settle()?;
        }
        tx.commit()?;
        Ok(())
    }
}
