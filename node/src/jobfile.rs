//! `job.toml`: a job as a buyer writes it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use arrow::datatypes::SchemaRef;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, de::Error as _};
use tidegate_gate::{Keys, Noise};
use tidegate_guest::component;
use tidegate_protocol::{
    ContentHash, Cost, Job, MicroRho, Refusal,
    cost::{FemtoDelta, MicroEpsilon, out_of_range},
    device::On,
    job::{Data, Key, Mode, Output, Program, RowReduce, Split},
    policy::{Policy, ReadRules},
};
use tidegate_sandbox::sql::{Asked, Query, Tables, admit_query};

use crate::{
    NodeError, file_error, model,
    public::public_rows,
    training::{LoopFile, check},
};

mod day;

/// A job file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobFile {
    /// The dataset's name or manifest id.
    pub dataset: String,
    /// Price as ε: at the policy's δ, or pure where the noise is Laplace's. Or give `rho`.
    pub epsilon: Option<f64>,
    /// Price as ρ.
    pub rho: Option<f64>,
    /// `"laplace"` pays in pure ε for Laplace noise, from the policy's `laplace_epsilon`: less noise for who asks one question, more for who asks many.
    #[serde(default)]
    pub noise: Noise,
    /// δ for undeclared group keys; a thousandth of the policy's where it is needed and not given.
    pub delta: Option<f64>,
    /// `"reviewed"` asks for the exact result, which the owner must approve: it has no price in ε.
    #[serde(default)]
    pub mode: Mode,
    /// Parts of the price by column name, relative to one another; 1 where a column is not named.
    #[serde(default)]
    pub weights: BTreeMap<String, f64>,
    /// A query.
    pub sql: Option<SqlFile>,
    /// A component.
    pub wasm: Option<WasmFile>,
    /// A model.
    pub onnx: Option<OnnxFile>,
    /// A training run: the component is asked again and again.
    #[serde(rename = "loop")]
    pub training: Option<LoopFile>,
    /// A training run's weights before this round.
    #[serde(skip)]
    weights_now: Vec<f64>,
    #[serde(skip)]
    folder: PathBuf,
    /// What `sql.tables` name.
    #[serde(skip)]
    tables: Tables,
}

/// `[sql]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlFile {
    /// The text.
    pub query: String,
    /// Declared keys. TOML's integers and dates are taken as they are written, unlike JSON's numbers.
    #[serde(default, deserialize_with = "keys")]
    pub keys: Option<Vec<Vec<Key>>>,
    /// Public tables to join to: paths beside the job file, by name.
    #[serde(default)]
    pub tables: BTreeMap<String, PathBuf>,
    /// How those of them that are text are read, as a policy's `[read]` says it of the dataset's files.
    #[serde(default)]
    pub read: ReadRules,
}

/// `[wasm]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WasmFile {
    /// Path of the component, beside the job file.
    pub module: PathBuf,
    /// The rows it sees.
    pub select: String,
    /// Parameters as text.
    #[serde(default)]
    pub params: String,
    /// Path of bytes that the component can read, beside the job file: a model's weights.
    pub data: Option<PathBuf>,
    /// Where the data is an ONNX model that the component runs through WASI-NN: which of its outputs it gets.
    pub infer: Option<String>,
    /// Where that model is to run: `"cpu"`, `"cuda"` or `"cuda-tf32"`; wherever the owner lets it if nothing is said.
    pub on: Option<On>,
    /// `"unit"`, `{ blocks = n }` or `{ blocks = n, resample = g }`.
    #[serde(default = "per_unit")]
    pub split: Split,
    /// The contribution vector.
    pub outputs: Vec<Output>,
}

/// `[onnx]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnnxFile {
    /// Path of the model, beside the job file.
    pub model: PathBuf,
    /// The features, in the model's order.
    pub select: String,
    /// Name of the model's output.
    pub output: String,
    /// Column of the select that is the label, and no feature.
    pub label: Option<String>,
    /// From which of that output's numbers on the reducers take theirs.
    #[serde(default)]
    pub index: u32,
    /// Where it is to run: `"cpu"`, `"cuda"` or `"cuda-tf32"`; wherever the owner lets it if nothing is said.
    pub on: Option<On>,
    /// Rows to unit or block.
    pub reduce: RowReduce,
    /// Whose rows make one contribution.
    #[serde(default = "per_unit")]
    pub split: Split,
    /// What is released of a unit's or block's numbers.
    pub outputs: Vec<Output>,
}

