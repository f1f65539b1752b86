//! The process killed at every system call that changes a file, in turn, and every one of them failing: what is left is a whole log and a ledger that
//! adds up. The calls are the kernel's account (ptrace), not ours.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use nix::{
    sys::{
        ptrace::{self, Options},
        signal::Signal,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use tidegate_audit::{
    Audit,
    log::{fsck::fsck, scan},
    note::{BadNote, Verifier},
};
use tidegate_ledger::{
    State, Store, from_folder,
    witness::{AddCheckpoint, Witness},
};
use tidegate_protocol::{Identity, receipt::Predicate};

use crate::common::{SUMS, ask, begun, owner, soon};

const FOLDER: &str = "TIDEGATE_CRASH_FOLDER";

fn witness(folder: &Path) -> Result<Witness, BadNote> {
    Witness::open(&folder.join("witness"), &Identity::from_seed([7; 32]), vec![Verifier::log(&owner().id())])
}

fn revocation(i: usize) -> Predicate {
    Predicate::Revocation { grant: format!("{i:04x}") }
}

/// What the process does: two jobs and a grant's end, over the border of a tile, and a witness that cosigns.
fn work(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::open(folder, owner())?;
    for request in [1, 2] {
        let reservation = store.reserve(ask(request, 10))?.map_err(|_| "done before")?;
        store.finish(reservation, format!("result {request}"), SUMS)?;
        store.export()?;
        store.record("it", SUMS, revocation(9000 + request as usize))?;
    }
    let witness = witness(folder)?;
    let note = store.checkpoint()?;
    let line = witness.add(&AddCheckpoint { old: 0, proof: vec![], note: note.clone() }.to_body(), soon());
    store.cosigned(note, vec![line.map_err(|_| "not cosigned")?])?;
    Ok(())
}

/// The child: waits until it is watched.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    std::fs::write(folder.join("ready"), "").unwrap();
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let done = std::panic::catch_unwind(|| work(folder).map_err(|e| e.to_string()));
    std::process::exit(match done {
        Ok(Ok(())) => 0,
        Ok(Err(_)) => 3,
        Err(_) => 4,
    });
}

/// A system call that begins.
struct Call {
    number: i64,
    arguments: [u64; 3],
}

#[cfg(target_arch = "x86_64")]
fn call(thread: Pid) -> nix::Result<Call> {
    let r = ptrace::getregs(thread)?;
    Ok(Call { number: r.orig_rax as i64, arguments: [r.rdi, r.rsi, r.rdx] })
}

#[cfg(target_arch = "aarch64")]
fn call(thread: Pid) -> nix::Result<Call> {
    let r = ptrace::getregset::<ptrace::regset::NT_PRSTATUS>(thread)?;
    Ok(Call { number: r.regs[8] as i64, arguments: [r.regs[0], r.regs[1], r.regs[2]] })
}

/// What stands for a call that failed: none is made, and its result is EIO.
#[cfg(target_arch = "x86_64")]
fn skip(thread: Pid) -> nix::Result<()> {
    let mut r = ptrace::getregs(thread)?;
    r.orig_rax = u64::MAX;
    ptrace::setregs(thread, r)
}

#[cfg(target_arch = "x86_64")]
fn fail(thread: Pid) -> nix::Result<()> {
    let mut r = ptrace::getregs(thread)?;
    r.rax = -i64::from(libc::EIO) as u64;
    ptrace::setregs(thread, r)
}

impl Call {
    /// Whether it changes a file, or makes a change durable.
    fn changes(&self) -> bool {
        let [first, _, third] = self.arguments;
        match self.number {
            libc::SYS_write | libc::SYS_pwrite64 | libc::SYS_writev | libc::SYS_pwritev => first > 2,
            libc::SYS_fsync | libc::SYS_fdatasync | libc::SYS_ftruncate | libc::SYS_fallocate => true,
            libc::SYS_openat => third & libc::O_CREAT as u64 != 0,
            libc::SYS_renameat | libc::SYS_renameat2 | libc::SYS_unlinkat | libc::SYS_mkdirat | libc::SYS_linkat => true,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_rename | libc::SYS_unlink | libc::SYS_rmdir | libc::SYS_mkdir | libc::SYS_link => true,
            _ => false,
        }
    }

