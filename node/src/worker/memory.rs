//! Memory and devices of the processes that work for a job.

use tidegate_gpu_runner::{
    device::{self, Gpu},
    library,
    server::DEVICE_MEMORY,
};
use tidegate_protocol::{
    device::DeviceRule,
    limits,
    policy::{JobKind, Policy},
};
use tidegate_sandbox::wasm;

/// Memory of a worker beyond the guest's own: planner, compiler, batches.
pub(super) const WORKER_MEMORY: u64 = 2 << 30;
/// Factor by which a worker has more memory for running pieces of a job.
///
/// A privacy unit's rows, alone in a single batch, take no more memory than they took in two batches among other rows.
pub(super) const PIECE_MEMORY: u64 = 2;
/// Part of a worker's memory for groups.
///
/// Keys and sums grow in steps and are copied once, so several times as much is in use for a moment.
pub(super) const GROUP_BYTES: usize = 256 << 20;
/// Maximum number of bytes of groups on disk.
pub(super) const SPILL_BYTES: u64 = 256 << 30;
/// Returns the maximum memory in bytes of a worker running a job under `policy`.
pub(super) fn worker_memory(policy: &Policy) -> u64 {
    WORKER_MEMORY + policy.limits.memory_bytes * wasm::ways() as u64
}

/// Returns the maximum memory in bytes of a job under `policy`: its worker's, and its runner's if models are accepted.
pub fn memory(policy: &Policy) -> u64 {
    let runner = policy.kinds.contains(&JobKind::Onnx).then(|| {
        let threads = threads(policy.models.threads);
        tidegate_gpu_runner::server::private_memory(policy.models.memory_bytes, limits::PROGRAM_BYTES as u64, threads)
            + if policy.models.device != DeviceRule::Cpu && !usable_gpus().is_empty() { DEVICE_MEMORY } else { 0 }
    });
    worker_memory(policy) + runner.unwrap_or_default()
}

/// Returns the GPUs on which models can run; none without a runtime for them.
pub fn usable_gpus() -> Vec<Gpu> {
    if library::find_cuda().is_some() { device::gpus() } else { vec![] }
}

/// Returns how many concurrent runs a policy allows here; 0 in the policy means no limit of its own.
pub(super) fn threads(most: u32) -> u32 {
    let here = wasm::ways() as u32;
    if most == 0 { here } else { most.min(here) }
}
