//! Settings of an owner's node.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use tidegate_exchange::Address;

use crate::owner::witnesses::Known;

/// Settings with which [`OwnerNode::start`](crate::owner::OwnerNode::start) serves an owner's datasets.
///
/// The defaults are those of `tidegate serve`. How the party is reached beyond its sockets is not set here but kept in its
/// [`Home`](crate::home::Home).
#[derive(Debug, Clone)]
pub struct OwnerConfig {
    /// Socket to listen on; port 0 takes a free one. By default, a free port of 127.0.0.1.
    pub listen: SocketAddr,
    /// Maximum number of running jobs; by default one per processor, up to four, as long as their workers fit in memory.
    pub jobs: Option<usize>,
    /// Maximum number of running jobs of a single buyer; by default half of all, rounded up.
    pub jobs_per_buyer: Option<usize>,
    /// Maximum number of jobs waiting to run; further jobs are refused and may be sent again.
    pub queue: Option<usize>,
    /// Witnesses to bring checkpoints to, beside those remembered in the home, where these are remembered too.
    pub witnesses: Vec<Known>,
    /// Peers to begin with in gossip, and to exchange listings with.
    pub with: Vec<Address>,
    /// Sockets shown in listings; by default those listened on.
    pub reached_at: Vec<SocketAddr>,
    /// Mirrors of this owner's encrypted datasets, as shown in listings.
    pub mirrors: Vec<Address>,
    /// Other nodes answering jobs over this owner's datasets, as shown in listings.
    pub holders: Vec<Address>,
    /// Validity period of the lists of revoked grants; by default a day. Meanwhile, a mirror that hears nothing does not know of
    /// later revocations.
    pub revocations_last: Option<Duration>,
    /// Lifetime of leases on this owner's privacy budgets; by default a day.
    pub leases_last: Option<Duration>,
    /// Whether only listings of owners in the address book are kept.
    pub only_known: bool,
    /// Whether jobs run even if parts of the workers' process confinement are missing: an escape from the sandbox finds more to
    /// take then.
    pub without_confinement: bool,
    /// Program that workers are started from; by default this process's own, which must call
    /// [`run_worker_if_asked`](crate::worker::run_worker_if_asked) first in its `main`.
    ///
    /// The `tidegate` binary of this version serves. It is opened once: a file that replaces it later is not started.
    pub worker_program: Option<PathBuf>,
}

impl Default for OwnerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            jobs: None,
            jobs_per_buyer: None,
            queue: None,
            witnesses: vec![],
            with: vec![],
            reached_at: vec![],
            mirrors: vec![],
            holders: vec![],
            revocations_last: None,
            leases_last: None,
            only_known: false,
            without_confinement: false,
            worker_program: None,
        }
    }
}