    fn renames(&self) -> bool {
        #[cfg(target_arch = "x86_64")]
        if self.number == libc::SYS_rename {
            return true;
        }
        [libc::SYS_renameat, libc::SYS_renameat2].contains(&self.number)
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Then {
    Kill,
    #[cfg(target_arch = "x86_64")]
    Fail,
}

/// How the process ended.
#[derive(Debug, PartialEq)]
enum End {
    /// It did all of its work: there was no such call.
    Whole,
    Cut,
    /// It said that something failed.
    Told,
    /// A call failed, and it could do without.
    Borne,
}

/// Descriptors that were written and not made durable: files that are put into place must not be among them.
#[derive(Default)]
struct Dirty(BTreeSet<u64>);

impl Dirty {
    fn see(&mut self, process: Pid, call: &Call) {
        // What is written there is durable in the ledger's journal.
        let path = || std::fs::read_link(format!("/proc/{process}/fd/{}", call.arguments[0])).unwrap_or_default();
        match call.number {
            libc::SYS_pwrite64 if path().ends_with("ledger.redb") => {}
            libc::SYS_write | libc::SYS_pwrite64 if call.arguments[0] > 2 => drop(self.0.insert(call.arguments[0])),
            libc::SYS_fsync | libc::SYS_fdatasync => drop(self.0.remove(&call.arguments[0])),
            _ if call.renames() => assert!(self.0.is_empty(), "a file is put into place before it is durable"),
            _ => {}
        }
    }
}

/// Runs the work in `folder` until its call number `at` that changes a file.
fn run(folder: &Path, at: usize, then: Then) -> nix::Result<End> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ended = watch(&mut child, folder, at, then);
    if ended.is_err() {
        let _ = child.kill();
    }
    let _ = child.wait();
    ended
}

fn watch(child: &mut Child, folder: &Path, at: usize, then: Then) -> nix::Result<End> {
    let ready = folder.join("ready");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !ready.exists() {
        assert!(Instant::now() < deadline, "the child does not begin");
        std::thread::sleep(Duration::from_millis(2));
    }
    std::fs::remove_file(&ready).unwrap();
    let process = Pid::from_raw(child.id() as i32);
    for thread in std::fs::read_dir(format!("/proc/{process}/task")).unwrap() {
        let thread = Pid::from_raw(thread.unwrap().file_name().to_str().unwrap().parse().unwrap());
        ptrace::seize(thread, Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_EXITKILL)?;
        ptrace::interrupt(thread)?;
    }
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let (mut seen, mut dirty) = (0, Dirty::default());
    let mut failing = BTreeMap::new();
    loop {
        let status = waitpid(Pid::from_raw(-1), Some(WaitPidFlag::__WALL))?;
        match status {
            WaitStatus::Exited(thread, code) if thread == process => {
                return Ok(match code {
                    0 if seen > at => End::Borne,
                    0 => End::Whole,
                    3 => End::Told,
                    other => panic!("call {at}: the process ended with {other}"),
                });
            }
            WaitStatus::Signaled(thread, signal, _) if thread == process => {
                assert_eq!(signal, Signal::SIGKILL, "call {at}");
                return Ok(End::Cut);
            }
            WaitStatus::PtraceSyscall(thread) => {
                let info = ptrace::syscall_info(thread)?;
                if info.op == libc::PTRACE_SYSCALL_INFO_ENTRY {
                    let call = call(thread)?;
                    dirty.see(process, &call);
                    if call.changes() {
                        if seen == at {
                            match then {
                                Then::Kill => nix::sys::signal::kill(process, Signal::SIGKILL)?,
                                #[cfg(target_arch = "x86_64")]
                                Then::Fail => {
                                    skip(thread)?;
                                    failing.insert(thread, ());
                                }
                            }
                        }
                        seen += 1;
                    }
                } else if failing.remove(&thread).is_some() {
                    #[cfg(target_arch = "x86_64")]
                    fail(thread)?;
                }
                resume(thread, None)?;
            }
            WaitStatus::Stopped(thread, signal) => resume(thread, Some(signal))?,
            WaitStatus::PtraceEvent(thread, ..) => resume(thread, None)?,
            _ => {}
        }
    }
}

fn resume(thread: Pid, signal: Option<Signal>) -> nix::Result<()> {
    match ptrace::syscall(thread, signal) {
        // It is gone.
        Err(nix::errno::Errno::ESRCH) => Ok(()),
        done => done,
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, target).unwrap();
        }
    }
}

