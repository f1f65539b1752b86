//! Walls around a process that uses a GPU: its driver's libraries open files and start threads while the device is made ready, and some later.
//!
//! So they rise in two steps. [`prepare`] before, around the one thread there is: namespaces, limits, no privilege, and landlock with what the driver reads. [`close`]
//! after, around all threads: the list of calls. Landlock's holes stay: libraries, the kernel's own accounts of the machine, the device. Nothing of the owner's is among them.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
};

use crate::{
    NotAlone, Standing, Walls, alone, apart,
    calls::{Call, D, Who, With, calls, filters},
    drop_privileges, limit,
};

/// What may be read: a path, and why.
const READ: [(&str, &str); 16] = [
    ("/usr/lib", "libraries"),
    ("/usr/lib64", "libraries"),
    ("/lib", "libraries"),
    ("/lib64", "libraries"),
    ("/usr/local/lib", "libraries"),
    ("/usr/local/cuda", "CUDA's own folder"),
    ("/usr/local/nvidia", "the driver's libraries in some containers"),
    ("/etc/ld.so.cache", "where libraries are"),
    ("/proc/self", "its own memory map"),
    ("/proc/devices", "numbers of device files"),
    ("/proc/modules", "whether the driver is loaded"),
    ("/proc/meminfo", "how much memory the machine has"),
    ("/proc/cpuinfo", "its processors"),
    ("/proc/driver", "the driver's settings"),
    ("/proc/sys/vm", "how memory is handed out"),
    ("/sys/devices", "where devices and processors are"),
];

/// Where its threads' names are written: the driver names those that it starts, and gives up where it cannot. The rest of what lies there concerns this process alone.
const THREADS: &str = "/proc/self/task";

/// Device files that may be used, with the prefix that those of all GPUs share.
const DEVICES: [(&str, &str); 5] = [
    ("/dev/nvidia", "the driver, its memory manager, GPUs"),
    ("/dev/null", "nothing"),
    ("/dev/zero", "empty pages"),
    ("/dev/urandom", "seeds"),
    ("/dev/random", "seeds"),
];

use With::{Any, Under};

/// What the driver's libraries take beside a runner's list: read off its documentation and other sandboxes' lists (gVisor's nvproxy).
pub const DEVICE_CALLS: [Call; 30] = calls! {
    // The device. Numbers of the driver's own: type 'F'; its memory manager's have no type and are small.
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
    // Files that landlock lets it have.
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

/// Those that newer processors' kernels never had.
#[cfg(target_arch = "x86_64")]
pub const OLD_CALLS: [Call; 4] = calls! {
    D SYS_poll Any, "the device has done something";
    D SYS_access Any, "whether a file is there";
    D SYS_newfstatat Any, "the same";
    D SYS_readlink Any, "where a link leads";
};
#[cfg(not(target_arch = "x86_64"))]
pub const OLD_CALLS: [Call; 1] = calls! { D SYS_fstatat Any, "whether a file is there"; };

fn present(path: PathBuf, access: BitFlags<AccessFs>) -> Option<PathBeneath<PathFd>> {
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(ABI::V5) };
    Some(PathBeneath::new(PathFd::new(&path).ok()?, access))
}

/// Every path with this beginning that is there.
fn beginning(prefix: &str) -> Vec<PathBuf> {
    let path = Path::new(prefix);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return vec![] };
    let name = name.to_string_lossy();
    let all = std::fs::read_dir(folder).into_iter().flatten().flatten();
    all.filter(|entry| entry.file_name().to_string_lossy().starts_with(&*name)).map(|entry| entry.path()).collect()
}

fn landlock_but(libraries: &[PathBuf]) -> bool {
    let read = AccessFs::from_read(ABI::V5);
    let used = read | AccessFs::WriteFile | AccessFs::IoctlDev;
    let named = present(THREADS.into(), read | AccessFs::WriteFile | AccessFs::Truncate);
    let read =
        READ.iter().map(|(path, _)| PathBuf::from(path)).chain(libraries.iter().cloned()).filter_map(|path| present(path, read));
    let used = DEVICES.iter().flat_map(|(prefix, _)| beginning(prefix)).filter_map(|path| present(path, used));
    let restrict = || -> Result<_, landlock::RulesetError> {
        let handled =
            Ruleset::default().handle_access(AccessFs::from_all(ABI::V5))?.handle_access(AccessNet::from_all(ABI::V5))?;
        handled.create()?.add_rules(read.chain(named).chain(used).map(Ok::<_, landlock::RulesetError>))?.restrict_self()
    };
    restrict().is_ok_and(|status| status.ruleset != RulesetStatus::NotEnforced)
}

/// Raises what can stand before a device is made ready. `libraries` are folders that may be read beside the system's.
///
/// # Errors
/// [`NotAlone`]: some library has started a thread.
pub fn prepare(walls: &Walls, libraries: &[PathBuf]) -> Result<Standing, NotAlone> {
    alone()?;
    Ok(Standing {
        namespaces: apart(),
        rlimits: limit(walls),
        no_privileges: drop_privileges(),
        landlock: landlock_but(libraries),
        calls: false,
    })
}

/// Puts up the list of calls around all threads there are, and those that they start. Whether it stands.
pub fn close() -> bool {
    filters(Who::DeviceRunner)
        .is_ok_and(|filters| filters.iter().all(|filter| seccompiler::apply_filter_all_threads(filter).is_ok()))
}
