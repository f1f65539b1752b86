//! The runner: loads the runtime, raises its walls, loads one model, runs slots until its input ends.

use std::{
    fs::File,
    io::{BufReader, Write},
    path::Path,
    sync::{
        Mutex,
        mpsc::{Receiver, channel},
    },
};

use ort::environment::Environment;
use tidegate_lockdown::{Walls, enter};

use crate::{
    InferenceFailed, failed,
    layout::Layout,
    library::{QUIET, is_quiet},
    session::Scorer,
    shared::Shared,
    wire::{Loaded, Model, number, read, write},
};

/// Private memory of the runner in bytes, beside what its sessions take.
const MEMORY: u64 = 2 << 30;
/// Processor seconds of a runner.
const CPU_SECONDS: u64 = 3600;
/// Most threads.
const THREADS: u32 = 64;

/// The runtime, loaded.
pub struct Runtime(Environment);

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Runtime")
    }
}

impl Runtime {
    /// Loads the library.
    ///
    /// # Errors
    /// [`InferenceFailed`] where it cannot be, or would report to its makers.
    pub fn load(library: &Path) -> Result<Self, InferenceFailed> {
        if !is_quiet() {
            return Err(failed(format!("start it with {}={}: the runtime must not report to anybody", QUIET.0, QUIET.1)));
        }
        let environment = ort::init_from(library).map_err(failed)?.with_telemetry(false).build().map_err(failed)?;
        Ok(Self(environment))
    }

    /// Serves one model over `from` and `to`, with rows in `memory`. Returns when `from` ends.
    ///
    /// # Errors
    /// [`InferenceFailed`] when the pipes break; a model the runtime refuses is answered, not an error.
    pub fn serve(&self, from: File, mut to: File, memory: &File) -> Result<(), InferenceFailed> {
        let mut from = BufReader::new(from);
        let model: Model = read(&mut from)?;
        let layout = Layout::of(&model);
        let shared = Shared::open(memory, layout.bytes())?;
        let threads = model.threads.clamp(1, THREADS);
        let each = model.working.saturating_mul(2).saturating_add(4 * model.bytes.len() as u64);
        let memory_bytes = each.saturating_mul(threads.into()).saturating_add(MEMORY);
        // The runtime is loaded and has its threads: from here on nothing can be opened, also not by the model.
        enter(&Walls { memory_bytes, cpu_seconds: CPU_SECONDS, file_bytes: 0 }).map_err(failed)?;
        let open = || Scorer::open(&self.0, &model, &layout, &shared);
        let scorers = (0..threads).map(|_| open()).collect::<Result<Vec<_>, _>>();
        let scorers = match scorers {
            Ok(scorers) => scorers,
            Err(e) => return write(&mut to, &Loaded::Refused(e.0)),
        };
        write(&mut to, &Loaded::Ready)?;
        let (hand, take) = channel::<(usize, Vec<u32>)>();
        let (take, to) = (Mutex::new(take), Mutex::new(to));
        std::thread::scope(|scope| {
            for mut scorer in scorers {
                let (take, to) = (&take, &to);
                let work = move || {
                    while let Some((slot, runs)) = next(take) {
                        scorer.slot(slot, &runs);
                        let done = to.lock().map(|mut to| to.write_all(&(slot as u32).to_le_bytes()));
                        // Nobody listens any more: the other side is gone, and this one ends soon.
                        if !matches!(done, Ok(Ok(()))) {
                            return;
                        }
                    }
                };
                std::thread::Builder::new().spawn_scoped(scope, work).map_err(failed)?;
            }
            while let Some(slot) = number(&mut from)? {
                let missing = || failed("the other side is gone");
                let many = number(&mut from)?.ok_or_else(missing)?;
                if slot as usize >= layout.slots || many > model.rows {
                    return Err(failed("a slot that is not there, or more runs than it has rows"));
                }
                let runs = (0..many).map(|_| number(&mut from)?.ok_or_else(missing)).collect::<Result<Vec<u32>, _>>()?;
                if runs.iter().map(|n| u64::from(*n)).sum::<u64>() > model.rows.into() {
                    return Err(failed("more rows than a slot has"));
                }
                hand.send((slot as usize, runs)).map_err(failed)?;
            }
            drop(hand);
            Ok(())
        })
    }
}

fn next(take: &Mutex<Receiver<(usize, Vec<u32>)>>) -> Option<(usize, Vec<u32>)> {
    take.lock().ok()?.recv().ok()
}
