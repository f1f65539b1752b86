//! `[models]`: rules for accepted ONNX models.

use serde::{Deserialize, Serialize};

use super::{BadPolicy, bad};
use crate::{device::DeviceRule, limits};

/// Default number of operations per millisecond, reached by any serving machine.
const WORK_PER_MS: u64 = 2_000_000;

/// Default memory of a run in bytes.
const MEMORY_BYTES: u64 = 256 << 20;

/// Default bytes of a GPU's memory for a model.
const GPU_MEMORY_BYTES: u64 = 4 << 30;

/// Rules for accepted models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRules {
    /// Whether to accept models without a proof of row independence. Each is run on one unit's or block's rows at a time.
    pub mixing: bool,
    /// Number of operations reliably performed in a millisecond by the owner's machine.
    ///
    /// A model whose rows would not all fit in the slot is refused.
    pub work_per_ms: u64,
    /// Maximum bytes computed by a run of a model.
    pub memory_bytes: u64,
    /// Maximum number of processors per model; 0 for all processors of jobs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub threads: u32,
    /// Device on which models run.
    #[serde(default, skip_serializing_if = "is_auto")]
    pub device: DeviceRule,
    /// Maximum bytes of a GPU's memory per model.
    #[serde(default = "gpu_memory", skip_serializing_if = "is_gpu_memory")]
    pub gpu_memory_bytes: u64,
}

fn is_auto(rule: &DeviceRule) -> bool {
    *rule == DeviceRule::Auto
}

fn gpu_memory() -> u64 {
    GPU_MEMORY_BYTES
}

fn is_gpu_memory(bytes: &u64) -> bool {
    *bytes == GPU_MEMORY_BYTES
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Default for ModelRules {
    fn default() -> Self {
        Self {
            mixing: true,
            work_per_ms: WORK_PER_MS,
            memory_bytes: MEMORY_BYTES,
            threads: 0,
            device: DeviceRule::Auto,
            gpu_memory_bytes: GPU_MEMORY_BYTES,
        }
    }
}

impl ModelRules {
    /// Returns whether all rules have their defaults.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// `[models]` of the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelsFile {
    /// See [`ModelRules::mixing`].
    pub mixing: Option<bool>,
    /// Billions of operations reliably performed in a second by the machine.
    pub gflops: Option<f64>,
    /// Maximum MiB computed by a run of a model.
    pub memory_mib: Option<u64>,
    /// Maximum number of processors per model.
    pub threads: Option<u32>,
    /// Device: `auto`, `cpu` or `cuda:N`.
    pub device: Option<String>,
    /// Maximum MiB of a GPU's memory per model.
    pub gpu_memory_mib: Option<u64>,
}

impl ModelsFile {
    pub(super) fn check(&self) -> Result<ModelRules, BadPolicy> {
        let default = ModelRules::default();
        let work_per_ms = match self.gflops {
            None => default.work_per_ms,
            Some(gflops) if (0.001..=1e6).contains(&gflops) => (gflops * 1e6) as u64,
            Some(gflops) => return Err(bad("models.gflops", format!("is {gflops}"), "Write a number from 0.001 to 1000000")),
        };
        if self.threads == Some(0) {
            return Err(bad("models.threads", "is 0", "Write 1 or more, or omit it to use all"));
        }
        let most = limits::MODEL_BYTES >> 20;
        let memory_bytes = match self.memory_mib {
            None => default.memory_bytes,
            Some(mib) if (1..=most).contains(&mib) => mib << 20,
            Some(mib) => return Err(bad("models.memory_mib", format!("is {mib}"), format!("Write a number from 1 to {most}"))),
        };
        let threads = self.threads.unwrap_or(default.threads);
        let device = match &self.device {
            None => default.device,
            Some(text) => text.parse().map_err(|e| bad("models.device", e, "Write auto, cpu, or cuda: and a number"))?,
        };
        let gpu_memory_bytes = match self.gpu_memory_mib {
            None => default.gpu_memory_bytes,
            Some(mib) if (64..=1 << 20).contains(&mib) => mib << 20,
            Some(mib) => return Err(bad("models.gpu_memory_mib", format!("is {mib}"), "Write a number from 64 to 1048576")),
        };
        let mixing = self.mixing.unwrap_or(default.mixing);
        Ok(ModelRules { mixing, work_per_ms, memory_bytes, threads, device, gpu_memory_bytes })
    }
}
