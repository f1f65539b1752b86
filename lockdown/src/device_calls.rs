//! System calls of a process with a GPU, in addition to a runner's.

use crate::call::{
    Call, D,
    With::{Any, Under},
    calls,
};

/// Additional calls of the driver's libraries, from its documentation and other sandboxes' lists (gVisor's nvproxy).
pub const DEVICE_CALLS: [Call; 30] = calls! {
    // The device. Request numbers of the driver have type 'F'; those of its memory manager have no type and are small.
    D SYS_ioctl Under(1, !0xff00, 0x4600), "the driver, whatever the size of what is handed over";
    D SYS_ioctl Under(1, 0xff, 0), "its memory manager";
    D SYS_ioctl Under(1, 0xff, 0x3000_0000), "the memory manager's first and last calls";
    D SYS_mmap Any, "the device's memory; code of libraries";
    D SYS_mprotect Any, "code of libraries";
    D SYS_ppoll Any, "the device has done something";
    D SYS_eventfd2 Any, "the same, between threads";
    D SYS_pipe2 Any, "the same";
    D SYS_mlock Any, "memory that the device reads";
    D SYS_munlock Any, "the same";
    D SYS_mincore Any, "whether memory is there";
    // Files that landlock allows.
    D SYS_openat Any, "libraries for the kernels of a model, which are loaded when they are first needed";
    D SYS_statx Any, "whether they are there";
    D SYS_faccessat Any, "the same";
    D SYS_readlinkat Any, "where a link leads";
    D SYS_getdents64 Any, "what devices there are";
    D SYS_lseek Any, "reading them";
    D SYS_pread64 Any, "the same";
    D SYS_fcntl Any, "a descriptor that is not handed on";
    // The machine.
    D SYS_uname Any, "which kernel this is";
    D SYS_sysinfo Any, "how much memory there is";
    D SYS_getrusage Any, "how much is used";
    D SYS_prlimit64 Under(2, 0, 0), "what the limits are; not to set any";
    D SYS_getuid Any, "whose process this is";
    D SYS_geteuid Any, "the same";
    D SYS_getpriority Any, "how urgent a thread is";
    D SYS_get_mempolicy Any, "which memory is near";
    D SYS_mbind Any, "memory that is near";
    D SYS_tgkill Any, "a thread of its own is stopped: no other process is seen";
    D SYS_clock_nanosleep Any, "a thread waits a little";
};

/// Legacy calls, never present in kernels of newer architectures.
#[cfg(target_arch = "x86_64")]
pub const OLD_CALLS: [Call; 4] = calls! {
    D SYS_poll Any, "the device has done something";
    D SYS_access Any, "whether a file is there";
    D SYS_newfstatat Any, "the same";
    D SYS_readlink Any, "where a link leads";
};
#[cfg(not(target_arch = "x86_64"))]
pub const OLD_CALLS: [Call; 1] = calls! { D SYS_fstatat Any, "whether a file is there"; };
