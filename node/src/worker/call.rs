//! Node's side of workers: sends them tasks and takes their answers.

use std::{
    fs::File,
    ops::Range,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use arrow::datatypes::SchemaRef;
use tidegate_gate::Sums;
use tidegate_gpu_runner::library;
use tidegate_lockdown::Standing;
use tidegate_protocol::{Code, Refusal, device::Place, job::Program, limits};
use tidegate_sandbox::{self as sandbox, Rehearsal, wasm};
use tokio::io::AsyncReadExt as _;

use crate::fault;
use crate::worker::{
    Answer, Checked, Coming, FRAME_BYTES, Order, Part, Sent, Task, Work, WorkerFailed,
    coming::Taker,
    failed, not_started,
    pool::{Started, Workers, hand},
    program,
};

/// Pauses between tries when no worker could be started.
const PAUSES: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(800)];

/// Inputs of a running worker beside the task.
pub(super) struct Given<'a> {
    pub(super) files: &'a [PathBuf],
    /// Folder for an unnamed file.
    pub(super) scratch: &'a Path,
    pub(super) least_units: i64,
    pub(super) rehearsal: bool,
    pub(super) part: Part,
    /// Rows to skip.
    pub(super) without: &'a [Range<u64>],
    /// File for groups, written by several workers in turn, and the number of bytes written.
    pub(super) spill: Option<(&'a File, u64)>,
}

impl<'a> Given<'a> {
    pub(super) fn all(files: &'a [PathBuf], scratch: &'a Path, least_units: i64) -> Self {
        Self { files, scratch, least_units, rehearsal: false, part: Part::All, without: &[], spill: None }
    }
}

impl Workers {
    /// Admits a job in a worker without data.
    ///
    /// # Errors
    /// Returns the refusal for the buyer; [`Code::Program`] also if the planner dies of the program or takes too long.
    pub async fn check(&self, work: &Work) -> Result<Checked, Refusal> {
        let time = planning(work);
        let answer = match self.order(work, None) {
            Ok((order, runner)) => self.call(&order, None, runner, time, &mut Taker::Nobody).await,
            Err(e) => Err(e),
        };
        match answer {
            Ok(Answer::Checked { shape, declared, pattern, reads, runtime, rows_read }) => {
                Ok(Checked { shape, declared, pattern, reads, runtime, rows_read })
            }
            Ok(Answer::Refused(refusal)) => Err(refusal),
            Ok(_) => Err(Refusal::new(Code::Unavailable, "the worker sent an unexpected reply")),
            Err(WorkerFailed::NotStarted(e)) => {
                tracing::error!("no worker: {e}");
                Err(Refusal::new(Code::Unavailable, "the owner's node has no worker available now")
                    .fix("Send the same job again"))
            }
            Err(WorkerFailed::Late) => {
                let message = format!("takes longer than {:.1} s to plan", time.as_secs_f64());
                Err(Refusal::new(Code::Program, message)
                    .at("program")
                    .fix("Simplify it, or ask the owner for a longer time budget"))
            }
            Err(e) => {
                tracing::warn!("a program could not be checked: {e}");
                Err(Refusal::new(Code::Program, "the program cannot be planned").at("program").fix("Make it simpler"))
            }
        }
    }

    /// Compiles a component for instances of `memory` bytes, in a worker with nothing else in hand.
    ///
    /// # Errors
    /// Returns the refusal for the buyer; [`Code::Program`] also if the compiler dies of the component or takes too long.
    pub async fn compile(&self, component: &[u8], memory: u64) -> Result<wasm::Code, Refusal> {
        let order = Order::Compile { component: component.to_vec(), memory: memory as usize };
        let refuse = |message: &str| Refusal::new(Code::Program, message).at("program.module");
        match self.call(&order, None, None, Duration::from_secs(limits::COMPILE_SECONDS), &mut Taker::Nobody).await {
            Ok(Answer::Compiled(code)) => Ok(wasm::Code::of_own_compiler(code)),
            Ok(Answer::Refused(refusal)) => Err(refusal),
            Ok(_) => Err(Refusal::new(Code::Unavailable, "the worker sent an unexpected reply")),
            Err(WorkerFailed::NotStarted(e)) => Err(Refusal::new(Code::Unavailable, e)),
            Err(WorkerFailed::Late) => {
                Err(refuse(&format!("takes longer than {} s to compile", limits::COMPILE_SECONDS)).fix("Make it smaller"))
            }
            Err(e @ (WorkerFailed::Broken(_) | WorkerFailed::Stopped)) => {
                tracing::warn!("a component could not be compiled: {e}");
                Err(refuse("the component cannot be compiled").fix("Make it simpler"))
            }
        }
    }

