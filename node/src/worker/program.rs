//! Program that workers and runners are started from, opened once, and the words by which a process knows that it is one.

use std::{
    fs::File,
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use crate::worker::{WorkerFailed, not_started};

/// First argument of a process started as a worker.
pub(super) const WORKER: &str = "tidegate-worker";
/// First argument of a process started as a runner.
pub(super) const RUNNER: &str = "tidegate-runner";
/// Argument of a runner that runs models on the visible GPU, after the path of its library.
pub(super) const DEVICE: &str = "--device";

/// Source of the messages between a node and its workers.
const MESSAGES: &[u8] = include_bytes!("order.rs");

/// Returns the build of the messages that this process understands: the version, and a hash of how they are written.
pub(super) fn build() -> String {
    format!("{}-{:016x}", env!("CARGO_PKG_VERSION"), fnv(MESSAGES))
}

/// Hashes bytes by FNV-1a, which tells builds apart and protects nothing.
const fn fnv(bytes: &[u8]) -> u64 {
    let (mut hash, mut at) = (0xcbf2_9ce4_8422_2325_u64, 0);
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
}

/// Returns the first argument of this process if that of a worker or runner.
pub(super) fn asked() -> Option<&'static str> {
    let word = std::env::args_os().nth(1)?;
    [WORKER, RUNNER].into_iter().find(|own| word == *own)
}

/// Program to start workers and runners from.
#[derive(Debug, Default)]
pub(super) enum Program {
    /// The program of this process.
    #[default]
    Own,
    /// Another program, held open: another file under its name is not started.
    Opened {
        /// The open file.
        file: File,
        /// Path under which it was opened, for messages.
        path: PathBuf,
        /// State of the file when it was opened.
        stamp: Stamp,
    },
}

/// State of a file by which a change of its content shows: device, inode, size, and time of the last change in seconds and
/// nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(u64, u64, u64, i64, i64);

impl Stamp {
    fn of(file: &File) -> std::io::Result<Self> {
        let found = file.metadata()?;
        Ok(Self(found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
    }
}

impl Program {
    /// Opens the program at `path`.
    ///
    /// # Errors
    /// Returns [`WorkerFailed::NotStarted`] naming the path if there is no readable file.
    pub(super) fn open(path: &Path) -> Result<Self, WorkerFailed> {
        let failed = |e: std::io::Error| not_started(format!("{}: {e}", path.display()));
        let file = File::open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(not_started(format!("{} is not a file", path.display())));
        }
        let stamp = Stamp::of(&file).map_err(failed)?;
        Ok(Self::Opened { file, path: path.to_owned(), stamp })
    }

    /// Returns the path of the running process's program, or of the open file, whatever has the file's name by now.
    pub(super) fn path(&self) -> PathBuf {
        match self {
            Self::Own => PathBuf::from("/proc/self/exe"),
            Self::Opened { file, .. } => PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())),
        }
    }

    /// Builds the command that starts the program, with an empty environment.
    ///
    /// # Errors
    /// Returns [`WorkerFailed::NotStarted`] if the open file was written to, since its content is of another build then, or if
    /// this process was itself started as a worker and its program did not notice: each would start the next.
    pub(super) fn command(&self) -> Result<Command, WorkerFailed> {
        if let Some(word) = asked() {
            return Err(not_started(format!(
                "this process was started as `{word}` and its program does not call `run_worker_if_asked` first"
            )));
        }
        if let Self::Opened { file, path, stamp } = self
            && Stamp::of(file).map_err(not_started)? != *stamp
        {
            return Err(not_started(format!("{} has changed since it was opened: restart the node", path.display())));
        }
        let mut command = Command::new(self.path());
        command.env_clear();
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_open_program_is_started_whatever_has_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        std::fs::copy("/bin/true", &path).unwrap();
        let program = Program::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::copy("/bin/false", &path).unwrap();
        assert!(program.command().unwrap().status().unwrap().success(), "the file that was opened");
        assert!(!Program::open(&path).unwrap().command().unwrap().status().unwrap().success());
    }

    #[test]
    fn a_program_that_was_written_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        std::fs::copy("/bin/true", &path).unwrap();
        let program = Program::open(&path).unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();
        let refused = program.command().unwrap_err().to_string();
        assert!(refused.contains("has changed since it was opened"), "{refused}");
        assert!(Program::open(folder.path()).is_err(), "a folder");
    }
}
