//! The runner: loads the runtime, confines itself, loads one model, and runs slots until its input ends.

use std::{
    collections::VecDeque,
    fs::File,
    io::{BufReader, Write},
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, PoisonError, mpsc::channel},
};

use ort::environment::Environment;
use tidegate_lockdown::{Standing, Walls, Who, device, enter};

use crate::{
    error::{InferenceFailed, failed},
    layout::Layout,
    library::{QUIET, is_quiet, version},
    session::{Scorer, warm_up},
    shapes,
    shared::Shared,
    wire::{Cuda, Loaded, Model, number, read, write},
};

/// Private memory of the runner in bytes, besides its sessions' memory.
const MEMORY: u64 = 1 << 30;
/// Host memory of a device's driver and libraries, in bytes.
pub const DEVICE_MEMORY: u64 = 16 << 30;
/// Maximum device memory for initialization, in bytes.
const WARM_UP_MEMORY: u64 = 256 << 20;
/// Processor time of a runner in seconds.
const CPU_SECONDS: u64 = 3600;
/// Maximum number of threads.
const THREADS: u32 = 64;

/// Returns the maximum private memory of a runner in bytes.
///
/// The model has `model` bytes and computes `working` bytes per run on each of `threads` threads.
///
/// The runtime sets aside more than it computes, and keeps weights in several forms.
pub fn private_memory(working: u64, model: u64, threads: u32) -> u64 {
    let each = working.saturating_mul(2).saturating_add(model.saturating_mul(4));
    each.saturating_mul(threads.into()).saturating_add(MEMORY)
}

/// The loaded runtime.
pub struct Runtime {
    environment: Environment,
    /// Name, version and build.
    version: String,
    /// Confinement so far of an initialized device, or the error of its initialization.
    device: Option<Result<Standing, InferenceFailed>>,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Runtime")
    }
}

impl Runtime {
    /// Loads the library. For a `device`, also applies the confinement possible before initialization, and initializes the
    /// device.
    ///
    /// It takes a while, and can be done before there is a task.
    ///
    /// # Errors
    /// Returns [`InferenceFailed`] if it cannot be loaded, or would report to its makers.
    pub fn load(library: &Path, device: bool) -> Result<Self, InferenceFailed> {
        if !is_quiet() {
            return Err(failed(format!("start it with {}={}: the runtime must not send telemetry", QUIET.0, QUIET.1)));
        }
        let environment = ort::init_from(library).map_err(failed)?.with_telemetry(false).build().map_err(failed)?;
        warm_up(&environment, None)?;
        let device = device.then(|| ready(&environment));
        Ok(Self { environment, version: version(library), device })
    }

    /// Checks that the device is initialized, if requested.
    ///
    /// # Errors
    /// Returns [`InferenceFailed`] with the reason why it is not.
    pub fn is_ready(&self) -> Result<(), InferenceFailed> {
        match &self.device {
            Some(Err(e)) => Err(InferenceFailed(e.0.clone())),
            _ => Ok(()),
        }
    }

    /// Serves a model over `from` and `to`, with rows in `memory`. Returns when `from` ends.
    ///
    /// # Errors
    /// Returns [`InferenceFailed`] if the pipes break. A model that the runtime refuses is answered, and is not an error.
    pub fn serve(&self, from: File, to: File, memory: &File) -> Result<(), InferenceFailed> {
        let mut from = BufReader::new(from);
        let model: Model = read(&mut from)?;
        let layout = Layout::of(&model);
        let shared = Shared::open(memory, layout.bytes())?;
        let threads = model.threads.clamp(1, THREADS);
        let (queue, to) = (Queue::default(), Mutex::new(to));
        // The runtime is loaded and has its threads. From here on nothing can be opened, not even by the model.
        let standing = match (model.cuda, &self.device) {
            (None, None) => {
                let memory_bytes = private_memory(model.working, model.bytes.len() as u64, threads);
                enter(Who::Runner, &Walls { memory_bytes, cpu_seconds: CPU_SECONDS, file_bytes: 0 }).map_err(failed)
            }
            (Some(_), Some(Ok(before))) => {
                shared.pin();
                close(before, model.unwalled)
            }
            (Some(_), Some(Err(e))) => Err(InferenceFailed(e.0.clone())),
            _ => Err(failed("it was started for another device")),
        };
        let standing = match standing {
            Ok(standing) => standing,
            Err(e) => return answer(&to, &Loaded::Refused(e.0)),
        };
        if let Err(e) = shapes::check(&self.environment, &model, &layout, &shared) {
            return answer(&to, &Loaded::Refused(e.0));
        }
        let (loaded, all_loaded) = channel();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let (queue, to, model, layout, shared, loaded) = (&queue, &to, &model, &layout, &shared, loaded.clone());
                let work = move || match Scorer::open(&self.environment, model, layout, shared) {
                    Err(e) => _ = loaded.send(Err(e)),
                    Ok(mut scorer) => {
                        _ = loaded.send(Ok(()));
                        drop(loaded);
                        while let Some((slot, runs)) = queue.take() {
                            scorer.slot(slot, &runs);
                            let done = to.lock().map(|mut to| to.write_all(&(slot as u32).to_le_bytes()));
                            // Nobody listens any more: the other side is gone, and this side ends soon.
                            if !matches!(done, Ok(Ok(()))) {
                                return;
                            }
                        }
                    }
                };
                std::thread::Builder::new().spawn_scoped(scope, work).map_err(failed)?;
            }
            drop(loaded);
            let served = match all_loaded.into_iter().collect::<Result<(), _>>() {
                Err(e) => answer(&to, &Loaded::Refused(e.0)),
                Ok(()) => answer(&to, &Loaded::Ready(self.version.clone(), standing))
                    .and_then(|()| hand_out(&mut from, &queue, &layout, &model)),
            };
            queue.end();
            served
        })
    }
}

