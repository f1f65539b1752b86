//! System calls allowed to a confined process, as data: the processes, the call, its arguments, and the reason. Everything else
//! fails with EPERM.
//!
//! The lists were recorded from runs of queries, components and models. They have nothing that names a file, a process or an
//! address: everything in use is held
//! as a descriptor. A runner with a device has more, including a way to open files: see [`device`](crate::device).

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use crate::{
    call::{Call, R, W, WR, Who, With, calls},
    device_calls::{DEVICE_CALLS, OLD_CALLS},
};

use With::{Any, Bits, Just, NoBits};

/// Allowed calls, without a device's.
pub const CALLS: [Call; 43] = calls! {
    // Descriptors that are open already.
    WR SYS_read Any, "the task, and what the runner answers";
    W SYS_readv Any, "the same";
    WR SYS_write Any, "sums to the node, rows to the runner";
    W SYS_writev Any, "the same";
    W SYS_pread64 Any, "rows, and groups that did not fit in memory";
    W SYS_pwrite64 Any, "such groups; the image of a guest's memory";
    W SYS_lseek Any, "the standard library's idea of a file's length";
    WR SYS_fstat Any, "a file's length";
    WR SYS_close Any, "done with one";
    W SYS_fcntl Any, "another descriptor of the same file; seals of a memory image";
    W SYS_memfd_create Any, "the image of a guest's memory: a file without a name, in memory";
    W SYS_ftruncate Any, "its length";
    // Memory. Code is compiled, so some of it becomes executable.
    W SYS_mmap Any, "memory";
    R SYS_mmap NoBits(2, libc::PROT_EXEC as u64), "memory, none of it code: the runtime has all of its own";
    WR SYS_munmap Any, "memory";
    WR SYS_mremap Any, "a buffer that grows";
    W SYS_mprotect Any, "compiled code; how far a guest's memory reaches";
    R SYS_mprotect NoBits(2, libc::PROT_EXEC as u64), "memory, none of it code: the runtime has all of its own";
    WR SYS_madvise Any, "memory that is given back";
    WR SYS_brk Any, "memory";
    W SYS_membarrier Any, "processors see new code";
    // Threads of this process, and nothing that creates another process.
    WR SYS_clone Bits(0, libc::CLONE_THREAD as u64 | libc::CLONE_VM as u64), "a thread";
    WR SYS_set_robust_list Any, "a thread begins";
    WR SYS_rseq Any, "a thread begins";
    WR SYS_set_tid_address Any, "a thread begins";
    WR SYS_gettid Any, "which thread this is";
    WR SYS_getpid Any, "which process this is";
    WR SYS_futex Any, "threads wait for each other";
    WR SYS_sched_yield Any, "threads wait for each other";
    WR SYS_sched_getaffinity Any, "how many processors there are";
    WR SYS_getcpu Any, "which processor this is";
    WR SYS_prctl Just(0, libc::PR_SET_NAME as u64), "a thread's name";
    WR SYS_exit Any, "a thread ends";
    WR SYS_exit_group Any, "the process ends";
    // A guest's trap is a signal to this very thread.
    WR SYS_rt_sigaction Any, "where a trap goes";
    WR SYS_rt_sigprocmask Any, "none while a thread begins";
    WR SYS_rt_sigreturn Any, "back from a trap";
    WR SYS_sigaltstack Any, "a stack for traps";
    // Time and randomness, for hash tables and deadlines; no guest sees either.
    WR SYS_getrandom Any, "seeds of hash tables";
    WR SYS_clock_gettime Any, "time, where the kernel does not map it";
    WR SYS_gettimeofday Any, "the same";
    WR SYS_clock_nanosleep Any, "a thread waits a little";
    WR SYS_restart_syscall Any, "waiting goes on after a signal";
};

/// Iterates over the rules for `who`.
pub fn rules(who: Who) -> impl Iterator<Item = &'static Call> {
    CALLS.iter().chain(&DEVICE_CALLS).chain(&OLD_CALLS).filter(move |call| call.who.contains(&who))
}

/// Error in building a filter.
#[derive(Debug, thiserror::Error)]
#[error("the system-call filter: {0}")]
pub struct NoFilter(#[from] BackendError);

fn filter(calls: BTreeMap<i64, Vec<SeccompRule>>, others: SeccompAction, these: SeccompAction) -> Result<BpfProgram, NoFilter> {
    Ok(SeccompFilter::new(calls, others, these, std::env::consts::ARCH.try_into()?)?.try_into()?)
}

/// Builds the filters, in the order of installation. If the two disagree, the refusal wins.
pub(crate) fn filters(who: Who) -> Result<[BpfProgram; 2], NoFilter> {
    // A pointer hides this call's flags. On ENOSYS the C library falls back to SYS_clone.
    let unknown = BTreeMap::from([(libc::SYS_clone3, vec![])]);
    let unknown = filter(unknown, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))?;
    let mut allowed: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in rules(who) {
        let (argument, compare, value) = match call.with {
            Any => {
                allowed.insert(call.number, vec![]);
                continue;
            }
            Bits(argument, bits) => (argument, SeccompCmpOp::MaskedEq(bits), bits),
            NoBits(argument, bits) => (argument, SeccompCmpOp::MaskedEq(bits), 0),
            Just(argument, value) => (argument, SeccompCmpOp::Eq, value),
            With::Under(argument, bits, value) => (argument, SeccompCmpOp::MaskedEq(!bits), value),
        };
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Qword, compare, value)?;
        allowed.entry(call.number).or_default().push(SeccompRule::new(vec![condition])?);
    }
    // The first filter answers it.
    allowed.insert(libc::SYS_clone3, vec![]);
    Ok([unknown, filter(allowed, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)?])
}
