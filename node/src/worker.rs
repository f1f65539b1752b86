//! The worker: a process that plans and runs one job. It holds the dataset's files as opened descriptors and two pipes, nothing else.
//!
//! Two calls a job: *check* has no descriptor of data, so nothing can be read before the budget is reserved; *run* has them.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    time::{Duration, SystemTime},
};

use arrow::datatypes::SchemaRef;
use command_fds::{CommandFdExt, FdMapping};
use serde::{Deserialize, Serialize};
use tidegate_gate::{Shape, Sums};
use tidegate_gpu_runner::{client::Client, library};
use tidegate_lockdown::{Walls, enter};
use tidegate_protocol::{
    Code, Job, Refusal,
    job::{Key, Program},
    policy::Policy,
};
use tidegate_sandbox::{Help, Rehearsal, RunError, onnx::Inference};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The worker's ends of the two pipes to the runner.
const TO_RUNNER_FD: i32 = 8;
const FROM_RUNNER_FD: i32 = 9;
/// First descriptor of data in the worker.
const FIRST_FD: i32 = 10;
/// Memory of a worker beyond the guest's own: planner, compiler, batches.
const WORKER_MEMORY: u64 = 2 << 30;
/// Longest reply of a worker in bytes.
const REPLY_BYTES: u64 = 1 << 30;

/// What the worker is told.
#[derive(Serialize, Deserialize)]
struct Task {
    job: Job,
    policy: Policy,
    /// Arrow IPC stream without rows.
    schema: Vec<u8>,
    attachment: Option<Vec<u8>>,
    /// How many data files it holds; 0 to check only.
    files: u32,
    prf: [u8; 32],
    /// Mock rows: show what the program says.
    rehearsal: bool,
}

/// What the worker answers.
#[derive(Serialize, Deserialize)]
enum Answer {
    Checked { shape: Shape, declared: Vec<Vec<Key>> },
    Refused(Refusal),
    Sums(Sums, Vec<String>),
    Failed(String),
}

/// One job as the node hands it to a worker.
#[derive(Debug, Clone)]
pub struct Work {
    /// The job.
    pub job: Job,
    /// The policy in force.
    pub policy: Policy,
    /// Schema of the dataset's files.
    pub schema: SchemaRef,
    /// The program's bytes.
    pub attachment: Option<Arc<Vec<u8>>>,
    /// Key of the PRF.
    pub prf: [u8; 32],
}

/// What a check found: public numbers.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What the job releases.
    pub shape: Shape,
    /// Declared keys in the columns' types.
    pub declared: Vec<Vec<Key>>,
}

/// The worker failed: for the owner's log alone.
#[derive(Debug, thiserror::Error)]
#[error("worker: {0}")]
pub struct WorkerFailed(pub String);

fn failed(e: impl std::fmt::Display) -> WorkerFailed {
    WorkerFailed(e.to_string())
}

/// Admits a job in a worker that holds no data.
///
/// # Errors
/// The refusal for the buyer; [`Code::Program`] also when the program made the planner die.
pub async fn check(work: &Work) -> Result<Checked, Refusal> {
    let time = Duration::from_millis(work.policy.limits.slot_ms);
    match call(work, vec![], None, time, false).await {
        Ok(Answer::Checked { shape, declared }) => Ok(Checked { shape, declared }),
        Ok(Answer::Refused(refusal)) => Err(refusal),
        Ok(_) => Err(Refusal::new(Code::Unavailable, "the worker gave another answer")),
        Err(e) => {
            tracing::warn!("a program could not be checked: {e}");
            Err(Refusal::new(Code::Program, "the program cannot be planned").at("program").fix("Make it simpler"))
        }
    }
}

/// Runs an admitted job over `files`; it is killed at `deadline`, the end of the public slot.
///
/// # Errors
/// [`WorkerFailed`]: it died, was late or could not read. The buyer must not see which.
pub async fn run(work: &Work, files: &[PathBuf], deadline: SystemTime) -> Result<Sums, WorkerFailed> {
    run_as(work, files, deadline, false).await.map(|(sums, _)| sums)
}

