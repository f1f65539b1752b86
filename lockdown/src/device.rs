//! Confinement of a process with a GPU. Its driver's libraries open files and start threads while the device is initialized, and
//! some later.
//!
//! So confinement takes two steps. [`prepare`] comes before initialization, for the only thread: namespaces, limits, no
//! privilege, and landlock with exceptions for files that the driver reads. [`close`] comes after, for all threads: the list of
//! calls. Landlock's exceptions remain: libraries, the kernel's information about the machine, the device. Nothing of the owner's
//! is among them.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
};

use crate::{NotAlone, Standing, Walls, alone, apart, call::Who, calls::filters, drop_privileges, limit};

/// Readable paths, and why.
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

/// Folder of thread names: the driver names its threads, and gives up if it cannot. Everything else there concerns this process
/// alone.
const THREADS: &str = "/proc/self/task";

/// Usable device files, by the common prefix of all GPUs.
const DEVICES: [(&str, &str); 5] = [
    ("/dev/nvidia", "the driver, its memory manager, GPUs"),
    ("/dev/null", "nothing"),
    ("/dev/zero", "empty pages"),
    ("/dev/urandom", "seeds"),
    ("/dev/random", "seeds"),
];

fn present(path: PathBuf, access: BitFlags<AccessFs>) -> Option<PathBeneath<PathFd>> {
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(ABI::V5) };
    Some(PathBeneath::new(PathFd::new(&path).ok()?, access))
}

/// Returns every existing path beginning with `prefix`.
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

/// Applies the measures possible before a device is initialized. `libraries` are folders that may be read in addition to the
/// system's.
///
/// # Errors
/// Returns [`NotAlone`] if some library has started a thread.
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

/// Installs the system-call filter for all existing threads and any started by them. Returns whether the filter is in force.
pub fn close() -> bool {
    filters(Who::DeviceRunner)
        .is_ok_and(|filters| filters.iter().all(|filter| seccompiler::apply_filter_all_threads(filter).is_ok()))
}
