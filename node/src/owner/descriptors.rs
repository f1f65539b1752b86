//! File descriptors: a node has as many as its jobs will need, or does not start.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::NodeError;

/// Descriptors for the ledger, the log, the network, and files being sent.
const BASE: usize = 256;
/// Descriptors for a job: workers, runners, their pipes, compiled code and spill files.
const JOB: usize = 64;

/// Raises this process's limit as far as possible, and checks whether this is enough for `jobs` at a time over `files` each.
///
/// # Errors
/// Returns [`NodeError::Descriptors`] saying how many are needed.
pub(in crate::owner) fn suffice(jobs: usize, files: usize) -> Result<(), NodeError> {
    let limit = getrlimit(Resource::Nofile);
    // A limit that cannot be raised stays as it is and is checked below.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let has = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // Each file is open here and handed to a worker; a job being searched for the cause of a failure has two workers at a time.
    let needs = (BASE + jobs.saturating_mul(JOB + 2 * files)) as u64;
    if has >= needs {
        return Ok(());
    }
    Err(NodeError::Descriptors { jobs, files, needs, has })
}
