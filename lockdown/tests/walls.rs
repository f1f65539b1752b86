//! Each wall, leaned against: a process behind them tries what a buyer's program would after an escape, and what a worker must still do.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Command;

use tidegate_lockdown::{Who, rules};

fn try_to(act: &str) -> String {
    try_as("worker", act)
}

fn try_as(who: &str, act: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_behind-walls")).args([who, act]).arg(folder.path()).output().unwrap();
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

/// Rule by rule: what a list names is let through with the arguments that it names and with no others, and nothing else is.
#[test]
#[cfg(target_arch = "x86_64")]
fn each_rule_lets_through_what_it_names() {
    if !stands("calls") {
        return;
    }
    for who in ["worker", "runner", "device"] {
        for act in ["everything that is listed", "everything that is not listed"] {
            let said = try_as(who, act);
            assert!(said.starts_with("done") && said.contains("calls: true"), "{who}, {act}: {said}");
        }
    }
}

/// The runtime has all the code that it needs: nobody who takes it over brings any. Compilers of programs and of a device do.
#[test]
fn a_runner_makes_no_code() {
    if !stands("calls") {
        return;
    }
    assert!(try_as("runner", "make memory that is code").starts_with("failed: Operation not permitted"));
    for who in ["worker", "device"] {
        assert!(try_as(who, "make memory that is code").starts_with("done"), "{who}");
    }
    for act in ["start threads", "take and give back memory", "know its length", "draw from the system", "count processors"] {
        let said = try_as("runner", act);
        assert!(said.starts_with("done") || act == "know its length", "{act}: {said}");
    }
}

/// Around a device the walls have holes, and those are all they have.
#[test]
fn behind_the_walls_around_a_device_there_are_libraries_and_no_more() {
    if !stands("calls") || !stands("landlock") {
        return;
    }
    for (act, begins) in [
        ("read a file", "failed: Permission denied"),
        ("make a file", "failed: Permission denied"),
        ("list a folder", "failed: Permission denied"),
        ("open what it was given", "done"),
        ("name a thread", "done"),
        ("remove a file", "failed: Operation not permitted"),
        ("connect", "failed: Operation not permitted"),
        ("make a pair of sockets", "failed: Operation not permitted"),
        ("start a program", "failed: Operation not permitted"),
        ("end another process", "failed: Operation not permitted"),
        ("raise a limit", "failed: Operation not permitted"),
        ("be dumped", "failed: Operation not permitted"),
        ("be a thread that was there before", "failed: Operation not permitted"),
        ("read what is held", "done"),
        ("start threads", "done"),
        ("take and give back memory", "done"),
    ] {
        let said = try_as("device", act);
        assert!(said.starts_with(begins) && said.contains("calls: true"), "{act}: {said}");
    }
}

/// A thread that runs already would stay outside: no walls, no rows.
#[test]
fn walls_are_not_raised_around_one_thread_of_several() {
    assert!(try_to("threads before").starts_with("refused: 2 threads"), "{}", try_to("threads before"));
}

/// No list names a call that takes a path or starts a program, but for a device's, which landlock stands around; and each says why it is there.
#[test]
fn the_lists_are_as_short_as_they_say() {
    let paths =
        ["open", "stat", "link", "unlink", "rename", "mkdir", "exec", "socket", "connect", "bind", "kill", "ptrace", "mount"];
    for who in [Who::Worker, Who::Runner] {
        let mut numbers: Vec<_> = rules(who).map(|call| call.number).collect();
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), all, "{who:?}: no call twice");
        for call in rules(who) {
            let name = call.name.trim_start_matches("SYS_");
            assert!(name == "fstat" || !paths.iter().any(|path| name.contains(path)), "{name}");
            assert!(!call.why.is_empty());
        }
    }
    assert!(rules(Who::Runner).count() < rules(Who::Worker).count());
    let never = ["exec", "socket", "connect", "listen", "ptrace", "mount", "unshare", "setns", "memfd", "process_vm"];
    for call in rules(Who::DeviceRunner) {
        assert!(!never.iter().any(|never| call.name.contains(never)), "{}", call.name);
    }
}
