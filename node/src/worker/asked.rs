//! Entry point of a program from which a node starts workers.

use std::{io::Write as _, path::Path, process::exit};

use crate::worker::{model::runner_main, program, serve::main};

/// Runs this process as a worker or runner, if a node started it as one, and ends it; returns at once otherwise.
///
/// A program that runs a node, or plans and rehearses jobs, calls this first in `main`, before any thread or runtime is started:
/// the process confines itself, which it only can while it has a single thread. A worker reads its task from the standard input,
/// so nothing may read from there before.
pub fn run_worker_if_asked() {
    let outcome = match program::asked() {
        None => return,
        Some(program::RUNNER) => {
            let mut arguments = std::env::args_os().skip(2);
            let library = arguments.next().unwrap_or_default();
            let ran = runner_main(Path::new(&library), arguments.next().is_some_and(|word| word == program::DEVICE));
            // The reason why a runner could not load its runtime is printed, for whoever looks into the failure. A worker prints
            // nothing.
            if let Err(e) = &ran {
                drop(writeln!(std::io::stderr(), "error: {e}"));
            }
            ran
        }
        Some(_) => main(),
    };
    exit(i32::from(outcome.is_err()))
}
