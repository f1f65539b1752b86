//! A job as signed by the buyer. Its privacy cost is a function of this document alone.

mod bound;
mod key;
mod output;
mod program;
mod split;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    ContentHash, Cost,
    dsse::Document,
    limits,
    policy::JobKind,
    refusal::{Code, Refusal},
};

pub use key::Key;
pub use output::{Output, Reducer};
pub use program::{Data, Program, RowReduce};
pub use split::{Blocks, Split};

/// Form in which a result is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Noised, differentially private.
    #[default]
    Dp,
    /// Exact, for a job approved by the owner.
    Reviewed,
}

impl Mode {
    fn is_dp(&self) -> bool {
        *self == Self::Dp
    }
}

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Version of this format.
    pub version: u32,
    /// Buyer's own id for this request, 32 hexadecimal characters. The same id is charged once and answered with the same bytes.
    pub request: String,
    /// Id of the dataset's manifest.
    pub dataset: ContentHash,
    /// Cost accepted by the buyer: ρ for Gaussian noise or pure ε for Laplace noise, and δ if keys are undeclared.
    pub cost: Cost,
    /// Creation time, seconds since 1970.
    pub created: i64,
    /// Program to run.
    pub program: Program,
    /// Form in which its result is released.
    #[serde(default, skip_serializing_if = "Mode::is_dp")]
    pub mode: Mode,
    /// Relative shares of the privacy cost by column name. An unlisted column has weight 1.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, f64>,
}

impl Document for Job {
    const PAYLOAD_TYPE: &'static str = "application/vnd.tidegate.job.v1+json";
}

impl Job {
    /// Returns the hash of the question asked, independent of time and request id.
    ///
    /// It is BLAKE3 of the JSON of the policies that apply (including the newest version's, if an older version is asked) and of
    /// the job without request and time. Numbers are written to the last digit, as in [`Job::bound`].
    pub fn question(&self, policy: &ContentHash, newest: Option<&ContentHash>) -> ContentHash {
        let asked = Self { request: String::new(), created: 0, ..self.clone() };
        ContentHash::of(&serde_json::to_vec(&(policy, newest, asked)).unwrap_or_default())
    }

    /// Checks every rule that is independent of policy and schema.
    ///
    /// # Errors
    /// Returns a [`Refusal`] that names the field.
    pub fn check(&self) -> Result<(), Refusal> {
        let bad = |field: &str, message: String| Refusal::new(Code::BadRequest, message).at(field);
        if self.version != 1 {
            return Err(bad("version", format!("version {} is not supported", self.version)).fix("Use version 1"));
        }
        if self.request.len() != 32 || !self.request.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(bad("request", "must be 32 lower-case hexadecimal characters".into()));
        }
        if self.mode == Mode::Reviewed {
            if self.cost != Cost::REVIEWED || !self.weights.is_empty() {
                return Err(bad(
                    "cost",
                    "an exact result costs one of the owner's allowed exact results, and no ρ, ε or δ".into(),
                ));
            }
            if self.program.kind() != JobKind::Sql {
                return Err(bad("mode", "only queries can have exact results".into())
                    .fix("Remove mode: noise is added to a program's result"));
            }
        } else if self.cost.reviewed != 0 {
            return Err(bad("cost.reviewed", "applies only to jobs of mode `reviewed`".into()));
        } else if (self.cost.rho_micro.0 == 0) == (self.cost.epsilon_micro.0 == 0) {
            let problem = "exactly one of ρ (Gaussian noise) and pure ε (Laplace noise) must be positive";
            return Err(bad("cost.rho_micro", problem.into()).fix("Give the job an epsilon or rho"));
        }
        if self.program.sql().len() > limits::SQL_BYTES {
            return Err(bad("program.query", format!("is longer than {} bytes", limits::SQL_BYTES)));
        }
        if let Some((name, weight)) = self.weights.iter().find(|(_, w)| !limits::WEIGHTS.contains(*w)) {
            let (least, most) = (limits::WEIGHTS.start(), limits::WEIGHTS.end());
            return Err(bad(&format!("weights.{name}"), format!("{weight:e} is not between {least} and {most}")));
        }
        match &self.program {
            Program::Sql { keys, .. } => {
                if keys.as_ref().is_some_and(|k| k.is_empty() || k.len() > limits::DECLARED_KEYS) {
                    return Err(bad("program.keys", format!("must list 1 to {} keys", limits::DECLARED_KEYS)));
                }
                Ok(())
            }
            Program::Wasm { outputs, split, params_base64, data, infer, on, .. } => {
                if on.is_some() && infer.is_none() {
                    return Err(bad("program.on", "names a device for a model, and the component uses no model".into()));
                }
                if data.is_some_and(|data| !(1..=limits::PROGRAM_BYTES as u64).contains(&data.bytes)) {
                    return Err(bad("program.data", format!("must have 1 to {} bytes", limits::PROGRAM_BYTES)));
                }
                if let Some(output) = infer {
                    if data.is_none() {
                        return Err(bad("program.infer", "names an output of a model, and the job has no model".into())
                            .fix("Set data to the model"));
                    }
                    if output.len() > limits::NAME_BYTES {
                        return Err(bad("program.infer", format!("has more than {} bytes", limits::NAME_BYTES)));
                    }
                }
                if params_base64.len() > limits::PARAMS_BYTES / 3 * 4 {
                    return Err(bad("program.params_base64", format!("holds more than {} bytes", limits::PARAMS_BYTES)));
                }
                if let Split::Blocks(blocks) = split {
                    blocks.check()?;
                }
                output::check_outputs(outputs)
            }
            Program::Onnx { outputs, split, label, .. } => {
                if label.as_ref().is_some_and(|label| label.len() > limits::NAME_BYTES) {
                    return Err(bad("program.label", format!("has more than {} bytes", limits::NAME_BYTES)));
                }
                if let Split::Blocks(blocks) = split {
                    blocks.check()?;
                }
                output::check_outputs(outputs)
            }
        }
    }
}
