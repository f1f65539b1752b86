//! Confines itself, performs a given action, and prints whether the action succeeded. `tests/walls.rs` runs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unsafe_code)]

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::AsFd,
        unix::{
            fs::FileExt as _,
            net::{UnixListener, UnixStream},
        },
    },
    process::Command,
};

use rustix::{
    fs::{CWD, Mode, OFlags},
    process::Signal,
};
use tidegate_lockdown::{Call, Walls, Who, With, device, enter, rules};

fn main() {
    let [_, who, act, folder] = std::env::args().collect::<Vec<_>>().try_into().expect("who, an act and a folder");
    let who = match who.as_str() {
        "worker" => Who::Worker,
        "runner" => Who::Runner,
        _ => Who::DeviceRunner,
    };
    // A worker's files are open before confinement.
    let held = std::path::Path::new(&folder).join("held");
    let mut held = File::options().read(true).write(true).create(true).truncate(false).open(held).unwrap();
    let parent = rustix::process::getppid().unwrap();
    let threads = if act == "threads before" { 2 } else { 1 };
    let waiting = (threads == 2).then(|| std::thread::spawn(|| std::thread::sleep(std::time::Duration::from_secs(5))));
    // Under full confinement these could not be read.
    if act == "name its namespaces" {
        let apart = tidegate_lockdown::apart();
        let space = |name: &str| std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display().to_string();
        return println!("{apart} {}", ["user", "net", "ipc", "uts"].map(space).join(" "));
    }
    if act == "name its privileges" {
        let dropped = tidegate_lockdown::apart() | tidegate_lockdown::drop_privileges();
        return println!("{dropped} {:?}", rustix::thread::capabilities(None).unwrap());
    }
    let walls = Walls { memory_bytes: 512 << 20, cpu_seconds: 20, file_bytes: 1 << 20 };
    let raised = match who {
        Who::DeviceRunner => device::prepare(&walls, &[std::path::PathBuf::from(&folder)]),
        _ => enter(who, &walls),
    };
    let mut standing = match raised {
        Ok(standing) => standing,
        Err(e) => return println!("refused: {e}"),
    };
    drop(waiting);
    // A thread started before the last measure, as a driver's would be.
    let (tell, told) = std::sync::mpsc::channel::<()>();
    let early = (who == Who::DeviceRunner).then(|| {
        std::thread::spawn(move || {
            told.recv().unwrap();
            UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map(|_| ())
        })
    });
    if who == Who::DeviceRunner {
        standing.calls = device::close();
    }
    let early = early.map(|thread| {
        tell.send(()).unwrap();
        thread.join().unwrap()
    });
    let path = |name: &str| format!("{folder}/{name}");
    let nothing = |_| ();
    let done: std::io::Result<()> = match act.as_str() {
        // Actions that must fail.
        "read a file" => File::open("/etc/passwd").map(nothing),
        "make a file" => File::create(path("made")).map(|_| ()),
        "look at a path" => std::fs::metadata("/etc/passwd").map(|_| ()),
        "look at a path without statx" => rustix::fs::stat("/etc/passwd").map(|_| ()).map_err(Into::into),
        "list a folder" => std::fs::read_dir("/").map(|_| ()),
        "make a folder" => std::fs::create_dir(path("folder")),
        "remove a file" => std::fs::remove_file(path("held")),
        "rename a file" => std::fs::rename(path("held"), path("other")),
        "link a file" => std::fs::hard_link(path("held"), path("other")),
        "read a link" => std::fs::read_link("/proc/self/exe").map(|_| ()),
        "open by a descriptor's path" => File::open("/proc/self/fd/0").map(|_| ()),
        "change permissions" => rustix::fs::fchmod(held.as_fd(), Mode::RWXU).map_err(Into::into),
        "open below the working folder" => {
            rustix::fs::openat(CWD, ".", OFlags::RDONLY, Mode::empty()).map(|_| ()).map_err(Into::into)
        }
        "connect" => TcpStream::connect((Ipv4Addr::LOCALHOST, 9)).map(|_| ()),
        "listen" => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map(|_| ()),
        "send a datagram" => UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map(|_| ()),
        "connect to a local socket" => UnixStream::connect("/run/socket").map(|_| ()),
        "listen on a local socket" => UnixListener::bind(path("socket")).map(|_| ()),
        "make a pair of sockets" => UnixStream::pair().map(|_| ()),
        "start a program" => Command::new("/bin/true").status().map(|_| ()),
        "end another process" => rustix::process::kill_process(parent, Signal::TERM).map_err(Into::into),
        "see whether a process is there" => rustix::process::test_kill_process(parent).map_err(Into::into),
        "raise a limit" => {
            let limit = rustix::process::Rlimit { current: None, maximum: None };
            rustix::process::setrlimit(rustix::process::Resource::Data, limit).map_err(Into::into)
        }
        "change the working folder" => std::env::set_current_dir("/"),
        "be dumped" => rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable).map_err(Into::into),
        "write beyond the limit" => held.write_all_at(&[1], 2 << 20),
        // Actions that must succeed.
        "read what is held" => held.read(&mut [0; 4]).map(|_| ()),
        "write what is held" => held.write_all(b"rows").and_then(|()| held.seek(SeekFrom::End(0)).map(|_| ())),
        "read at a place" => held.read_at(&mut [0; 4], 0).map(|_| ()),
        "know its length" => held.seek(SeekFrom::End(0)).map(|_| ()),
        "hold it twice" => held.try_clone().map(|_| ()),
        "start threads" => {
            let threads: Vec<_> = (0..4).map(|i| std::thread::Builder::new().name(format!("t{i}")).spawn(move || i)).collect();
            threads.into_iter().try_for_each(|thread| thread.map(|t| assert!(t.join().unwrap() < 4)))
        }
        "take and give back memory" => {
            (1..64usize).for_each(|i| drop(std::hint::black_box(vec![1u8; i << 20])));
            Ok(())
        }
        "make memory that is a file" => {
            let file = rustix::fs::memfd_create("image", rustix::fs::MemfdFlags::CLOEXEC);
            file.and_then(|file| rustix::fs::ftruncate(&file, 4096)).map_err(Into::into)
        }
        "draw from the system" => {
            std::hint::black_box(std::collections::HashMap::<u8, u8>::new());
            std::thread::sleep(std::time::Duration::from_millis(5));
            std::hint::black_box(std::time::Instant::now());
            Ok(())
        }
        "be a thread that was there before" => early.expect("there is one"),
        "make memory that is code" => try_code(),
        "open a library" => File::open(std::fs::read_link("/proc/self/exe").unwrap_or_default()).map(|_| ()),
        "name a thread" => {
            let name = format!("/proc/self/task/{}/comm", rustix::thread::gettid().as_raw_nonzero());
            File::create(name).and_then(|mut name| name.write_all(b"cuda"))
        }
        "open what it was given" => File::open(path("held")).map(|_| ()),
        "everything that is not listed" => {
            let listed = |number: &i64| rules(who).any(|call| call.number == *number) || *number == libc::SYS_clone3;
            // The kernel ends a process that makes these two calls (uprobe, uretprobe) without the kernel's own probe, filter or
            // not.
            all_denied((0..=511).filter(|number| !listed(number) && ![335, 336].contains(number)))
        }
        "everything that is listed" => all_let_through(rules(who)),
        "count processors" => std::thread::available_parallelism().map(|_| ()),
        "threads before" => Ok(()),
        other => panic!("no act {other}"),
    };
    println!("{} {:?}", done.map_or_else(|e| format!("failed: {e}"), |()| "done".into()), standing);
}