fn keys<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<Vec<Key>>>, D::Error> {
    let one = |value: toml::Value| match value {
        toml::Value::Boolean(value) => Ok(Key::Bool(value)),
        toml::Value::Integer(value) => Ok(Key::integer(value)),
        toml::Value::Float(value) if value.is_finite() => Ok(Key::Float(value)),
        // As keys are shown.
        toml::Value::Float(value) => Ok(Key::Text(value.to_string())),
        toml::Value::String(text) => Ok(Key::Text(text)),
        toml::Value::Datetime(time) => Ok(Key::Text(time.to_string())),
        toml::Value::Array(_) | toml::Value::Table(_) => {
            Err(D::Error::custom("a key is an array of booleans, numbers, texts and dates, one for each GROUP BY expression"))
        }
    };
    let of_row = |row| match row {
        toml::Value::Array(row) => row.into_iter().map(one).collect(),
        other => Err(D::Error::custom(format!(
            "`keys` has {other}, and each of the keys is an array: [{other}] for one GROUP BY expression"
        ))),
    };
    Vec::<toml::Value>::deserialize(from)?.into_iter().map(of_row).collect::<Result<_, _>>().map(Some)
}

/// Fields that belong to no section.
const HEAD: [&str; 7] = ["dataset", "epsilon", "rho", "noise", "delta", "mode", "weights"];

/// Says where a field belongs that was written in a section, or above all of them, by mistake.
fn misplaced(text: &str) -> Option<String> {
    let table: toml::Table = toml::from_str(text).ok()?;
    let section = |name: &&str| table.get(*name).and_then(toml::Value::as_table);
    let in_section = ["sql", "wasm", "onnx", "loop"].into_iter().find_map(|name| {
        let field = section(&name)?.keys().find(|key| HEAD.contains(&key.as_str()))?;
        Some(format!("`{field}` is no field of [{name}]: write it at the head of the file, above the first [section]"))
    });
    let above = || {
        let of = [("query", "[sql]"), ("keys", "[sql]"), ("module", "[wasm]"), ("model", "[onnx]"), ("rounds", "[loop]")];
        let (field, name) = of.into_iter().find(|(field, _)| table.contains_key(*field))?;
        Some(format!("`{field}` is a field of a section: write it below {name}"))
    };
    in_section.or_else(above)
}

fn per_unit() -> Split {
    Split::Unit
}

impl JobFile {
    /// Reads a job file.
    ///
    /// # Errors
    /// [`NodeError::File`] with the line and field; [`NodeError::Refused`] for a public table that is not fit.
    pub fn read(path: &Path) -> Result<Self, NodeError> {
        Self::parse(&std::fs::read_to_string(path).map_err(|e| file_error(path, e))?, path)
    }

    /// A job file of a query alone, as one that was written has it; `epsilon` and `rho` are prices as there.
    ///
    /// # Errors
    /// As [`JobFile::read`].
    pub fn of_sql(dataset: &str, query: &str, epsilon: Option<f64>, rho: Option<f64>) -> Result<Self, NodeError> {
        let sql = toml::Table::from_iter([("query".to_owned(), query.into())]);
        let head = [("dataset", Some(dataset.into())), ("epsilon", epsilon.map(Into::into)), ("rho", rho.map(Into::into))];
        let head = head.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let table = head.chain([("sql".to_owned(), toml::Value::Table(sql))]).collect::<toml::Table>();
        Self::parse(&table.to_string(), Path::new("--sql"))
    }

    /// Reads the text of a job file: `path` is what errors call it, and beside what its own paths are.
    fn parse(text: &str, path: &Path) -> Result<Self, NodeError> {
        let mut file: Self = toml::from_str(text).map_err(|e| match misplaced(text) {
            Some(hint) => file_error(path, format!("{e}{hint}")),
            None => file_error(path, e),
        })?;
        file.folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        let rules = file.sql.as_ref().map_or_else(ReadRules::default, |sql| sql.read.clone());
        let rules = rules.check().map_err(|e| file_error(path, format!("sql.{}: {}. {}", e.field, e.problem, e.fix)))?;
        for (name, path) in file.sql.iter().flat_map(|sql| &sql.tables) {
            let path = file.folder.join(path);
            let (schema, batches) = public_rows(&path, &rules)?;
            file.tables.add(name, &schema, &batches)?;
        }
        Ok(file)
    }