    /// Returns the sandbox layers in force around a worker, as found by a worker.
    ///
    /// # Errors
    /// Returns [`WorkerFailed`] if no worker can be started, or the program started is no worker of this build.
    pub async fn walls(&self) -> Result<Standing, WorkerFailed> {
        match self.call(&Order::Walls, None, None, Duration::from_secs(10), &mut Taker::Nobody).await? {
            Answer::Walls { standing, build } if build == program::build() => Ok(standing),
            Answer::Walls { build, .. } => {
                Err(not_started(format!("the program's workers are of build {build}, and this node is of {}", program::build())))
            }
            _ => Err(failed("unexpected reply")),
        }
    }

    /// Runs a job on mock rows, and also returns the program's messages: log lines and traps.
    ///
    /// # Errors
    /// Returns [`WorkerFailed`].
    pub async fn rehearse(&self, work: &Work, files: &[PathBuf]) -> Result<(Sums, Rehearsal), WorkerFailed> {
        let deadline = SystemTime::now() + Duration::from_millis(work.policy.limits.slot_ms);
        let mut sums = Sums::default();
        let scratch = std::env::temp_dir();
        let given = Given { rehearsal: true, ..Given::all(files, &scratch, 1) };
        let (each, mut groups) = tokio::sync::mpsc::channel(4);
        let take = async {
            while let Some(Coming::Groups(some)) = groups.recv().await {
                sums.groups.extend(some);
            }
        };
        let run = async {
            // The taker is dropped at the end of this block, and with it the sender: then all groups are taken.
            let mut taker = Taker::Groups(each);
            self.run_as(work, &given, deadline, &mut taker).await
        };
        let (shown, ()) = tokio::join!(run, take);
        Ok((sums, shown?))
    }

    /// Has a worker do a part of a job, to its end.
    ///
    /// The worker is killed at `deadline`, or when a step takes too long. Its sums go to `taker`, some groups at a time.
    ///
    /// # Errors
    /// Returns [`WorkerFailed`].
    pub(super) async fn run_as(
        &self,
        work: &Work,
        given: &Given<'_>,
        deadline: SystemTime,
        taker: &mut Taker<'_, '_>,
    ) -> Result<Rehearsal, WorkerFailed> {
        let (order, runner) = self.order(work, Some(given))?;
        let time = deadline.duration_since(SystemTime::now()).unwrap_or_default();
        match self.call(&order, Some(given), runner, time, taker).await? {
            Answer::Done(_) if fault::named("worker-breaks") => Err(failed("broken by a test")),
            Answer::Done(_) if matches!(given.part, Part::All) && fault::named("whole-breaks") => Err(failed("broken by a test")),
            Answer::Done(shown) => Ok(shown),
            Answer::Failed(why) => Err(WorkerFailed::Broken(why)),
            Answer::Refused(refusal) => Err(failed(refusal)),
            _ => Err(failed("unexpected reply")),
        }
    }

    /// Builds the order for a job, and takes a runner for its model.
    fn order(&self, work: &Work, given: Option<&Given<'_>>) -> Result<(Order, Option<Runner>), WorkerFailed> {
        // A buyer may check a job where there is no runtime; an owner's node has refused such a job before this.
        let runs = work.job.program.infers() && (given.is_some() || library::find().is_some());
        let runner = runs.then(|| Runner::take(self, work.place)).transpose()?;
        Ok((task(work, given, runner.is_some(), self.is_unwalled())?, runner))
    }

