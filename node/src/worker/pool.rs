//! Worker processes, started ahead of their tasks so tasks need not wait for a start.
//!
//! A waiting worker has nothing in hand: no data, no task, no sandbox yet. Its standard input is a socket, which carries first
//! the descriptors that it may hold and then the [`Order`](crate::worker::Order), to the end. It serves one task and ends.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tidegate_gpu_runner::{device, library};
use tidegate_protocol::{device::Place, limits, shown};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};

use crate::worker::{
    WorkerFailed, failed, not_started,
    program::{DEVICE, Program, RUNNER, WORKER},
};

/// Maximum number of descriptors handed to a worker: a dataset's files, and a few of its own.
const MOST: usize = limits::OPENED + 4;

/// Number of runners started ahead once a runner was needed.
const RUNNERS: usize = 2;

/// Maximum time of a trial load of the runtime.
const LOADING: Duration = Duration::from_secs(60);

/// Maximum number of characters reported of a runner's own message.
const SAID: usize = 400;

/// Pool of worker processes.
#[derive(Debug, Clone, Default)]
pub struct Workers(Arc<Pool>);

#[derive(Debug, Default)]
struct Pool {
    /// Program to start.
    program: Program,
    /// Number of workers started ahead.
    ahead: usize,
    /// Whether workers serve even if sandbox layers are missing.
    unwalled: bool,
    idle: Mutex<Vec<Started>>,
    /// Runners with the runtime loaded: for the processor (`None`), and ready for GPUs by their numbers.
    runners: Mutex<BTreeMap<Option<u32>, Vec<Started>>>,
}

/// Number of descriptors a job needs beside its files'.
const SPARE: usize = 24;

/// Resources of the machine reserved for a job, released when the job takes them.
#[derive(Debug)]
pub(crate) struct Ready(#[expect(dead_code, reason = "held open")] Vec<OwnedFd>);

/// A process waiting for its task; dropping it kills the process.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) child: Child,
    socket: UnixStream,
}

impl Workers {
    /// Builds a pool with `ahead` workers started before they are needed.
    ///
    /// Workers are started from `program`, which is opened here and held, or from this process's own program. `unwalled` is true if
    /// the owner serves even without some of the sandbox layers around workers. A default pool starts workers when they are
    /// needed.
    ///
    /// # Errors
    /// Returns [`WorkerFailed::NotStarted`] if the program cannot be opened.
    pub fn ahead(ahead: usize, unwalled: bool, program: Option<&Path>) -> Result<Self, WorkerFailed> {
        let program = program.map_or(Ok(Program::Own), Program::open)?;
        let workers = Self(Arc::new(Pool { program, ahead, unwalled, ..Pool::default() }));
        workers.refill();
        Ok(workers)
    }

    /// Returns the path of the file that workers are started from.
    pub(crate) fn program(&self) -> PathBuf {
        self.0.program.path()
    }

    pub(super) fn is_unwalled(&self) -> bool {
        self.0.unwalled
    }

    /// Builds a pool of another program, for benchmarks.
    ///
    /// # Errors
    /// Returns [`WorkerFailed::NotStarted`] if the program cannot be opened.
    pub fn of(program: &Path) -> Result<Self, WorkerFailed> {
        Ok(Self(Arc::new(Pool { program: Program::open(program)?, ahead: 1, ..Pool::default() })))
    }

    /// Starts the missing workers.
    ///
    /// If this is not possible, whoever needs a worker gets the error.
    fn refill(&self) {
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while idle.len() < self.0.ahead {
            match self.0.worker() {
                Ok(started) => idle.push(started),
                Err(e) => return tracing::warn!("{e}"),
            }
        }
    }

    /// Takes a worker, if possible already started, and has another started in its place.
    pub(super) fn take(&self) -> Result<Started, WorkerFailed> {
        let ready = alive(&mut self.0.idle.lock().unwrap_or_else(PoisonError::into_inner));
        if self.0.ahead > 0 {
            let workers = self.clone();
            tokio::task::spawn_blocking(move || workers.refill());
        }
        ready.map_or_else(|| self.0.worker(), Ok)
    }

