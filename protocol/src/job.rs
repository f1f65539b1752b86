//! A job as the buyer signs it. Its cost is a function of this document alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    ContentHash, Cost,
    dsse::Document,
    limits,
    policy::JobKind,
    refusal::{Code, Refusal},
};

/// How rows become calls of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// One call a privacy unit.
    Unit,
    /// One call a block; units go to this many blocks by a keyed PRF (sample and aggregate).
    Blocks(u32),
}

/// What the gate does with one number of the contribution vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Reducer {
    /// Sum over units or blocks.
    Sum,
    /// Mean over units or blocks.
    Mean,
    /// Counts of units or blocks per bin: `bins` equal bins over [lo, hi].
    Histogram {
        /// Number of bins.
        bins: u32,
    },
    /// Quantiles over units or blocks, each in [0, 1].
    Quantiles {
        /// Which.
        at: Vec<f64>,
    },
    /// Takes two numbers, the class and what it was taken for, each from 0 to `classes` − 1: counts of the pairs, accuracy, precision, recall.
    Confusion {
        /// Number of classes.
        classes: u32,
    },
    /// Takes two numbers, a score in [lo, hi] and a label (0 or 1): area under the ROC curve, accuracy, precision and recall at a cut.
    Scores {
        /// Bins of the score.
        bins: u32,
        /// Scores of at least this are called positive.
        cut: f64,
    },
    /// Takes `len` numbers: the sum of vectors, each clipped to Euclidean length `hi`.
    Vector {
        /// Numbers in the vector.
        len: u32,
    },
}

/// One output of the contribution vector: its public bounds and its reducer. Most take one number of the vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Column name in the result.
    pub name: String,
    /// Values are clipped to at least this.
    pub lo: f64,
    /// Values are clipped to at most this.
    pub hi: f64,
    /// What the gate does with it.
    pub reducer: Reducer,
    /// Stands in where the program fails. Public; within the bounds.
    pub default: f64,
}

impl Output {
    /// How many numbers of the contribution vector it takes.
    pub fn numbers(&self) -> usize {
        match self.reducer {
            Reducer::Sum | Reducer::Mean | Reducer::Histogram { .. } | Reducer::Quantiles { .. } => 1,
            Reducer::Confusion { .. } | Reducer::Scores { .. } => 2,
            Reducer::Vector { len } => len as usize,
        }
    }

    /// The default vector of `outputs`, number by number.
    pub fn defaults(outputs: &[Self]) -> Vec<f64> {
        outputs.iter().flat_map(|o| std::iter::repeat_n(o.default, o.numbers())).collect()
    }
}

/// How the scores of one unit's rows become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowReduce {
    /// Mean over the rows.
    Mean,
    /// Largest.
    Max,
    /// Sum.
    Sum,
    /// Last row, in file order.
    Last,
}

/// A value of a declared group key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Key {
    /// NULL.
    Null,
    /// Boolean.
    Bool(bool),
    /// Integer.
    Int(i64),
    /// Floating point.
    Float(f64),
    /// Text.
    Text(String),
}

/// The program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Program {
    /// A query over the table `dataset`.
    Sql {
        /// The text.
        query: String,
        /// Declared group keys, a row each: they always appear and need no threshold.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keys: Option<Vec<Vec<Key>>>,
        /// BLAKE3 of the public tables that the query joins to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tables: Option<ContentHash>,
    },
    /// A WebAssembly component of world `tidegate:job`.
    Wasm {
        /// BLAKE3 of the component.
        module: ContentHash,
        /// `SELECT columns FROM dataset [WHERE …]`: the rows it sees.
        select: String,
        /// Bytes the guest can read.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        params_base64: String,
        /// Calls.
        split: Split,
        /// The contribution vector.
        outputs: Vec<Output>,
    },
    /// An ONNX model.
    Onnx {
        /// BLAKE3 of the model.
        model: ContentHash,
        /// `SELECT features FROM dataset [WHERE …]`, in the model's order.
        select: String,
        /// Name of the model's output.
        output: String,
        /// Column of that output, for outputs of shape [rows, k].
        #[serde(default)]
        index: u32,
        /// Rows → unit.
        reduce: RowReduce,
        /// Reducers over that one number (several views of it may be asked).
        outputs: Vec<Output>,
    },
}