/// A ledger whose log is about to fill its first tile.
fn template(folder: &Path) -> Audit {
    let store = begun(folder);
    for i in 0..249 {
        store.record("it", SUMS, revocation(i)).unwrap();
    }
    std::fs::remove_dir_all(store.log_folder()).unwrap();
    store.export_again().unwrap();
    let mut audit = Audit::new(owner().id());
    audit.bundle(0, &entries(&store.log_folder()));
    audit
}

fn entries(log: &Path) -> Vec<Vec<u8>> {
    let mut entries = vec![];
    let verifier = Verifier::log(&owner().id());
    scan(&verifier, &mut from_folder(log.to_owned()), |_, entry| {
        entries.push(entry.to_vec());
        Ok(())
    })
    .unwrap();
    entries
}

/// Files of a folder that were not moved into place.
fn unfinished(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let of = |path: std::path::PathBuf| match path.is_dir() {
        true => unfinished(&path),
        false => Some(path).filter(|path| path.extension().is_some_and(|e| e == "tmp")).into_iter().collect(),
    };
    entries.flat_map(of).collect()
}

/// What must hold of what is left, whatever came to pass.
fn check(folder: &Path, audited: &Audit, at: &str) {
    // What others may have seen is in the ledger.
    let log = Verifier::log(&owner().id());
    let seen = from_folder(folder.join("log"))("checkpoint").ok();
    let store = Store::open(folder, owner()).unwrap_or_else(|e| panic!("{at}: {e}"));
    if let Some(seen) = seen {
        let seen = tidegate_audit::note::open_checkpoint(&String::from_utf8(seen).unwrap(), &owner().id()).unwrap();
        store.meet(&seen).unwrap();
    }
    let open = store.unfinished().unwrap();
    assert!(open.len() <= 1, "{at}");
    for reservation in open {
        let done = store.finish(reservation, "after the crash".into(), SUMS).unwrap();
        assert!(matches!(done.state, State::Done { .. }), "{at}");
    }
    store.export().unwrap();
    let size = store.size().unwrap();
    assert!((251..=257).contains(&size), "{at}: {size}");
    let whole = fsck(&log, &mut from_folder(store.log_folder())).unwrap();
    assert_eq!((whole.entries, whole.findings), (size, vec![]), "{at}");
    assert_eq!(
        unfinished(&store.log_folder()),
        [] as [std::path::PathBuf; 0],
        "{at}: nothing half-written lies where the log is served"
    );
    // What was there before was audited once.
    let mut audit = audited.clone();
    audit.bundle(audited.entries(), &entries(&store.log_folder())[audited.entries() as usize..]);
    let report = audit.report(soon());
    assert_eq!((report.findings, report.open), (vec![], vec![]), "{at}");
    let spent = store.spent(&crate::common::population(), None).unwrap();
    assert_eq!(spent.rho_micro.0, 10 * report.intents, "{at}");
    // The witness never says that it saw what the ledger does not have.
    if let Some(note) = witness(folder).unwrap().last(&log.name) {
        let seen = tidegate_audit::note::open_checkpoint(&note.to_text(), &owner().id()).unwrap();
        store.meet(&seen).unwrap_or_else(|e| panic!("{at}: {e}"));
    }
}

/// Whether a process may be watched here: containers may forbid it.
fn may_watch(end: nix::Result<End>) -> Option<End> {
    match end {
        Ok(end) => Some(end),
        Err(e) => {
            assert!(std::env::var_os("REQUIRE_PTRACE").is_none(), "no process can be traced here: {e}");
            eprintln!("SKIPPED: no process can be traced here: {e}");
            None
        }
    }
}

fn at_every_call(then: Then) {
    // Where both are in one process neither takes the other's word for its own child's.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let start = dir.path().join("template");
    let audited = template(&start);
    for at in 0.. {
        let folder = dir.path().join("copy");
        copy(&start, &folder);
        let Some(end) = may_watch(run(&folder, at, then)) else { return };
        check(&folder, &audited, &format!("{then:?} call {at}, {end:?}"));
        std::fs::remove_dir_all(&folder).unwrap();
        if end == End::Whole {
            assert!(at > 60, "{at} calls: it was not watched");
            eprintln!("{at} calls");
            return;
        }
    }
}

#[test]
fn killed_at_every_call_that_changes_a_file() {
    at_every_call(Then::Kill);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn every_call_that_changes_a_file_fails_in_turn() {
    at_every_call(Then::Fail);
}