    /// Takes a runner, if possible already started.
    pub(super) fn take_runner(&self, place: Place) -> Result<Started, WorkerFailed> {
        let mut runners = self.0.runners.lock().unwrap_or_else(PoisonError::into_inner);
        let ready = runners.get_mut(&gpu(place)).and_then(alive);
        drop(runners);
        ready.map_or_else(|| self.0.runner(place), Ok)
    }

    /// Has a worker and, for a job with a model, a runner wait for a job over `files`.
    ///
    /// The files are opened and held until then.
    ///
    /// # Errors
    /// Returns [`WorkerFailed::NotStarted`] if the machine lacks what the job needs.
    pub(crate) fn ready(&self, files: &[PathBuf], runner: Option<Place>) -> Result<Ready, WorkerFailed> {
        let held = files.iter().map(|path| File::open(path).map(OwnedFd::from));
        let held = held.chain((0..SPARE).map(|_| File::open("/dev/null").map(OwnedFd::from)));
        let held = held.collect::<Result<Vec<_>, _>>().map_err(not_started)?;
        let worker = self.take()?;
        if let Some(place) = runner {
            let runner = self.take_runner(place)?;
            self.0.runners.lock().unwrap_or_else(PoisonError::into_inner).entry(gpu(place)).or_default().push(runner);
        }
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        Ok(Ready(held))
    }

    /// Has a runner load the runtime at `place`, as for a job, and end without a task.
    ///
    /// # Errors
    /// Returns [`WorkerFailed`] with the runner's own message if the runtime does not load.
    pub async fn loads(&self, place: Place) -> Result<(), WorkerFailed> {
        let Started { child, socket } = Started::start(self.0.runner_command(place)?, Stdio::piped())?;
        // Nothing is sent over the socket.
        drop(socket);
        let ended = tokio::time::timeout(LOADING, child.wait_with_output()).await;
        let ended = ended.map_err(|_| WorkerFailed::Late)?.map_err(not_started)?;
        if ended.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ended.stderr);
        // Strips the prefixes of a worker's error.
        let said = said.trim().trim_start_matches("error: ").trim_start_matches("worker: ");
        let said: String = shown::plain(said).chars().take(SAID).collect();
        Err(failed(if said.is_empty() { ended.status.to_string() } else { format!("{said} ({})", ended.status) }))
    }

    /// Starts runners at `place` for later jobs if this pool starts workers ahead.
    ///
    /// Loading the runtime takes a processor for a while, so this is called when a processor is free.
    pub fn refill_runners(&self, place: Place) {
        let pool = self.0.clone();
        if pool.ahead == 0 {
            return;
        }
        tokio::task::spawn_blocking(move || {
            let mut runners = pool.runners.lock().unwrap_or_else(PoisonError::into_inner);
            let waiting = runners.entry(gpu(place)).or_default();
            // One runner for the check of a job, one for its run.
            while waiting.len() < RUNNERS {
                match pool.runner(place) {
                    Ok(started) => waiting.push(started),
                    Err(e) => return tracing::warn!("{e}"),
                }
            }
        });
    }
}

/// Returns the number of a place's GPU.
///
/// Everything else a job may say about its place is said later.
fn gpu(place: Place) -> Option<u32> {
    match place {
        Place::Cpu => None,
        Place::Cuda { index, .. } => Some(index),
    }
}

/// Takes a waiting process, if any; processes killed meanwhile are passed over.
fn alive(idle: &mut Vec<Started>) -> Option<Started> {
    std::iter::from_fn(|| idle.pop()).find_map(|mut one| one.child.try_wait().is_ok_and(|s| s.is_none()).then_some(one))
}

/// Builds the error for something missing on this machine, with how to get it.
fn lacking(what: &str, how_to: &str) -> WorkerFailed {
    not_started(format!("this machine has no {what}. {how_to}; `tidegate doctor` checks for it"))
}

impl Pool {
    fn worker(&self) -> Result<Started, WorkerFailed> {
        let mut command = self.program.command()?;
        command.arg(WORKER);
        Started::start(command, Stdio::null())
    }

