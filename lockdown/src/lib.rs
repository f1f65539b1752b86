//! Process confinement for running a buyer's program. Policy as data, with a reason for each measure.
//!
//! # Goals
//! - One call, [`enter`], made by a worker or runner after its inputs are open and before it looks at the buyer's text or code;
//!   two around a device ([`device`]).
//! - Report which measures are in force ([`Standing`]), so that the owner can see and require them.
//!
//! # Non-goals
//! - Deciding what a worker may compute (`sandbox`).

#![forbid(unsafe_code)]

mod call;
mod calls;
pub mod device;
mod device_calls;

pub use call::{Call, Who, With};
pub use calls::{CALLS, NoFilter, rules};
pub use device_calls::{DEVICE_CALLS, OLD_CALLS};
use std::sync::OnceLock;

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus};
use nix::sched::{CloneFlags, unshare};
use rustix::{
    process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit},
    thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs},
};
use serde::{Deserialize, Serialize};

/// Limits of a confined process.
#[derive(Debug, Clone, Copy)]
pub struct Walls {
    /// Private writable memory in bytes.
    pub memory_bytes: u64,
    /// Processor time in seconds.
    pub cpu_seconds: u64,
    /// Maximum size of a regular file held for writing, in bytes; 0 if none may be written.
    pub file_bytes: u64,
}

/// Confinement in force after [`enter`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Whether the process has a user, a network and shared memory of its own, shared with nobody.
    ///
    /// Not every kernel or container lets a process have these.
    pub namespaces: bool,
    /// Whether resource limits are set.
    pub rlimits: bool,
    /// Whether no privilege is left, and none can be gained through a set-user-id program.
    pub no_privileges: bool,
    /// Whether no file can be opened and no TCP socket connected or bound.
    pub landlock: bool,
    /// Whether only system calls on its list ([`rules`]) are allowed.
    pub calls: bool,
}

/// Error of confining a process with several threads: existing threads would stay unconfined.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} threads are running, and there must be only one: process confinement applies to this thread and the threads that it starts"
)]
pub struct NotAlone(pub usize);

/// Confines this process irrevocably. A measure not supported by this kernel is reported, and is not an error.
///
/// # Errors
/// Returns [`NotAlone`] if some library has started a thread.
pub fn enter(who: Who, walls: &Walls) -> Result<Standing, NotAlone> {
    alone()?;
    Ok(Standing {
        // First, since it makes calls that are not on the list, and uses memory that is not limited yet.
        namespaces: apart(),
        rlimits: limit(walls),
        no_privileges: drop_privileges(),
        landlock: landlock_all(),
        calls: filter_calls(who),
    })
}

/// Checks for a single thread: confinement covers this thread and those started by it.
pub(crate) fn alone() -> Result<(), NotAlone> {
    // If this cannot be read, the number of threads is unknown.
    match std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count) {
        1 => Ok(()),
        threads => Err(NotAlone(threads)),
    }
}

/// Lowers this process's priority from here on, for work not paid for.
pub fn step_back() {
    // If this fails the work is done all the same.
    let _ = rustix::process::nice(10);
}

/// Enters namespaces of its own, the first measure of [`enter`].
///
/// Creating a user namespace takes no privilege if the kernel lets anybody do it, and a privileged process needs none. It takes a
/// while and is done once, so a process that waits for its task calls this before the task comes.
pub fn apart() -> bool {
    static APART: OnceLock<bool> = OnceLock::new();
    *APART.get_or_init(|| {
        let alone = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
        unshare(alone | CloneFlags::CLONE_NEWUSER).or_else(|_| unshare(alone)).is_ok()
    })
}

/// Drops all capabilities and forbids new privileges. An owner's node may run as root, and the creator of a user namespace is
/// root inside.
pub fn drop_privileges() -> bool {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, sets).is_ok() && set_no_new_privs(true).is_ok()
}

fn limit(walls: &Walls) -> bool {
    let set = |resource, value: u64| {
        // Never raise a limit that was set before.
        let value = getrlimit(resource).maximum.map_or(value, |m| m.min(value));
        setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) }).is_ok()
    };
    let limits = [
        // A core dump would write rows to disk.
        set(Resource::Core, 0),
        // No regular file can grow beyond it, whatever descriptor is held.
        set(Resource::Fsize, walls.file_bytes),
        set(Resource::Data, walls.memory_bytes),
        set(Resource::Cpu, walls.cpu_seconds),
    ];
    // Other processes of the same user cannot read this one's memory.
    let hidden = set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok();
    limits.iter().all(|ok| *ok) && hidden
}

/// Enforces landlock with nothing allowed. Open descriptors keep working.
fn landlock_all() -> bool {
    let restrict = || -> Result<_, landlock::RulesetError> {
        Ruleset::default()
            .handle_access(AccessFs::from_all(ABI::V5))?
            .handle_access(AccessNet::from_all(ABI::V5))?
            .create()?
            .restrict_self()
    };
    restrict().is_ok_and(|status| status.ruleset != RulesetStatus::NotEnforced)
}

/// Installs the system-call filter for this thread and any started by it. Last, because the other measures make calls that it
/// does not allow.
fn filter_calls(who: Who) -> bool {
    calls::filters(who).is_ok_and(|filters| filters.iter().all(|filter| seccompiler::apply_filter(filter).is_ok()))
}
