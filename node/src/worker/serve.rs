//! The worker's side.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    sync::Arc,
};

use arrow::ipc::reader::StreamReader;
use tidegate_gpu_runner::{InferenceFailed, layout::MOST_BYTES};
use tidegate_lockdown::{Walls, Who, apart, enter, step_back};
use tidegate_protocol::{self as protocol, Refusal, job::Program, limits};
use tidegate_sandbox::{
    Attachment, Extent, Help, Piece, Rehearsal, RunError, Sink, add_up,
    onnx::Inference,
    read_piece, run_into, run_piece,
    sql::{Spill, Written, pattern},
    units::cuts,
    wasm::Code,
};

use super::{
    Answer, GROUP_BYTES, Order, PIECE_MEMORY, Part, SPILL_BYTES, Sent, Task, WORKER_MEMORY, WorkerFailed, failed, model::Runner,
    pool::receive, worker_memory, write_frame,
};

use crate::fault;

/// The worker's side: reads a task, raises the walls, answers. Called by the hidden `worker` command.
///
/// # Errors
/// [`WorkerFailed`] when the task cannot be read or the answer not written.
pub fn main() -> Result<(), WorkerFailed> {
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
            return write_frame(&mut std::io::stdout().lock(), &Answer::Walls(standing));
        }
        Order::Compile { component, memory } => return compile(&component, memory),
        Order::Cuts { schema, unit, files, piece, most } => return say_cuts(held, &schema, &unit, (files, piece), most),
        Order::Job(task) => *task,
    };
    // Descriptors are opened anew before the walls rise; after that no path can be.
    let mut held = held.into_iter();
    let mut open = |how: &OpenOptions| {
        let fd = held.next().ok_or_else(|| failed("it was handed too little"))?;
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
    // A query may keep every processor busy for its whole slot; four is for the compiler's threads beside it.
    let threads = std::thread::available_parallelism().map_or(1, usize::from).max(4) as u64;
    let walls = enter(
        Who::Worker,
        &Walls {
            memory_bytes: worker_memory(&task.policy)
                * if matches!(task.part, Part::Piece(_) | Part::Rows(_)) { PIECE_MEMORY } else { 1 },
            cpu_seconds: task.policy.limits.slot_ms.div_ceil(1000) * threads + 1,
            file_bytes: match &task.job.program {
                _ if spill.is_some() => SPILL_BYTES,
                // A file in memory holds what a guest's memory begins with, and one the rows that a runner reads.
                Program::Wasm { infer: Some(_), .. } => MOST_BYTES.max(task.policy.limits.memory_bytes),
                Program::Wasm { .. } => task.policy.limits.memory_bytes,
                Program::Onnx { .. } => MOST_BYTES,
                Program::Sql { .. } => 0,
            },
        },
    );
    walls.map_err(failed)?;
    let mut out = std::io::stdout().lock();
    let last = answer(task, &files, runner, spill.as_ref(), &mut |groups| {
        write_frame(&mut out, &Answer::Groups(groups)).map_err(|e| RunError::Engine(e.to_string()))
    });
    write_frame(&mut out, &last)?;
    out.flush().map_err(failed)
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

fn answer(task: Task, files: &[File], runner: Option<Runner>, spill: Option<&Spill>, sink: &mut Sink<'_>) -> Answer {
    let schema = match StreamReader::try_new(task.schema.as_slice(), None) {
        Ok(reader) => reader.schema(),
        Err(e) => return Answer::Failed(e.to_string()),
    };
    let attachment = match task.sent {
        Sent::Nothing => None,
        Sent::Bytes(bytes) => Some(Attachment::from(bytes)),
        Sent::Code(code) => Some(Attachment::from(Code::of_own_compiler(code))),
    };
    let attachment = attachment.map(|sent| sent.with_data(task.data));
    let admitted = match tidegate_sandbox::admit_at(&task.job, &task.policy, &schema, attachment, task.place) {
        Ok(admitted) => admitted,
        Err(refusal) => return Answer::Refused(refusal),
    };
    let remote = match (admitted.loads(), runner) {
        (Some(model), Some(runner)) => match runner.load(model, task.place, &task.policy.models, task.unwalled) {
            Ok(remote) => Some(Arc::new(remote)),
            // Before any row is read this says something of the model alone.
            Err(e) if files.is_empty() => return Answer::Refused(not_loaded(&e)),
            Err(e) => return Answer::Failed(e.to_string()),
        },
        _ => None,
    };
    if files.is_empty() {
        return Answer::Checked {
            shape: admitted.plan().shape().clone(),
            declared: admitted.declared().to_vec(),
            pattern: pattern(task.job.program.sql()),
            reads: admitted.reads().into_iter().collect(),
            runtime: remote.map(|remote| remote.runtime().to_owned()),
        };
    }
    if let Some(wish) = &task.dies {
        match task.part {
            Part::All => fault::die(wish, None, &[]),
            Part::Piece(piece) | Part::Rows(piece) => fault::die(wish, Some(piece), &task.without),
            Part::AddUp(_) => {}
        }
    }
    let mut shown = task.rehearsal.then(Rehearsal::default);
    let help = Help {
        inference: remote.map(|remote| remote as Arc<dyn Inference>),
        rehearsal: shown.as_mut(),
        spill,
        least_units: task.least_units,
    };
    let done = match task.part {
        Part::All => run_into(&admitted, files, &task.prf, help, sink).map(|()| Answer::Done(shown.unwrap_or_default())),
        Part::Piece(piece) => {
            let extent = Extent::of(files, Some(piece)).without(&task.without);
            run_piece(&admitted, extent, &task.prf, help, sink).map(|written| Answer::Piece(written, spill.map_or(0, Spill::end)))
        }
        Part::Rows(piece) => read_piece(&admitted, Extent::of(files, Some(piece))).map(|()| Answer::Piece(Written::default(), 0)),
        Part::AddUp(written) => add_up(&admitted, &written, &task.prf, &help, sink).map(|()| Answer::Done(Rehearsal::default())),
    };
    done.unwrap_or_else(|e| Answer::Failed(e.to_string()))
}

/// Says where units begin: with the walls of a job, and no job.
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

/// The runtime does not take a model that is understood here, or dies of it.
fn not_loaded(why: &InferenceFailed) -> Refusal {
    let why: String = why.to_string().chars().take(300).collect();
    Refusal::new(protocol::Code::Program, format!("the runtime does not load the model: {why}")).at("program.model")
}