/// Initializes the device and its libraries with a model of our own, under the confinement possible before.
fn ready(environment: &Environment) -> Result<Standing, InferenceFailed> {
    let walls = Walls { memory_bytes: DEVICE_MEMORY + MEMORY, cpu_seconds: CPU_SECONDS, file_bytes: 0 };
    let before = device::prepare(&walls, &libraries()).map_err(failed)?;
    warm_up(environment, Some(Cuda { memory: WARM_UP_MEMORY, tf32: false }))?;
    Ok(before)
}

/// Applies the last measure of confinement, around an initialized device and everything held by now.
fn close(before: &Standing, unwalled: bool) -> Result<Standing, InferenceFailed> {
    let standing = Standing { calls: device::close(), ..*before };
    // The list of calls lets files be opened; only landlock then holds that back.
    if unwalled || (standing.calls && standing.landlock) {
        return Ok(standing);
    }
    Err(failed("the owner's machine lacks a part of the process confinement of GPUs"))
}

/// Returns the folders of the runtime for a device and of its libraries, which this process was started with.
fn libraries() -> Vec<PathBuf> {
    std::env::var_os("LD_LIBRARY_PATH").iter().flat_map(std::env::split_paths).filter(|path| path.is_absolute()).collect()
}

fn answer(to: &Mutex<File>, loaded: &Loaded) -> Result<(), InferenceFailed> {
    write(&mut *to.lock().unwrap_or_else(PoisonError::into_inner), loaded)
}

/// Puts slots into the queue until `from` ends.
fn hand_out(from: &mut BufReader<File>, queue: &Queue, layout: &Layout, model: &Model) -> Result<(), InferenceFailed> {
    while let Some(slot) = number(from)? {
        let missing = || failed("the other side is gone");
        let many = number(from)?.ok_or_else(missing)?;
        if slot as usize >= layout.slots || many > model.rows {
            return Err(failed("a missing shared-memory buffer, or more runs than the buffer has rows"));
        }
        let runs = (0..many).map(|_| number(from)?.ok_or_else(missing)).collect::<Result<Vec<u32>, _>>()?;
        // The last run ends with its rows; each run before it extends to the beginning of the next.
        let step = u64::from(model.step.max(1));
        let end =
            runs.iter().fold((0, 0), |(begin, _), n| (begin + u64::from(*n).next_multiple_of(step), begin + u64::from(*n))).1;
        if end > model.rows.into() {
            return Err(failed("more rows than a shared-memory buffer has"));
        }
        queue.put((slot as usize, runs));
    }
    Ok(())
}

/// A slot's number, and the rows of its runs.
type Slot = (usize, Vec<u32>);

/// Slots waiting for a thread.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

#[derive(Default)]
struct Waiting {
    slots: VecDeque<Slot>,
    /// Whether no more slots follow.
    ended: bool,
}

impl Queue {
    fn put(&self, slot: Slot) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).slots.push_back(slot);
        self.more.notify_one();
    }

    fn end(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
        self.more.notify_all();
    }

    /// Takes the next slot. `None` if no more follow.
    fn take(&self) -> Option<Slot> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match waiting.slots.pop_front() {
                Some(slot) => return Some(slot),
                None if waiting.ended => return None,
                None => waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}
