//! Each wall, leaned against: a process behind them tries what a buyer's program would after an escape, and what a worker must still do.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Command;

use tidegate_lockdown::CALLS;

fn try_to(act: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_behind-walls")).arg(act).arg(folder.path()).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Whether there is such a wall here; says so where there is none.
fn stands(wall: &str) -> bool {
    let stands = try_to("count processors").contains(&format!("{wall}: true"));
    if !stands {
        eprintln!("SKIPPED: this kernel does not have {wall}");
        assert!(std::env::var_os("REQUIRE_WALLS").is_none(), "the walls are required");
    }
    stands
}

/// Not the network, not the shared memory, not the names of whoever started it.
#[test]
fn nobody_else_is_in_its_namespaces() {
    if stands("namespaces") {
        let said = try_to("name its namespaces");
        assert!(said.starts_with("true"), "{said}");
        for space in ["net", "ipc", "uts"] {
            let here = std::fs::read_link(format!("/proc/self/ns/{space}")).unwrap().display().to_string();
            assert!(said.contains(&format!("{space}:[")) && !said.contains(&here), "{here}: {said}");
        }
    }
}

/// Whoever started it, and whatever namespace it made.
#[test]
fn no_privilege_is_left() {
    let said = try_to("name its privileges");
    let none = rustix::thread::CapabilitySet::empty();
    let sets = rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
    assert_eq!(said.trim(), format!("true {sets:?}"));
}

#[test]
fn nothing_can_be_reached() {
    if !stands("calls") {
        return;
    }
    for act in [
        "read a file",
        "make a file",
        "look at a path",
        "look at a path without statx",
        "list a folder",
        "make a folder",
        "remove a file",
        "rename a file",
        "link a file",
        "read a link",
        "open by a descriptor's path",
        "change permissions",
        "open below the working folder",
        "connect",
        "listen",
        "send a datagram",
        "connect to a local socket",
        "listen on a local socket",
        "make a pair of sockets",
        "start a program",
        "end another process",
        "see whether a process is there",
        "raise a limit",
        "change the working folder",
        "be dumped",
    ] {
        let said = try_to(act);
        assert!(said.starts_with("failed: Operation not permitted"), "{act}: {said}");
        assert!(said.contains("calls: true"), "{act}: {said}");
    }
    // The kernel ends who writes beyond a file's limit.
    assert!(!try_to("write beyond the limit").contains("done"));
}

#[test]
fn what_a_worker_does_still_works() {
    for act in [
        "read what is held",
        "write what is held",
        "read at a place",
        "know its length",
        "hold it twice",
        "start threads",
        "take and give back memory",
        "make memory that is a file",
        "draw from the system",
        "count processors",
    ] {
        assert!(try_to(act).starts_with("done"), "{act}: {}", try_to(act));
    }
}

/// A thread that runs already would stay outside: no walls, no rows.
#[test]
fn walls_are_not_raised_around_one_thread_of_several() {
    assert!(try_to("threads before").starts_with("refused: 2 threads"), "{}", try_to("threads before"));
}

/// The list names no call twice, none that takes a path or starts a program, and says why each is there.
#[test]
fn the_list_is_as_short_as_it_says() {
    let mut numbers: Vec<_> = CALLS.iter().map(|call| call.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), CALLS.len());
    let paths =
        ["open", "stat", "link", "unlink", "rename", "mkdir", "exec", "socket", "connect", "bind", "kill", "ptrace", "mount"];
    for call in CALLS {
        let name = call.name.trim_start_matches("SYS_");
        assert!(name == "fstat" || !paths.iter().any(|path| name.contains(path)), "{name}");
        assert!(!call.why.is_empty());
    }
}