    /// Has a worker carry out `order`, and returns the last answer.
    ///
    /// `taker` takes the groups. Another worker is tried if a worker could not be started or ended before it had its task:
    /// nothing of the job has happened then.
    pub(super) async fn call(
        &self,
        order: &Order,
        given: Option<&Given<'_>>,
        runner: Option<Runner>,
        time: Duration,
        taker: &mut Taker<'_, '_>,
    ) -> Result<Answer, WorkerFailed> {
        let mut bytes = Vec::new();
        ciborium::into_writer(order, &mut bytes).map_err(failed)?;
        let spills = matches!(order, Order::Job(task) if matches!(task.job.program, Program::Sql { .. }));
        // Held until the answer is in.
        let (theirs, _runner) = match runner {
            Some(Runner { child, held, place }) => (Vec::from(held), Some((child, Next(self, place)))),
            None => (vec![], None),
        };
        let started = Instant::now();
        let mut pauses = PAUSES.into_iter();
        loop {
            let held = held(given, spills, &theirs)?;
            let left = time.saturating_sub(started.elapsed());
            match (self.once(held, &bytes, left, taker).await, pauses.next()) {
                (Err(WorkerFailed::NotStarted(why)), Some(pause)) => {
                    tracing::warn!("a worker failed to start, trying another: {why}");
                    tokio::time::sleep(pause).await;
                }
                (done, _) => return done,
            }
        }
    }

    /// Has a single worker carry out the order.
    async fn once(
        &self,
        held: Vec<OwnedFd>,
        order: &[u8],
        time: Duration,
        taker: &mut Taker<'_, '_>,
    ) -> Result<Answer, WorkerFailed> {
        let (mut child, socket) = self.take()?.parts();
        let mut stdout = child.stdout.take();
        taker.begins();
        let talk = async {
            let told = Started::tell(socket, held, order).await;
            let stdout = stdout.as_mut().ok_or_else(|| failed("no pipe"))?;
            let last = loop {
                let next = tokio::time::timeout(taker.patience().unwrap_or(time), read_frame(stdout));
                match next.await.map_err(|_| WorkerFailed::Late)? {
                    Ok(answer @ (Answer::Planned | Answer::Groups(_) | Answer::Piece(..))) => taker.take(answer).await?,
                    Ok(last) => break last,
                    // The exit status says more than the end of the output.
                    Err(e) => {
                        let status = child.wait().await.map_err(failed)?;
                        // A worker that ended before it had its task did not die of the task.
                        told.map_err(not_started)?;
                        return Err(if status.success() { e } else { failed(format!("ended with {status}")) });
                    }
                }
            };
            let status = child.wait().await.map_err(failed)?;
            if status.success() { Ok(last) } else { Err(failed(format!("ended with {status}"))) }
        };
        let answer = tokio::time::timeout(time, talk).await.unwrap_or(Err(WorkerFailed::Late));
        if matches!(answer, Err(WorkerFailed::Late)) {
            // A killed worker no longer writes to the file to which the next worker writes.
            child.kill().await.map_err(failed)?;
        }
        answer
    }
}

/// Returns how long planning a job may take before its charge.
///
/// The job is planned once more within its time budget, where admitted work on rows has its part (`Policy::work_ms`). Were there
/// no end to planning, a buyer could leave so little of the time to the rows that one person's rows decide whether everybody has
/// the fallback value.
pub(super) fn planning(work: &Work) -> Duration {
    let time = part_for_planning(Duration::from_millis(work.policy.limits.slot_ms), work.job.program.infers());
    // Unoptimised builds plan that much more slowly.
    if cfg!(debug_assertions) { time * 4 } else { time }
}

/// Returns the part of a time budget in which a job is planned and its model loaded.
fn part_for_planning(slot: Duration, infers: bool) -> Duration {
    let part = if infers { slot / 4 } else { slot / 16 };
    part.max(Duration::from_secs(1)).min(slot / 4)
}

/// Opens a worker's descriptors, in the order in which the worker takes them.
fn held(given: Option<&Given<'_>>, spills: bool, theirs: &[OwnedFd]) -> Result<Vec<OwnedFd>, WorkerFailed> {
    let files = given.map_or(&[][..], |given| given.files);
    let open = |path: &PathBuf| File::open(path).map(OwnedFd::from).map_err(not_started);
    let mut held = files.iter().map(open).collect::<Result<Vec<_>, WorkerFailed>>()?;
    if let Some(given) = given.filter(|_| spills) {
        let file = match given.spill {
            Some((file, _)) => file.try_clone(),
            None => tempfile::tempfile_in(given.scratch),
        };
        held.push(file.map_err(not_started)?.into());
    }
    for one in theirs {
        held.push(one.try_clone().map_err(not_started)?);
    }
    Ok(held)
}

/// Guard to start the next runner when a job is done with its own.
struct Next<'a>(&'a Workers, Place);

impl Drop for Next<'_> {
    fn drop(&mut self) {
        self.0.refill_runners(self.1);
    }
}

