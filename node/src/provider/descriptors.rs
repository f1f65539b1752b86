//! File descriptors: a node has as many as its jobs will need, or does not begin.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::NodeError;

/// For ledger, log, network, and files that are sent.
const BASE: usize = 256;
/// Of a job: workers, runners, their pipes, what is compiled and spilled.
const JOB: usize = 64;

/// Raises this process's limit to what it may be, and says whether that is enough for so many `jobs` at a time, each over so many `files`.
///
/// # Errors
/// [`NodeError::File`] saying how many are needed.
pub(super) fn suffice(jobs: usize, files: usize) -> Result<(), NodeError> {
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised it stays, and is looked at below.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let has = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // Each file is open here and handed to a worker; a job that is looked for who broke it has two workers at a time.
    let needs = (BASE + jobs.saturating_mul(JOB + 2 * files)) as u64;
    if has >= needs {
        return Ok(());
    }
    Err(NodeError::File(format!(
        "{jobs} jobs at a time over up to {files} files need {needs} file descriptors, and this process may have {has}: raise the limit (`ulimit -n {needs}`, or \
         LimitNOFILE={needs} of a systemd service), or give a smaller --jobs"
    )))
}