/// How a result leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Noised, differentially private.
    #[default]
    Dp,
    /// Exact, for a job that the owner approved.
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
    /// The buyer's own id for this request, 32 hexadecimal characters. The same id is charged once and answered with the same bytes.
    pub request: String,
    /// Id of the dataset's manifest.
    pub dataset: ContentHash,
    /// What the buyer is ready to pay: ρ for Gaussian noise or pure ε for Laplace noise, and δ where keys are undeclared.
    pub cost: Cost,
    /// Creation time, seconds since 1970.
    pub created: i64,
    /// What to run.
    pub program: Program,
    /// How its result leaves.
    #[serde(default, skip_serializing_if = "Mode::is_dp")]
    pub mode: Mode,
    /// Parts of the price by column name, relative to one another; a column that is not named has 1.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, f64>,
}

impl Document for Job {
    const PAYLOAD_TYPE: &'static str = "application/vnd.tidegate.job.v1+json";
}

impl Program {
    /// The engine.
    pub fn kind(&self) -> JobKind {
        match self {
            Self::Sql { .. } => JobKind::Sql,
            Self::Wasm { .. } => JobKind::Wasm,
            Self::Onnx { .. } => JobKind::Onnx,
        }
    }

    /// Hash of the attachment the program needs.
    pub fn attachment(&self) -> Option<ContentHash> {
        match self {
            Self::Sql { tables, .. } => *tables,
            Self::Wasm { module, .. } => Some(*module),
            Self::Onnx { model, .. } => Some(*model),
        }
    }

    /// BLAKE3 of its canonical JSON (RFC 8785): text, keys and all. What a policy's standing rule names.
    pub fn digest(&self) -> ContentHash {
        // A program that was parsed from JSON can be written as JSON.
        ContentHash::of(&serde_json_canonicalizer::to_vec(self).unwrap_or_default())
    }

    /// The SQL text in it.
    pub fn sql(&self) -> &str {
        match self {
            Self::Sql { query, .. } => query,
            Self::Wasm { select, .. } | Self::Onnx { select, .. } => select,
        }
    }
}

impl Job {
    /// What is asked, whenever and under whatever request id: BLAKE3 of the canonical JSON (RFC 8785) of policy, dataset, price, program, mode and
    /// weights.
    pub fn question(&self, policy: &ContentHash) -> ContentHash {
        let asked = Self { request: String::new(), created: 0, ..self.clone() };
        ContentHash::of(&serde_json_canonicalizer::to_vec(&(policy, asked)).unwrap_or_default())
    }