/// A running gpu-runner, with the worker's ends of the pipes and of the shared memory.
///
/// Dropping it kills the process.
pub(super) struct Runner {
    pub(super) child: tokio::process::Child,
    pub(super) held: [OwnedFd; 3],
    pub(super) place: Place,
}

impl Runner {
    pub(super) fn take(workers: &Workers, place: Place) -> Result<Self, WorkerFailed> {
        let (child, socket) = workers.take_runner(place)?.parts();
        let (runner_in, to) = std::io::pipe().map_err(not_started)?;
        let (from, runner_out) = std::io::pipe().map_err(not_started)?;
        // Unnamed, and without a size until the worker knows the model's; then sealed.
        let flags = rustix::fs::MemfdFlags::CLOEXEC | rustix::fs::MemfdFlags::ALLOW_SEALING;
        let memory = rustix::fs::memfd_create("rows", flags).map_err(not_started)?;
        let theirs = memory.try_clone().map_err(not_started)?;
        hand(&socket, vec![runner_in.into(), runner_out.into(), theirs])?;
        Ok(Self { child, held: [to.into(), from.into(), memory], place })
    }
}

/// Builds the order to check a job or, with `given`, to run the job over files.
fn task(work: &Work, given: Option<&Given<'_>>, runner: bool, unwalled: bool) -> Result<Order, WorkerFailed> {
    Ok(Order::Job(Box::new(Task {
        job: work.job.clone(),
        policy: work.policy.clone(),
        schema: write_schema(&work.schema)?,
        sent: match &work.attachment {
            None => Sent::Nothing,
            Some(sent) => match sent.program() {
                sandbox::Sent::Bytes(bytes) => Sent::Bytes(bytes.to_vec()),
                sandbox::Sent::Code(code) => Sent::Code(code.bytes().to_vec()),
            },
        },
        data: work.attachment.as_ref().map(|sent| sent.data().to_vec()).unwrap_or_default(),
        files: given.map_or(0, |given| given.files.len() as u32),
        runner,
        prf: work.prf,
        place: work.place,
        unwalled,
        least_units: given.map_or(1, |given| given.least_units),
        rehearsal: given.is_some_and(|given| given.rehearsal),
        part: given.map_or(Part::All, |given| given.part.clone()),
        without: given.map_or(vec![], |given| given.without.to_vec()),
        after: given.and_then(|given| given.spill).map_or(0, |(_, written)| written),
        dies: given.and_then(|_| fault::value("dies")),
    })))
}

async fn read_frame(from: &mut tokio::process::ChildStdout) -> Result<Answer, WorkerFailed> {
    let length = from.read_u32_le().await.map_err(failed)?;
    if length > FRAME_BYTES {
        return Err(failed("a frame is too long"));
    }
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes).await.map_err(failed)?;
    ciborium::from_reader(bytes.as_slice()).map_err(failed)
}

pub(super) fn write_schema(schema: &SchemaRef) -> Result<Vec<u8>, WorkerFailed> {
    let mut bytes = Vec::new();
    let mut writer = arrow::ipc::writer::StreamWriter::try_new(&mut bytes, schema).map_err(failed)?;
    writer.finish().map_err(failed)?;
    drop(writer);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use tidegate_protocol::policy::PolicyFile;

    use super::*;

    /// Planning, and then all that is admitted of rows, fit the slot, however short it is.
    #[test]
    fn planning_leaves_the_rows_their_part_of_the_slot() {
        for slot in ["200ms", "1s", "3s", "8s", "60s", "3600s"] {
            let text = format!(
                r#"
                unit = {{ column = "p", max_units = 1000, max_rows = 1, max_groups = 1 }}
                budget = {{ delta = 1e-9, rho = 1.0, per_buyer_rho = 1.0 }}
                jobs = {{ kinds = ["sql"], min_units = 5, fuel = 1, memory_mib = 16, slot = "{slot}", tick = "100ms" }}
                access = {{ compute = "granted", replicate = "nobody" }}
                columns = {{ a = {{}} }}
            "#
            );
            let policy = PolicyFile::parse(&text).unwrap().check(|e, _| Some(e)).unwrap();
            let all = Duration::from_millis(policy.limits.slot_ms);
            for infers in [false, true] {
                let both = part_for_planning(all, infers) + Duration::from_millis(policy.work_ms());
                assert!(both <= all / 8 * 7, "{slot}: {both:?}");
            }
        }
    }
}
