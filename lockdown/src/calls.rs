//! What a worker may ask of the kernel, as data: a call, for which arguments, and why. Everything else fails with EPERM.
//!
//! The list was read off runs of queries, components and models. It has nothing that names a file, a process or an address: what a worker uses it holds as a
//! descriptor.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// Which arguments a call is allowed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum With {
    /// Any.
    Any,
    /// The argument of this number has all of these bits.
    Bits(u8, u64),
    /// The argument of this number is this.
    Just(u8, u64),
}

/// A call that is allowed.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Its name.
    pub name: &'static str,
    /// Its number here.
    pub number: i64,
    /// With which arguments.
    pub with: With,
    /// What a worker does with it.
    pub why: &'static str,
}

macro_rules! calls {
    ($($name:ident $with:expr, $why:literal;)*) => {
        [$(Call { name: stringify!($name), number: libc::$name, with: $with, why: $why }),*]
    };
}

use With::{Any, Bits, Just};

/// The list.
pub const CALLS: [Call; 41] = calls! {
    // Descriptors that are open already.
    SYS_read Any, "the task, and what the runner answers";
    SYS_readv Any, "the same";
    SYS_write Any, "sums to the node, rows to the runner";
    SYS_writev Any, "the same";
    SYS_pread64 Any, "rows, and groups that did not fit in memory";
    SYS_pwrite64 Any, "such groups; the image of a guest's memory";
    SYS_lseek Any, "the standard library's idea of a file's length";
    SYS_fstat Any, "a file's length";
    SYS_close Any, "done with one";
    SYS_fcntl Any, "another descriptor of the same file; seals of a memory image";
    SYS_memfd_create Any, "the image of a guest's memory: a file without a name, in memory";
    SYS_ftruncate Any, "its length";
    // Memory. Code is compiled, so some of it becomes executable.
    SYS_mmap Any, "memory";
    SYS_munmap Any, "memory";
    SYS_mremap Any, "a buffer that grows";
    SYS_mprotect Any, "compiled code; how far a guest's memory reaches";
    SYS_madvise Any, "memory that is given back";
    SYS_brk Any, "memory";
    SYS_membarrier Any, "processors see new code";
    // Threads of this process, and nothing that is another process.
    SYS_clone Bits(0, libc::CLONE_THREAD as u64 | libc::CLONE_VM as u64), "a thread";
    SYS_set_robust_list Any, "a thread begins";
    SYS_rseq Any, "a thread begins";
    SYS_set_tid_address Any, "a thread begins";
    SYS_gettid Any, "which thread this is";
    SYS_getpid Any, "which process this is";
    SYS_futex Any, "threads wait for each other";
    SYS_sched_yield Any, "threads wait for each other";
    SYS_sched_getaffinity Any, "how many processors there are";
    SYS_getcpu Any, "which processor this is";
    SYS_prctl Just(0, libc::PR_SET_NAME as u64), "a thread's name";
    SYS_exit Any, "a thread ends";
    SYS_exit_group Any, "the process ends";
    // A guest's trap is a signal to this very thread.
    SYS_rt_sigaction Any, "where a trap goes";
    SYS_rt_sigprocmask Any, "none while a thread begins";
    SYS_rt_sigreturn Any, "back from a trap";
    SYS_sigaltstack Any, "a stack for traps";
    // Time and chance: for hash tables and deadlines; no guest sees either.
    SYS_getrandom Any, "seeds of hash tables";
    SYS_clock_gettime Any, "time, where the kernel does not map it";
    SYS_gettimeofday Any, "the same";
    SYS_clock_nanosleep Any, "a thread waits a little";
    SYS_restart_syscall Any, "waiting goes on after a signal";
};

/// Why no filter stands.
#[derive(Debug, thiserror::Error)]
#[error("the system-call filter: {0}")]
pub struct NoFilter(#[from] BackendError);

fn filter(calls: BTreeMap<i64, Vec<SeccompRule>>, others: SeccompAction, these: SeccompAction) -> Result<BpfProgram, NoFilter> {
    Ok(SeccompFilter::new(calls, others, these, std::env::consts::ARCH.try_into()?)?.try_into()?)
}

/// The filters, in the order in which they are put up. Where two answer, the one that refuses is heard.
pub(crate) fn filters() -> Result<[BpfProgram; 2], NoFilter> {
    // A pointer hides this call's flags. Where it is not there, the C library takes SYS_clone.
    let unknown = BTreeMap::from([(libc::SYS_clone3, vec![])]);
    let unknown = filter(unknown, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))?;
    let rule = |call: &Call| {
        let condition = match call.with {
            With::Any => return Ok((call.number, vec![])),
            With::Bits(argument, bits) => (argument, SeccompCmpOp::MaskedEq(bits), bits),
            With::Just(argument, value) => (argument, SeccompCmpOp::Eq, value),
        };
        let (argument, compare, value) = condition;
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Qword, compare, value)?;
        Ok((call.number, vec![SeccompRule::new(vec![condition])?]))
    };
    let mut allowed = CALLS.iter().map(rule).collect::<Result<BTreeMap<_, _>, BackendError>>()?;
    // The filter before this one answers it.
    allowed.insert(libc::SYS_clone3, vec![]);
    Ok([unknown, filter(allowed, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)?])
}
