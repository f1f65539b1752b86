//! Worker's side of a call.

use std::{
    fs::{File, OpenOptions},
    io::Read as _,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    sync::Arc,
};

use arrow::ipc::reader::StreamReader;
use tidegate_gpu_runner::{InferenceFailed, layout::MOST_BYTES};
use tidegate_lockdown::{Walls, Who, apart, enter, step_back};
use tidegate_protocol::{self as protocol, Refusal, job::Program, limits};
use tidegate_sandbox::{
    Admitted, Attachment, Extent, Help, Piece, Rehearsal, RunError, add_up, deep,
    onnx::Inference,
    read_piece, run_into, run_piece,
    sql::{Spill, Written, pattern},
    units::cuts,
    wasm::Code,
};

use crate::worker::{
    Answer, GROUP_BYTES, Order, PIECE_MEMORY, Part, SPILL_BYTES, Sent, Task, WORKER_MEMORY, WorkerFailed, failed, model::Runner,
    pool::receive, program, worker_memory, write_frame,
};

use crate::fault;

/// Runs the worker's side: reads a task, enters the sandbox, answers.
///
/// Called by [`run_worker_if_asked`](crate::worker::run_worker_if_asked).
///
/// # Errors
/// Returns [`WorkerFailed`] if the task cannot be read or the answer cannot be written.
pub(super) fn main() -> Result<(), WorkerFailed> {
    apart();
    let Some(held) = receive(std::io::stdin().as_fd())? else { return Ok(()) };
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).map_err(failed)?;
    let order: Order = ciborium::from_reader(bytes.as_slice()).map_err(failed)?;
    drop(bytes);
    let task = match order {
        Order::Walls => {
            let standing =
                enter(Who::Worker, &Walls { memory_bytes: WORKER_MEMORY, cpu_seconds: 1, file_bytes: 0 }).map_err(failed)?;
            let answer = Answer::Walls { standing, build: program::build() };
            return write_frame(&mut std::io::stdout().lock(), &answer);
        }
        Order::Compile { component, memory } => return compile(&component, memory),
        Order::Cuts { schema, unit, files, piece, most } => return say_cuts(held, &schema, &unit, (files, piece), most),
        Order::Job(task) => *task,
    };
    // Descriptors are opened anew before the sandbox is entered; after that no path can be opened.
    let mut held = held.into_iter();
    let mut open = |how: &OpenOptions| {
        let fd = held.next().ok_or_else(|| failed("a descriptor is missing"))?;
        how.open(format!("/proc/self/fd/{}", fd.as_raw_fd())).map_err(failed)
    };
    let (mut read, mut write, mut both) = (OpenOptions::new(), OpenOptions::new(), OpenOptions::new());
    read.read(true);
    write.write(true);
    both.read(true).write(true);
    let files = (0..task.files).map(|_| open(&read)).collect::<Result<Vec<_>, _>>()?;
    let runs = !files.is_empty();
    let spill = match task.job.program {
        Program::Sql { .. } if runs => Some(Spill::new(open(&both)?, GROUP_BYTES).after(task.after)),
        _ => None,
    };
    let runner = match task.runner && task.job.program.infers() {
        true => Some(Runner { to: open(&write)?, from: open(&read)?, memory: open(&both)? }),
        false => None,
    };
    // A query may keep every processor busy for its whole slot; the minimum of four is for the compiler's threads beside it.
    let threads = std::thread::available_parallelism().map_or(1, usize::from).max(4) as u64;
    let walls = enter(
        Who::Worker,
        &Walls {
            memory_bytes: worker_memory(&task.policy)
                * if matches!(task.part, Part::Pieces(_) | Part::Rows(_)) { PIECE_MEMORY } else { 1 },
            cpu_seconds: task.policy.limits.slot_ms.div_ceil(1000) * threads + 1,
            file_bytes: match &task.job.program {
                _ if spill.is_some() => SPILL_BYTES,
                // One file in memory holds the initial contents of a guest's memory, another the rows for a runner.
                Program::Wasm { infer: Some(_), .. } => MOST_BYTES.max(task.policy.limits.memory_bytes),
                Program::Wasm { .. } => task.policy.limits.memory_bytes,
                Program::Onnx { .. } => MOST_BYTES,
                Program::Sql { .. } => 0,
            },
        },
    );
    walls.map_err(failed)?;
    let mut out = std::io::stdout().lock();
    let say: &mut Say<'_> = &mut |answer| write_frame(&mut out, &answer).map_err(|e| RunError::Engine(e.to_string()));
    let last = deep(|| answer(task, &files, runner, spill.as_ref(), say));
    write_frame(&mut out, &last)
}

fn compile(component: &[u8], memory: usize) -> Result<(), WorkerFailed> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    step_back();
    let cpu_seconds = limits::COMPILE_SECONDS * threads + 1;
    enter(Who::Worker, &Walls { memory_bytes: WORKER_MEMORY, cpu_seconds, file_bytes: 0 }).map_err(failed)?;
    let answer = match Code::compile(component, memory) {
        Ok(code) => Answer::Compiled(code.bytes().to_vec()),
        Err(refusal) => Answer::Refused(refusal),
    };
    write_frame(&mut std::io::stdout().lock(), &answer)
}

/// Callback to send an answer other than the last.
type Say<'a> = dyn FnMut(Answer) -> Result<(), RunError> + 'a;

