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
    calls::{Who, filters},
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
