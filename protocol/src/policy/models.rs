//! `[models]`: what ONNX models an owner takes.

use serde::{Deserialize, Serialize};

use super::{BadPolicy, bad};
use crate::{device::DeviceRule, limits};

/// Operations that any machine that serves does in a millisecond, where the owner does not say more.
const WORK_PER_MS: u64 = 2_000_000;

/// Bytes of a run, where the owner does not say more.
const MEMORY_BYTES: u64 = 256 << 20;

/// Bytes of a GPU's memory for a model, where the owner does not say.
const GPU_MEMORY_BYTES: u64 = 4 << 30;

/// What models an owner takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRules {
    /// Also models that are not proven to keep rows apart: each is run for one unit's or block's rows at a time.
    pub mixing: bool,
    /// Operations in a millisecond that the owner's machine surely does: a model whose rows would not all fit the slot is refused.
    pub work_per_ms: u64,
    /// Bytes that one run of a model may compute at most.
    pub memory_bytes: u64,
    /// Most processors that one model takes; 0 for all that jobs may have.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub threads: u32,
    /// Where models run.
    #[serde(default, skip_serializing_if = "is_auto")]
    pub device: DeviceRule,
    /// Bytes of a GPU's memory that one model may have.
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
    /// Whether nothing was said.
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
    /// Billions of operations a second that the machine surely does.
    pub gflops: Option<f64>,
    /// MiB that one run of a model may compute at most.
    pub memory_mib: Option<u64>,
    /// Most processors that one model takes.
    pub threads: Option<u32>,
    /// `auto`, `cpu` or `cuda:N`.
    pub device: Option<String>,
    /// MiB of a GPU's memory that one model may have.
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
            return Err(bad("models.threads", "is 0", "Write 1 or more, or leave it away for all"));
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