fn answer(mut task: Task, files: &[File], runner: Option<Runner>, spill: Option<&Spill>, say: &mut Say<'_>) -> Answer {
    let schema = match StreamReader::try_new(task.schema.as_slice(), None) {
        Ok(reader) => reader.schema(),
        Err(e) => return Answer::Failed(e.to_string()),
    };
    let attachment = match std::mem::replace(&mut task.sent, Sent::Nothing) {
        Sent::Nothing => None,
        Sent::Bytes(bytes) => Some(Attachment::from(bytes)),
        Sent::Code(code) => Some(Attachment::from(Code::of_own_compiler(code))),
    };
    let data = std::mem::take(&mut task.data);
    let attachment = attachment.map(|sent| sent.with_data(data));
    if let Some(wish) = task.dies.as_deref().filter(|_| !files.is_empty()) {
        fault::plan(wish);
    }
    let admitted = match tidegate_sandbox::admit_at(&task.job, &task.policy, &schema, attachment, task.place) {
        Ok(admitted) => admitted,
        Err(refusal) => return Answer::Refused(refusal),
    };
    let remote = match (admitted.loads(), runner) {
        (Some(model), Some(runner)) => match runner.load(model, task.place, &task.policy.models, task.unwalled, files.is_empty())
        {
            Ok(remote) => Some(Arc::new(remote)),
            // Before any row is read, this says something about the model alone.
            Err(e) if files.is_empty() => return Answer::Refused(not_loaded(&e)),
            Err(e) => return Answer::Failed(e.to_string()),
        },
        _ => None,
    };
    if files.is_empty() {
        // Before any row is read or anything is charged: what is proven of the model holds in this runtime.
        if let (Some(model), Some(remote)) = (admitted.model(), &remote)
            && let Err(refusal) = model.spec().keeps_rows_apart(model.bytes(), &**remote)
        {
            return Answer::Refused(refusal);
        }
        return Answer::Checked {
            shape: admitted.plan().shape().clone(),
            declared: admitted.declared().to_vec(),
            pattern: pattern(task.job.program.sql()),
            reads: admitted.reads().into_iter().collect(),
            runtime: remote.map(|remote| remote.runtime().to_owned()),
            rows_read: admitted.rows_read(),
        };
    }
    let mut shown = task.rehearsal.then(Rehearsal::default);
    let remote = remote.map(|remote| remote as Arc<dyn Inference>);
    let help = Help { inference: remote.clone(), rehearsal: shown.as_mut(), spill, least_units: task.least_units };
    let done = match &task.part {
        Part::All => {
            task.dies(None);
            run_into(&admitted, files, &task.prf, help, &mut |groups| say(Answer::Groups(groups)))
        }
        Part::Pieces(pieces) | Part::Rows(pieces) => say(Answer::Planned)
            .and_then(|()| pieces.iter().try_for_each(|piece| task.one(*piece, &admitted, files, &remote, spill, say))),
        Part::AddUp(written) => add_up(&admitted, written, &task.prf, &help, &mut |groups| say(Answer::Groups(groups))),
    };
    done.map_or_else(|e| Answer::Failed(e.to_string()), |()| Answer::Done(shown.unwrap_or_default()))
}

impl Task {
    /// Runs or reads a piece and reports the outcome.
    fn one(
        &self,
        piece: Piece,
        admitted: &Admitted,
        files: &[File],
        inference: &Option<Arc<dyn Inference>>,
        spill: Option<&Spill>,
        say: &mut Say<'_>,
    ) -> Result<(), RunError> {
        self.dies(Some(piece));
        let extent = Extent::of(files, Some(piece));
        if matches!(self.part, Part::Rows(_)) {
            read_piece(admitted, extent)?;
            return say(Answer::Piece(Written::default(), 0));
        }
        let help = Help { inference: inference.clone(), rehearsal: None, spill, least_units: self.least_units };
        let groups = &mut |groups| say(Answer::Groups(groups));
        let written = run_piece(admitted, extent.without(&self.without), &self.prf, help, groups)?;
        say(Answer::Piece(written, spill.map_or(0, Spill::end)))
    }

    /// Dies on a piece, or on the whole, if a test wants this.
    fn dies(&self, piece: Option<Piece>) {
        if let Some(wish) = &self.dies {
            fault::die(wish, piece, &self.without);
        }
    }
}

/// Reports where privacy units begin, in the sandbox of a job but without a job.
fn say_cuts(
    held: Vec<OwnedFd>,
    schema: &[u8],
    unit: &str,
    (files, piece): (u32, Option<Piece>),
    most: usize,
) -> Result<(), WorkerFailed> {
    let open = |fd: &OwnedFd| File::open(format!("/proc/self/fd/{}", fd.as_raw_fd())).map_err(failed);
    let files = held.iter().take(files as usize).map(open).collect::<Result<Vec<_>, _>>()?;
    enter(Who::Worker, &Walls { memory_bytes: WORKER_MEMORY, cpu_seconds: limits::COMPILE_SECONDS, file_bytes: 0 })
        .map_err(failed)?;
    let found = StreamReader::try_new(schema, None)
        .map_err(RunError::from)
        .and_then(|reader| cuts(Extent::of(&files, piece), &reader.schema(), unit, most));
    let answer = found.map_or_else(|e| Answer::Failed(e.to_string()), Answer::Cuts);
    write_frame(&mut std::io::stdout().lock(), &answer)
}

/// Builds the refusal for a model understood here that the runtime does not load, or that kills the runtime.
fn not_loaded(why: &InferenceFailed) -> Refusal {
    let why: String = why.to_string().chars().take(300).collect();
    Refusal::new(protocol::Code::Program, format!("the runtime does not load the model: {why}")).at("program.model")
}
