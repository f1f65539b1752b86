//! Walls around a process that runs a buyer's program. Policy as data, a reason for each wall.
//!
//! # Goals
//! - One call, [`enter`], made by a worker or runner after its inputs are open and before it looks at the buyer's text or code; two around a device ([`device`]).
//! - Say which walls stand ([`Standing`]): the owner can see it, and require it.
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

/// What to wall off.
#[derive(Debug, Clone, Copy)]
pub struct Walls {
    /// Private writable memory in bytes.
    pub memory_bytes: u64,
    /// Processor seconds.
    pub cpu_seconds: u64,
    /// How far a regular file that is held for writing may grow; 0 where none may be written.
    pub file_bytes: u64,
}

/// Which walls stand after [`enter`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// A user, a network and shared memory of its own, in which nobody and nothing else is. Not every kernel or container lets a process have these.
    pub namespaces: bool,
    /// Resource limits hold.
    pub rlimits: bool,
    /// No privilege is left, and no way to gain one through a set-user-id program.
    pub no_privileges: bool,
    /// No file can be opened and no TCP socket connected or bound.
    pub landlock: bool,
    /// No system call that is not on its list ([`rules`]).
    pub calls: bool,
}

/// The walls cannot be raised: a thread that is there already would stay outside.
#[derive(Debug, thiserror::Error)]
#[error("{0} threads run where there must be one: walls stand around this one and those that it starts")]
pub struct NotAlone(pub usize);

/// Raises the walls around this process, for good. A wall that this kernel does not have is reported, not fatal.
///
/// # Errors
/// [`NotAlone`]: some library has started a thread.
pub fn enter(who: Who, walls: &Walls) -> Result<Standing, NotAlone> {
    alone()?;
    Ok(Standing {
        // First: it takes calls that are not on the list, and memory that is not counted yet.
        namespaces: apart(),
        rlimits: limit(walls),
        no_privileges: drop_privileges(),
        landlock: landlock_all(),
        calls: filter_calls(who),
    })
}

/// There is one thread: walls stand around it and those that it starts.
pub(crate) fn alone() -> Result<(), NotAlone> {
    // Where this cannot be read there is no telling.
    match std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count) {
        1 => Ok(()),
        threads => Err(NotAlone(threads)),
    }
}

/// Lets other processes go first, from here on: for work that nobody has paid for.
pub fn step_back() {
    // Where this is not possible the work is done all the same.
    let _ = rustix::process::nice(10);
}

/// Namespaces of its own: the first of the walls, which [`enter`] raises with the others. A user namespace takes no privilege to make where the kernel lets anybody; who has privileges needs none.
///
/// Making them takes a while, and they are made once: a process that waits for its task calls this before it comes.
pub fn apart() -> bool {
    static APART: OnceLock<bool> = OnceLock::new();
    *APART.get_or_init(|| {
        let alone = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
        unshare(alone | CloneFlags::CLONE_NEWUSER).or_else(|_| unshare(alone)).is_ok()
    })
}

/// Lets go of whatever the process may do that another may not: an owner's node may be run as root, and who makes a user namespace is root in it.
pub fn drop_privileges() -> bool {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, sets).is_ok() && set_no_new_privs(true).is_ok()
}

fn limit(walls: &Walls) -> bool {
    let set = |resource, value: u64| {
        // Never raise what was given.
        let value = getrlimit(resource).maximum.map_or(value, |m| m.min(value));
        setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) }).is_ok()
    };
    let limits = [
        // A core dump would write rows to disk.
        set(Resource::Core, 0),
        // No regular file can be written beyond it, whatever descriptor is held.
        set(Resource::Fsize, walls.file_bytes),
        set(Resource::Data, walls.memory_bytes),
        set(Resource::Cpu, walls.cpu_seconds),
    ];
    // Other processes of the same user cannot read this one's memory.
    let hidden = set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok();
    limits.iter().all(|ok| *ok) && hidden
}

/// Landlock with nothing allowed: descriptors already open go on working.
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

/// The list of calls, around this thread and those that it starts. Last: raising the others takes calls that are not on it.
fn filter_calls(who: Who) -> bool {
    calls::filters(who).is_ok_and(|filters| filters.iter().all(|filter| seccompiler::apply_filter(filter).is_ok()))
}