fn call(number: i64, arguments: [i64; 3]) -> std::io::Result<i64> {
    let [a, b, c] = arguments;
    // SAFETY: no argument is a memory address: the kernel refuses the call, or leaves this process as it was.
    let returned = unsafe { libc::syscall(number, a, b, c, -1, -1, -1) };
    if returned == -1 { Err(std::io::Error::last_os_error()) } else { Ok(returned) }
}

fn denied(number: i64, arguments: [i64; 3]) -> bool {
    call(number, arguments).is_err_and(|e| e.raw_os_error() == Some(libc::EPERM))
}

fn all_denied(numbers: impl Iterator<Item = i64>) -> std::io::Result<()> {
    let open: Vec<i64> = numbers.filter(|number| !denied(*number, [-1; 3])).collect();
    if open.is_empty() { Ok(()) } else { Err(std::io::Error::other(format!("let through: {open:?}"))) }
}

/// Calls each rule with allowed arguments without effect. Calls to end a thread or return from a signal are left out: every run
/// uses them.
fn all_let_through<'a>(rules: impl Iterator<Item = &'a Call>) -> std::io::Result<()> {
    let ends = [libc::SYS_exit, libc::SYS_exit_group, libc::SYS_rt_sigreturn];
    let mut shut = vec![];
    for rule in rules.filter(|rule| !ends.contains(&rule.number)) {
        let mut arguments = [-1; 3];
        let mut beside = None;
        match rule.with {
            With::Any => {}
            With::Bits(argument, bits) => {
                arguments[usize::from(argument)] = bits as i64;
                beside = Some((argument, 0));
            }
            With::NoBits(argument, bits) => {
                arguments[usize::from(argument)] = !bits as i64;
                beside = Some((argument, -1));
            }
            With::Just(argument, value) | With::Under(argument, _, value) => {
                arguments[usize::from(argument)] = value as i64;
                beside = Some((argument, -1));
            }
        }
        // A clone call that the kernel refuses, so that no thread is created.
        if rule.number == libc::SYS_clone {
            arguments = [-1; 3];
        }
        if denied(rule.number, arguments) {
            shut.push(format!("{} is shut", rule.name));
        }
        if let Some((argument, value)) = beside {
            arguments[usize::from(argument)] = value;
            if !denied(rule.number, arguments) {
                shut.push(format!("{} is open beside {:?}", rule.name, rule.with));
            }
        }
    }
    if shut.is_empty() { Ok(()) } else { Err(std::io::Error::other(shut.join(", "))) }
}

/// Maps a writable and executable page.
fn try_code() -> std::io::Result<()> {
    let flags = rustix::mm::MapFlags::PRIVATE;
    let protection = rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE | rustix::mm::ProtFlags::EXEC;
    // SAFETY: a new mapping, wherever the kernel puts it; nobody uses it.
    unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), 4096, protection, flags) }.map(|_| ()).map_err(Into::into)
}