    fn runner(&self, place: Place) -> Result<Started, WorkerFailed> {
        Started::start(self.runner_command(place)?, Stdio::null())
    }

    fn runner_command(&self, place: Place) -> Result<std::process::Command, WorkerFailed> {
        if let Place::Cuda { index, .. } = place {
            return self.gpu_runner_command(index);
        }
        let library = library::find().ok_or_else(|| lacking("ONNX Runtime", library::HOW_TO))?;
        let mut command = self.program.command()?;
        command.arg(RUNNER).arg(&library).env(library::QUIET.0, library::QUIET.1);
        Ok(command)
    }

    /// Builds the command of a runner to which only this GPU is visible.
    fn gpu_runner_command(&self, index: u32) -> Result<std::process::Command, WorkerFailed> {
        let library = library::find_cuda().ok_or_else(|| lacking("ONNX Runtime for GPUs", library::HOW_TO_CUDA))?;
        let gpu = device::gpus().into_iter().find(|gpu| gpu.index == index);
        let gpu = gpu.ok_or_else(|| not_started(format!("there is no GPU {index}")))?;
        let name = gpu.uuid.unwrap_or_else(|| index.to_string());
        let mut command = self.program.command()?;
        command
            .arg(RUNNER)
            .arg(&library)
            .arg(DEVICE)
            .env(library::QUIET.0, library::QUIET.1)
            .env("LD_LIBRARY_PATH", library::cuda_path(&library))
            .env("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
            .env("CUDA_VISIBLE_DEVICES", &name)
            // Compiled kernels are kept nowhere.
            .env("CUDA_CACHE_DISABLE", "1");
        Ok(command)
    }
}

impl Started {
    /// Starts the process; its standard error goes to `said`.
    fn start(mut command: std::process::Command, said: Stdio) -> Result<Self, WorkerFailed> {
        let (socket, theirs) = UnixStream::pair().map_err(not_started)?;
        // A terminal's Ctrl-C is for the node, which finishes running work.
        command.process_group(0);
        command.current_dir("/").stdin(OwnedFd::from(theirs)).stdout(Stdio::piped()).stderr(said);
        let child = Command::from(command).kill_on_drop(true).spawn().map_err(not_started)?;
        Ok(Self { child, socket })
    }

    /// Hands the worker its descriptors and its task.
    ///
    /// The descriptors are closed here afterwards.
    pub(super) async fn tell(socket: UnixStream, held: Vec<OwnedFd>, order: &[u8]) -> Result<(), WorkerFailed> {
        hand(&socket, held)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let mut socket = tokio::net::UnixStream::from_std(socket).map_err(failed)?;
        socket.write_all(order).await.map_err(failed)?;
        socket.shutdown().await.map_err(failed)
    }

    /// Returns the process, and the socket for [`Started::tell`].
    pub(super) fn parts(self) -> (Child, UnixStream) {
        (self.child, self.socket)
    }
}

/// Hands a process its descriptors, which are closed here afterwards.
pub(super) fn hand(socket: &UnixStream, held: Vec<OwnedFd>) -> Result<(), WorkerFailed> {
    let fds: Vec<BorrowedFd<'_>> = held.iter().map(AsFd::as_fd).collect();
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if fds.len() > MOST || (!fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&fds))) {
        return Err(not_started("it would have too many open files"));
    }
    // Descriptors are sent along with a byte.
    sendmsg(socket, &[IoSlice::new(&[0])], &mut control, SendFlags::NOSIGNAL).map_err(failed)?;
    Ok(())
}

/// Waits, on the worker's side, for the descriptors to hold.
///
/// The order follows on the same socket. `None` if the node is gone.
pub(super) fn receive(from: BorrowedFd<'_>) -> Result<Option<Vec<OwnedFd>>, WorkerFailed> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let message = recvmsg(from, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC).map_err(failed)?;
    if message.bytes == 0 {
        return Ok(None);
    }
    let mut held = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            held.extend(fds);
        }
    }
    Ok(Some(held))
}