/// Runs a job on mock rows and also returns what the program said: log lines and traps.
///
/// # Errors
/// [`WorkerFailed`].
pub async fn rehearse(work: &Work, files: &[PathBuf]) -> Result<(Sums, Vec<String>), WorkerFailed> {
    let deadline = SystemTime::now() + Duration::from_millis(work.policy.limits.slot_ms);
    run_as(work, files, deadline, true).await
}

async fn run_as(
    work: &Work,
    files: &[PathBuf],
    deadline: SystemTime,
    rehearsal: bool,
) -> Result<(Sums, Vec<String>), WorkerFailed> {
    let files = files.iter().map(|f| File::open(f).map(OwnedFd::from).map_err(failed)).collect::<Result<Vec<_>, _>>()?;
    let runner = match &work.job.program {
        Program::Onnx { .. } => Some(Runner::start()?),
        _ => None,
    };
    let time = deadline.duration_since(SystemTime::now()).unwrap_or_default();
    match call(work, files, runner, time, rehearsal).await? {
        Answer::Sums(sums, lines) => Ok((sums, lines)),
        Answer::Failed(why) => Err(WorkerFailed(why)),
        Answer::Refused(refusal) => Err(failed(refusal)),
        Answer::Checked { .. } => Err(failed("it only checked")),
    }
}

/// A running gpu-runner and the worker's ends of its pipes. Dropping it kills the process.
struct Runner {
    child: tokio::process::Child,
    to: OwnedFd,
    from: OwnedFd,
}

impl Runner {
    fn start() -> Result<Self, WorkerFailed> {
        let library = library::find().ok_or_else(|| failed("ONNX Runtime is not here"))?;
        let (runner_in, to) = std::io::pipe().map_err(failed)?;
        let (from, runner_out) = std::io::pipe().map_err(failed)?;
        let mut command = std::process::Command::new(std::env::current_exe().map_err(failed)?);
        command.arg("runner").arg(library).env_clear().current_dir("/").stdin(runner_in).stdout(runner_out).stderr(Stdio::null());
        let child = tokio::process::Command::from(command).kill_on_drop(true).spawn().map_err(failed)?;
        Ok(Self { child, to: to.into(), from: from.into() })
    }
}

async fn call(
    work: &Work,
    files: Vec<OwnedFd>,
    runner: Option<Runner>,
    time: Duration,
    rehearsal: bool,
) -> Result<Answer, WorkerFailed> {
    let task = Task {
        job: work.job.clone(),
        policy: work.policy.clone(),
        schema: write_schema(&work.schema)?,
        attachment: work.attachment.as_ref().map(|a| a.to_vec()),
        files: files.len() as u32,
        prf: work.prf,
        rehearsal,
    };
    let mut bytes = Vec::new();
    ciborium::into_writer(&task, &mut bytes).map_err(failed)?;
    let mut command = std::process::Command::new(std::env::current_exe().map_err(failed)?);
    command.arg("worker").env_clear().current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut mappings: Vec<_> = (FIRST_FD..).zip(files).map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd }).collect();
    // Held until the answer is in; its pipes end when the worker does.
    let mut _runner = None;
    if let Some(Runner { child, to, from }) = runner {
        mappings.push(FdMapping { parent_fd: to, child_fd: TO_RUNNER_FD });
        mappings.push(FdMapping { parent_fd: from, child_fd: FROM_RUNNER_FD });
        _runner = Some(child);
    }
    command.fd_mappings(mappings).map_err(failed)?;
    let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn().map_err(failed)?;
    let (mut stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let talk = async {
        if let Some(mut stdin) = stdin.take() {
            stdin.write_all(&bytes).await.map_err(failed)?;
            stdin.shutdown().await.map_err(failed)?;
        }
        let mut reply = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(REPLY_BYTES).read_to_end(&mut reply).await.map_err(failed)?;
        }
        let status = child.wait().await.map_err(failed)?;
        if !status.success() {
            return Err(failed(format!("ended with {status}")));
        }
        ciborium::from_reader::<Answer, _>(reply.as_slice()).map_err(failed)
    };
    // Dropping the child kills it.
    tokio::time::timeout(time, talk).await.map_err(|_| failed("over its slot"))?
}