    /// As much of a job's file as its answer is computed with, from the job and what was sent with it; `None` of other programs than queries.
    pub(crate) fn of_query(job: &Job, sent: &[u8]) -> Option<Self> {
        let Program::Sql { query, keys, tables } = &job.program else { return None };
        let tables = match tables {
            None => Tables::default(),
            Some(_) => Tables::read(sent).ok()?,
        };
        Some(Self {
            dataset: job.dataset.to_string(),
            epsilon: None,
            rho: None,
            noise: Noise::default(),
            delta: None,
            mode: job.mode,
            weights: job.weights.clone(),
            sql: Some(SqlFile { query: query.clone(), keys: keys.clone(), tables: BTreeMap::new(), read: ReadRules::default() }),
            wasm: None,
            onnx: None,
            training: None,
            weights_now: vec![],
            folder: PathBuf::new(),
            tables,
        })
    }

    /// One round of a training run, from `weights` on.
    #[must_use]
    pub fn with_weights(&self, weights: &[f64]) -> Self {
        Self { weights_now: weights.to_vec(), ..self.clone() }
    }

    /// How a query would be admitted, by the owner's own code; `None` for other programs.
    pub fn query(&self, policy: &Policy, schema: &SchemaRef) -> Option<Result<Query, Refusal>> {
        let sql = self.sql.as_ref()?;
        let asked = Asked { text: sql.query.trim(), keys: sql.keys.as_deref(), tables: &self.tables };
        Some(admit_query(&asked, schema, policy))
    }

    /// Names the program that it runs ([`Job::bound`]), which neither dataset nor policy has a part in: what a grant is bound to.
    ///
    /// # Errors
    /// [`NodeError::File`] naming the field; that of a training run, whose parameters are others in each round.
    pub fn bound(&self) -> Result<ContentHash, NodeError> {
        if self.training.is_some() {
            return Err(wrong("a grant cannot be bound to a loop: its parameters are others in each round"));
        }
        self.says_no_day()?;
        let (program, _) = self.program()?;
        Ok(self.unpriced(program).bound())
    }

    fn unpriced(&self, program: Program) -> Job {
        let (dataset, mode, weights) = (ContentHash([0; 32]), self.mode, self.weights.clone());
        Job { version: 1, request: String::new(), dataset, cost: Cost::default(), created: 0, program, mode, weights }
    }

    /// The program, and what is sent with it.
    fn program(&self) -> Result<(Program, Vec<u8>), NodeError> {
        if self.training.is_some() && self.wasm.is_none() {
            return Err(wrong("a loop needs [wasm]: a component that gives gradients"));
        }
        Ok(match (&self.sql, &self.wasm, &self.onnx) {
            (Some(sql), None, None) => {
                let bytes = self.tables.write()?;
                let tables = (!bytes.is_empty()).then(|| ContentHash::of(&bytes));
                (Program::Sql { query: sql.query.trim().to_owned(), keys: sql.keys.clone(), tables }, bytes)
            }
            (None, Some(wasm), None) => {
                let mut params = wasm.params.clone().into_bytes();
                if let Some(training) = &self.training {
                    let weights = training.start_or(&self.weights_now, check(self, training)?)?;
                    params = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
                }
                let path = self.folder.join(&wasm.module);
                let mut bytes = std::fs::read(&path).map_err(|e| file_error(&path, e))?;
                // What a compiler that knows nothing of components leaves is made one; a row function is none.
                if component::is_core(&bytes) && !tidegate_sandbox::wasm::has_row(&bytes) {
                    bytes = component::componentize(&bytes).map_err(|e| file_error(&path, e))?;
                }
                let module = ContentHash::of(&bytes);
                let data = match &wasm.data {
                    None => None,
                    Some(data) => {
                        let path = self.folder.join(data);
                        let read = || std::fs::read(&path).map_err(|e| file_error(&path, e));
                        let data = if wasm.infer.is_some() { model::read(&path)? } else { read()? };
                        bytes.extend_from_slice(&data);
                        Some(Data::of(&data))
                    }
                };
                let program = Program::Wasm {
                    module,
                    data,
                    infer: wasm.infer.clone(),
                    on: wasm.on,
                    select: wasm.select.trim().to_owned(),
                    params_base64: STANDARD.encode(params),
                    split: wasm.split,
                    outputs: wasm.outputs.clone(),
                };
                (program, bytes)
            }
            (None, None, Some(onnx)) => {
                let path = self.folder.join(&onnx.model);
                let bytes = model::read(&path)?;
                let program = Program::Onnx {
                    model: ContentHash::of(&bytes),
                    select: onnx.select.trim().to_owned(),
                    output: onnx.output.clone(),
                    index: onnx.index,
                    on: onnx.on,
                    label: onnx.label.clone(),
                    reduce: onnx.reduce,
                    split: onnx.split,
                    outputs: onnx.outputs.clone(),
                };
                (program, bytes)
            }
            _ => return Err(wrong("write one section: [sql], [wasm] or [onnx]")),
        })
    }

