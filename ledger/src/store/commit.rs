//! Group commit: steps that wait at the same time go into one transaction, and one fsync makes them all durable.

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

/// Most steps of one transaction: a step waits for those beside it.
const GROUP: usize = 256;

type Act = Box<dyn FnMut(&mut Tables<'_>) -> Result<(), StoreError> + Send>;

/// What is done within a transaction, again where one beside it failed; and who waits for it.
struct Step {
    act: Act,
    /// Told how the transaction ended.
    done: SyncSender<Result<(), StoreError>>,
}

/// Those whose transaction has ended well.
type Durable = Vec<SyncSender<Result<(), StoreError>>>;

/// The one writer of a database.
pub(super) struct Committer {
    steps: Mutex<Option<Sender<Step>>>,
    failed: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Committer {
    pub(super) fn start(db: Arc<Database>, identity: Identity) -> Result<Self, StoreError> {
        let ((steps, queue), (durable, answers)) = (channel(), channel::<Durable>());
        let thread = |name: &str| std::thread::Builder::new().name(name.into());
        // To wake many takes as long as to write what they asked for: the next transaction is not held up by it.
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

    /// Whether the database has failed to write: it takes nothing more until it is opened anew.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Runs `step` in a transaction and waits until it is durable. A step that fails leaves nothing behind; one that is answered with `Ok` must have written
    /// all or nothing of what it means. It is run anew where another step of the same transaction failed.
    ///
    /// # Errors
    /// What the step returns, or why the transaction could not be committed.
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
        let gone = || StoreError::Record("the ledger's thread has ended".into());
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
            // One that panicked has said so.
            drop(thread.join());
        }
    }
}

/// What the writing thread has.
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
        // What an act holds is the waiting one's own again.
        let waiting = group.into_iter().map(|Step { act: _, done }| done).collect();
        drop(durable.send(waiting));
        return;
    }
    // Alone, or beside one that failed: each gets a transaction of its own.
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
