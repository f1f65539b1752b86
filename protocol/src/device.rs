//! Device of a model's run: the owner's rule, the job's request, and the resulting placement.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Code, Refusal};

/// Device on which an owner lets models run: `auto`, `cpu`, or `cuda:N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum DeviceRule {
    /// The first GPU if present and equipped with kernels for the whole model, otherwise the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The GPU of this number, in the order of the GPUs' bus addresses, and nowhere else.
    Cuda(u32),
}

/// Device on which a job asks to run its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    /// The processor.
    Cpu,
    /// A GPU, in the model's own precision.
    Cuda,
    /// A GPU, with products in TensorFloat-32: ten bits of mantissa.
    CudaTf32,
}

/// Device on which a model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The processor.
    #[default]
    Cpu,
    /// The GPU of this number.
    Cuda {
        /// Number of the GPU, in the order of the GPUs' bus addresses.
        index: u32,
        /// Whether products may be in TensorFloat-32.
        tf32: bool,
    },
}

impl DeviceRule {
    /// Chooses the device of a job with the request `on`, on a machine with `gpus` usable GPUs.
    ///
    /// It is never another device than the job asked for.
    ///
    /// # Errors
    /// Returns a [`Refusal`] if the rule, the job and the machine are incompatible.
    pub fn place(self, on: Option<On>, gpus: u32) -> Result<Place, Refusal> {
        let refuse = |code: Code, message: String| Refusal::new(code, message).at("program.on");
        let cuda = |index: u32| Place::Cuda { index, tf32: on == Some(On::CudaTf32) };
        match (self, on) {
            (Self::Cpu, Some(On::Cuda | On::CudaTf32)) => {
                Err(refuse(Code::Policy, "this owner runs models only on the CPU".into()).fix("Remove `on`"))
            }
            (Self::Cpu, _) | (Self::Auto, Some(On::Cpu)) => Ok(Place::Cpu),
            (Self::Cuda(_), Some(On::Cpu)) => {
                Err(refuse(Code::Policy, format!("this owner runs models only on {self}")).fix("Remove `on`"))
            }
            (Self::Cuda(index), _) if index < gpus => Ok(cuda(index)),
            (Self::Cuda(_), _) => Err(refuse(Code::Unavailable, format!("the owner's node has no {self} available now"))),
            (Self::Auto, _) if gpus > 0 => Ok(cuda(0)),
            (Self::Auto, None) => Ok(Place::Cpu),
            (Self::Auto, Some(On::Cuda | On::CudaTf32)) => {
                Err(refuse(Code::Unavailable, "the owner's node has no GPU available for models".into()).fix("Remove `on`"))
            }
        }
    }
}

impl fmt::Display for DeviceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for DeviceRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let index = || text.strip_prefix("cuda:").filter(|n| n.len() <= 3 && n.bytes().all(|b| b.is_ascii_digit()));
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            _ => index().and_then(|n| n.parse().ok()).map(Self::Cuda).ok_or_else(|| format!("{text:?} is not a device")),
        }
    }
}

impl From<DeviceRule> for String {
    fn from(rule: DeviceRule) -> Self {
        rule.to_string()
    }
}

impl TryFrom<String> for DeviceRule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_what_it_is_written_as() {
        for text in ["auto", "cpu", "cuda:0", "cuda:12"] {
            assert_eq!(text.parse::<DeviceRule>().unwrap().to_string(), text);
        }
        for text in ["", "cuda", "cuda:", "cuda:-1", "cuda:1x", "gpu", "CUDA:0", "cuda:99999999999"] {
            assert!(text.parse::<DeviceRule>().is_err(), "{text}");
        }
    }

    /// Nobody runs elsewhere than they asked for, or than the owner lets.
    #[test]
    fn a_job_runs_where_both_say_or_not_at_all() {
        use DeviceRule::{Auto, Cpu, Cuda};
        let gpu = |index, tf32| Ok(Place::Cuda { index, tf32 });
        let refused = |code| Err(code);
        for (rule, on, gpus, wanted) in [
            (Auto, None, 0, Ok(Place::Cpu)),
            (Auto, None, 2, gpu(0, false)),
            (Auto, Some(On::Cpu), 2, Ok(Place::Cpu)),
            (Auto, Some(On::Cuda), 1, gpu(0, false)),
            (Auto, Some(On::CudaTf32), 1, gpu(0, true)),
            (Auto, Some(On::Cuda), 0, refused(Code::Unavailable)),
            (Cpu, None, 2, Ok(Place::Cpu)),
            (Cpu, Some(On::Cpu), 2, Ok(Place::Cpu)),
            (Cpu, Some(On::Cuda), 2, refused(Code::Policy)),
            (Cuda(1), None, 2, gpu(1, false)),
            (Cuda(1), Some(On::CudaTf32), 2, gpu(1, true)),
            (Cuda(1), None, 1, refused(Code::Unavailable)),
            (Cuda(0), Some(On::Cpu), 1, refused(Code::Policy)),
        ] {
            let place = rule.place(on, gpus).map_err(|refusal| refusal.code);
            assert_eq!(place, wanted, "{rule} {on:?} {gpus}");
        }
    }
}