fn write_schema(schema: &SchemaRef) -> Result<Vec<u8>, WorkerFailed> {
    let mut bytes = Vec::new();
    let mut writer = arrow::ipc::writer::StreamWriter::try_new(&mut bytes, schema).map_err(failed)?;
    writer.finish().map_err(failed)?;
    drop(writer);
    Ok(bytes)
}

/// The worker's side: reads a task, raises the walls, answers. Called by the hidden `worker` command.
///
/// # Errors
/// [`WorkerFailed`] when the task cannot be read or the answer not written.
pub fn main() -> Result<(), WorkerFailed> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).map_err(failed)?;
    let task: Task = ciborium::from_reader(bytes.as_slice()).map_err(failed)?;
    // Descriptors are opened anew before the walls rise; after that no path can be.
    let files = (FIRST_FD..FIRST_FD + task.files as i32)
        .map(|fd| File::open(format!("/proc/self/fd/{fd}")).map_err(failed))
        .collect::<Result<Vec<_>, _>>()?;
    let pipes = match task.job.program {
        Program::Onnx { .. } if !files.is_empty() => {
            let to = std::fs::OpenOptions::new().write(true).open(format!("/proc/self/fd/{TO_RUNNER_FD}")).map_err(failed)?;
            Some((to, File::open(format!("/proc/self/fd/{FROM_RUNNER_FD}")).map_err(failed)?))
        }
        _ => None,
    };
    // A query may keep every processor busy for its whole slot; four is for the compiler's threads beside it.
    let threads = std::thread::available_parallelism().map_or(1, usize::from).max(4) as u64;
    enter(&Walls {
        memory_bytes: WORKER_MEMORY + task.policy.limits.memory_bytes,
        cpu_seconds: task.policy.limits.slot_ms.div_ceil(1000) * threads + 1,
    });
    let answer = answer(task, &files, pipes);
    let mut out = std::io::stdout().lock();
    ciborium::into_writer(&answer, &mut out).map_err(failed)?;
    out.flush().map_err(failed)
}

fn answer(task: Task, files: &[File], pipes: Option<(File, File)>) -> Answer {
    let schema = match arrow::ipc::reader::StreamReader::try_new(task.schema.as_slice(), None) {
        Ok(reader) => reader.schema(),
        Err(e) => return Answer::Failed(e.to_string()),
    };
    let attachment = task.attachment.map(Arc::new);
    let admitted = match tidegate_sandbox::admit(&task.job, &task.policy, &schema, attachment.clone()) {
        Ok(admitted) => admitted,
        Err(refusal) => return Answer::Refused(refusal),
    };
    if files.is_empty() {
        return Answer::Checked { shape: admitted.plan().shape().clone(), declared: admitted.declared().to_vec() };
    }
    let mut remote = match (&task.job.program, pipes) {
        (Program::Onnx { output, index, .. }, Some((to, from))) => {
            let model = attachment.as_ref().map(|a| a.as_slice()).unwrap_or_default();
            match Client::load(to, from, model, admitted.features(), output, *index) {
                Ok(client) => Some(Remote(client)),
                Err(e) => return Answer::Failed(e.to_string()),
            }
        }
        _ => None,
    };
    let inference = remote.as_mut().map(|r| r as &mut dyn Inference);
    let mut shown = task.rehearsal.then(Rehearsal::default);
    match tidegate_sandbox::run(&admitted, files, &task.prf, Help { inference, rehearsal: shown.as_mut() }) {
        Ok(sums) => Answer::Sums(sums, shown.unwrap_or_default().lines),
        Err(e) => Answer::Failed(e.to_string()),
    }
}

/// The sandbox's `Inference` over the runner's pipes.
struct Remote(Client<File, File>);

impl Inference for Remote {
    fn score(&mut self, features: &[arrow::array::Float32Array], runs: &[u32]) -> Result<Vec<f32>, RunError> {
        self.0.score(features, runs).map_err(|e| RunError::Engine(e.to_string()))
    }
}

/// The runner's side: one model over standard input and output. Called by the hidden `runner` command.
///
/// # Errors
/// [`WorkerFailed`] when the library cannot be loaded or the pipes break.
pub fn runner_main(library: &std::path::Path) -> Result<(), WorkerFailed> {
    tidegate_gpu_runner::server::main(library, std::io::stdin().lock(), std::io::stdout().lock()).map_err(failed)
}