    /// Checks everything that needs neither policy nor schema.
    ///
    /// # Errors
    /// A [`Refusal`] naming the field.
    pub fn check(&self) -> Result<(), Refusal> {
        let bad = |field: &str, message: String| Refusal::new(Code::BadRequest, message).at(field);
        if self.version != 1 {
            return Err(bad("version", format!("{} is not supported", self.version)).fix("Use version 1"));
        }
        if self.request.len() != 32 || !self.request.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(bad("request", "must be 32 lower-case hexadecimal characters".into()));
        }
        if self.mode == Mode::Reviewed {
            if self.cost != Cost::REVIEWED || !self.weights.is_empty() {
                return Err(bad("cost", "an exact result costs one of the owner's count, and no ρ, ε or δ".into()));
            }
            if self.program.kind() != JobKind::Sql {
                return Err(
                    bad("mode", "exact results are for queries".into()).fix("Leave mode away: a program's result is noised")
                );
            }
        } else if self.cost.reviewed != 0 {
            return Err(bad("cost.reviewed", "is for jobs of mode `reviewed`".into()));
        } else if (self.cost.rho_micro.0 == 0) == (self.cost.epsilon_micro.0 == 0) {
            let problem = "either ρ must be positive, for Gaussian noise, or pure ε, for Laplace noise";
            return Err(bad("cost.rho_micro", problem.into()).fix("Give the job an epsilon or rho"));
        }
        if self.program.sql().len() > limits::SQL_BYTES {
            return Err(bad("program.query", format!("is longer than {} bytes", limits::SQL_BYTES)));
        }
        if let Some((name, weight)) = self.weights.iter().find(|(_, w)| !(**w > 0.0 && **w <= 1e6)) {
            return Err(bad(&format!("weights.{name}"), format!("{weight} is not in (0, 1e6]")));
        }
        match &self.program {
            Program::Sql { keys, .. } => {
                if keys.as_ref().is_some_and(|k| k.is_empty() || k.len() > limits::DECLARED_KEYS) {
                    return Err(bad("program.keys", format!("must list 1 to {} keys", limits::DECLARED_KEYS)));
                }
                Ok(())
            }
            Program::Wasm { outputs, split, params_base64, .. } => {
                if params_base64.len() > limits::PARAMS_BYTES / 3 * 4 {
                    return Err(bad("program.params_base64", format!("holds more than {} bytes", limits::PARAMS_BYTES)));
                }
                if let Split::Blocks(blocks) = split
                    && !(2..=limits::BLOCKS).contains(blocks)
                {
                    return Err(bad("program.split", format!("blocks must be 2 to {}", limits::BLOCKS)));
                }
                check_outputs(outputs)
            }
            Program::Onnx { outputs, .. } => check_outputs(outputs),
        }
    }
}

fn check_outputs(outputs: &[Output]) -> Result<(), Refusal> {
    let bad = |field: String, message: String| Refusal::new(Code::BadRequest, message).at(field);
    let numbers = outputs.iter().fold(0usize, |sum, o| sum.saturating_add(o.numbers()));
    if outputs.is_empty() || numbers == 0 || numbers > limits::OUTPUTS {
        return Err(bad("program.outputs".into(), format!("must take 1 to {} numbers", limits::OUTPUTS)));
    }
    for (i, o) in outputs.iter().enumerate() {
        let field = |name: &str| format!("program.outputs[{i}].{name}");
        if o.name.is_empty() || o.name.len() > limits::NAME_BYTES {
            return Err(bad(field("name"), format!("must have 1 to {} bytes", limits::NAME_BYTES)));
        }
        if !(o.lo.is_finite() && o.hi.is_finite() && o.lo < o.hi && o.lo.abs().max(o.hi.abs()) <= 1e12) {
            return Err(bad(field("lo"), format!("bounds [{}, {}] are inverted, not finite or beyond 1e12", o.lo, o.hi)));
        }
        if !(o.lo..=o.hi).contains(&o.default) {
            return Err(bad(field("default"), format!("{} lies outside [{}, {}]", o.default, o.lo, o.hi)));
        }
        let wrong = |what: String| Err(bad(field("reducer"), what));
        match &o.reducer {
            Reducer::Histogram { bins } if !(1..=limits::BINS as u32).contains(bins) => {
                return wrong(format!("bins must be 1 to {}", limits::BINS));
            }
            Reducer::Scores { bins, .. } if !(1..=limits::BINS as u32 / 2).contains(bins) => {
                return wrong(format!("bins must be 1 to {}", limits::BINS / 2));
            }
            Reducer::Scores { cut, .. } if !(o.lo..=o.hi).contains(cut) => {
                return wrong(format!("cut {cut} lies outside the bounds"));
            }
            Reducer::Quantiles { at } if at.is_empty() || at.len() > 100 || at.iter().any(|p| !(0.0..=1.0).contains(p)) => {
                return wrong("at must list 1 to 100 numbers between 0 and 1".into());
            }
            Reducer::Confusion { classes } if !(2..=64).contains(classes) || (o.lo, o.hi) != (0.0, f64::from(classes - 1)) => {
                return wrong("classes must be 2 to 64, lo = 0 and hi = classes − 1".into());
            }
            Reducer::Vector { .. } if o.lo != -o.hi => return wrong("hi is the Euclidean length, and lo must be −hi".into()),
            _ => {}
        }
    }
    Ok(())
}
