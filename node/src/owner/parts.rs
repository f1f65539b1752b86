//! Background parts of an owner's node, and the report of the first that failed.

use std::{
    fmt::{self, Display},
    future::Future,
    sync::Arc,
};

use tidegate_ledger::Store;
use tokio::{sync::watch, task::JoinSet};

/// Part of a running node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The ledger: nothing can be charged, finished or logged until the node is started again.
    Ledger,
    /// Gossip that tells mirrors which grants are revoked.
    Revocations,
    /// Gossip of listings.
    Listings,
    /// Completion of the jobs that a crash cut off.
    Recovery,
    /// Execution of the owner's commands, such as revocations, and the exchange with witnesses.
    Orders,
    /// Checks of the data files.
    Files,
    /// Renewal of the leases on datasets held for other owners.
    Leases,
    /// Gossip in which other owners tell which of their grants are revoked.
    Heard,
}

/// End of a part of a node that nobody asked for. `Display` is for the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The part.
    pub part: Part,
    /// Reason of the failure.
    pub why: String,
}

impl Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gone = match self.part {
            Part::Ledger => {
                return f.write_str(
                    "the ledger could not be written (is the disk full?), and accepts nothing until the node is restarted. Free disk space and restart the node: \
                     it then finishes charged jobs",
                );
            }
            Part::Revocations => "revocation lists are no longer announced to mirrors",
            Part::Listings => "listings are no longer announced",
            Part::Recovery => "interrupted jobs cannot be finished",
            Part::Orders => "commands such as `tidegate revoke` are no longer processed",
            Part::Files => "the data files are no longer checked",
            Part::Leases => "leases are no longer renewed",
            Part::Heard => "revocation lists of other owners are no longer received",
        };
        write!(f, "{gone}: {}", self.why)
    }
}

impl std::error::Error for Failed {}

/// Tasks of a node's parts, aborted on drop.
pub(in crate::owner) struct Parts {
    running: JoinSet<()>,
    failed: watch::Sender<Option<Failed>>,
    store: Arc<Store>,
}

/// Guard in a part's task that reports the part's failure.
struct Report {
    part: Part,
    failed: watch::Sender<Option<Failed>>,
    store: Arc<Store>,
}

impl Report {
    /// Reports a failure unless another part failed before.
    fn say(&self, why: String) {
        // Parts fail over a ledger that takes nothing more: the ledger is to be named then.
        let part = if self.store.has_failed() { Part::Ledger } else { self.part };
        self.failed.send_if_modified(|failed| {
            let first = failed.is_none();
            if first {
                *failed = Some(Failed { part, why });
            }
            first
        });
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.say("it panicked".into());
        }
    }
}

impl Parts {
    /// Builds an empty set of parts over a ledger.
    pub(in crate::owner) fn over(store: Arc<Store>) -> Self {
        Self { running: JoinSet::new(), failed: watch::Sender::new(None), store }
    }

    /// Starts a part. An error that it ends with, or a panic, is a failure; its end without one is not.
    pub(in crate::owner) fn start<E: Display + 'static>(
        &mut self,
        part: Part,
        run: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let report = Report { part, failed: self.failed.clone(), store: self.store.clone() };
        self.running.spawn(async move {
            let why = run.await.err().map(|e| e.to_string());
            if let Some(why) = why {
                report.say(why);
            }
        });
    }

    /// Waits until a part has failed, and returns the first failure each time.
    pub(in crate::owner) async fn failed(&self) -> Failed {
        let mut told = self.failed.subscribe();
        let found = told.wait_for(Option::is_some).await.ok().and_then(|failed| failed.clone());
        match found {
            Some(failed) => failed,
            // Not reached: the sender lives as long as `self`, and the value is there.
            None => std::future::pending().await,
        }
    }

    /// Stops all parts, and waits until they have ended.
    pub(in crate::owner) async fn end(&mut self) {
        self.running.shutdown().await;
    }

    /// Stops all parts without waiting.
    pub(in crate::owner) fn abort(&mut self) {
        self.running.abort_all();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidegate_protocol::Identity;

    use super::*;

    fn parts(folder: &std::path::Path) -> Parts {
        Parts::over(Arc::new(Store::open(folder, Identity::from_seed([7; 32])).unwrap()))
    }

    #[tokio::test]
    async fn the_first_part_that_fails_is_named_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut parts = parts(folder.path());
        parts.start(Part::Recovery, async { Ok::<_, String>(()) });
        assert!(tokio::time::timeout(Duration::from_millis(50), parts.failed()).await.is_err(), "an end is no failure");
        parts.start(Part::Listings, async { Err("nobody is there") });
        let first = parts.failed().await;
        assert_eq!(first.part, Part::Listings);
        assert_eq!(first.to_string(), "listings are no longer announced: nobody is there");
        parts.start(Part::Files, async { Err("later") });
        parts.running.join_all().await;
        let failed = parts.failed.borrow().clone();
        assert_eq!(failed, Some(first));
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_and_an_abort_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut parts = parts(folder.path());
        parts.start(Part::Leases, std::future::pending::<Result<(), String>>());
        parts.end().await;
        assert_eq!(*parts.failed.borrow(), None);
        parts.start(Part::Files, async {
            assert!(std::hint::black_box(false), "broken by a test");
            Ok::<_, String>(())
        });
        assert_eq!(parts.failed().await, Failed { part: Part::Files, why: "it panicked".into() });
    }
}