    /// The job and its attachment, for the dataset `id` with columns `schema` under `policy`.
    ///
    /// # Errors
    /// [`NodeError::File`] naming the field.
    pub fn job(
        &self,
        id: ContentHash,
        policy: &Policy,
        schema: &SchemaRef,
        request: String,
        created: i64,
    ) -> Result<(Job, Vec<u8>), NodeError> {
        let (program, attachment) = self.program()?;
        // A query that is not admitted costs nothing: the owner says why.
        let undeclared =
            self.query(policy, schema).is_some_and(|q| q.is_ok_and(|q| matches!(q.shape.keys, Keys::Undeclared { .. })));
        let delta = self.delta.or(undeclared.then_some(policy.delta_femto.delta() / 1000.0)).unwrap_or(0.0);
        let delta_femto = FemtoDelta::ceil(delta).ok_or_else(|| wrong("delta must be in [0, 1)"))?;
        let cost = self.price(policy, delta_femto)?;
        let job = Job { request, dataset: id, cost, created, ..self.unpriced(program) };
        job.check()?;
        Ok((job, attachment))
    }

    /// What is offered, for one round where there are several. Rounded down: the job never costs more.
    pub(crate) fn price(&self, policy: &Policy, delta: FemtoDelta) -> Result<Cost, NodeError> {
        if self.mode == Mode::Reviewed {
            return match (self.rho, self.epsilon, self.noise) {
                (None, None, Noise::Gaussian) => Ok(Cost::REVIEWED),
                _ => Err(wrong("an exact result has no price: leave epsilon, rho and noise away")),
            };
        }
        let within = |field: &str, value: f64| match (0.0..=MicroRho::MOST).contains(&value) {
            true => Ok(value),
            false => Err(wrong(&format!("{field} {}", out_of_range(value, MicroRho::MOST)))),
        };
        let rounds = f64::from(self.training.as_ref().map_or(1, |training| training.rounds.max(1)));
        let rho = match (self.noise, self.rho, self.epsilon) {
            (Noise::Laplace, None, Some(epsilon)) => {
                let epsilon = MicroEpsilon::floor(within("epsilon", epsilon)? / rounds).unwrap_or_default();
                return Ok(Cost::pure(epsilon, delta));
            }
            (Noise::Laplace, ..) => return Err(wrong("Laplace noise is paid in epsilon: give it, and leave rho away")),
            (Noise::Gaussian, Some(rho), None) => within("rho", rho)?,
            (Noise::Gaussian, None, Some(epsilon)) => {
                tidegate_gate::rho_of(epsilon, policy.delta_femto.delta()).map_err(|e| wrong(&format!("epsilon: {e}")))?
            }
            _ => return Err(wrong("give either epsilon or rho")),
        };
        Ok(Cost::dp(MicroRho((rho / rounds * 1e6).floor().max(0.0) as u64), delta))
    }
}

pub(crate) fn wrong(what: &str) -> NodeError {
    NodeError::File(format!("job file: {what}"))
}

#[cfg(test)]
mod tests;
