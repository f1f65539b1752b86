//! `job.toml`: a job as a buyer writes it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use arrow::datatypes::SchemaRef;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use tidegate_gate::{Keys, Noise};
use tidegate_guest::component;
use tidegate_protocol::{
    ContentHash, Cost, Job, MicroRho, Refusal,
    cost::{FemtoDelta, MicroEpsilon, out_of_range},
    job::{Data, Mode, Program},
    policy::{Policy, ReadRules},
};
use tidegate_sandbox::sql::{Asked, Query, Tables, admit_query};

use crate::{
    NodeError, bad_path,
    buyer::{model_file, public_tables::public_rows},
    corrupt, file_error,
};

mod day;
mod sections;
mod training_loop;

pub use sections::{OnnxFile, SqlFile, WasmFile};
pub use training_loop::LoopFile;
pub(crate) use training_loop::is_sound;

pub(crate) use sections::wrong;

/// A job file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobFile {
    /// The dataset's name or manifest id.
    pub dataset: String,
    /// Price as ε: at the policy's δ, or pure for Laplace noise. The alternative is `rho`.
    pub epsilon: Option<f64>,
    /// Price as ρ.
    pub rho: Option<f64>,
    /// `"laplace"` pays in pure ε for Laplace noise, from the policy's `laplace_epsilon`: less noise for a single question, more
    /// for many.
    #[serde(default)]
    pub noise: Noise,
    /// δ for undeclared group keys; by default a thousandth of the policy's if δ is needed.
    pub delta: Option<f64>,
    /// `"reviewed"` asks for the exact result, which the owner must approve and which has no price in ε.
    #[serde(default)]
    pub mode: Mode,
    /// Shares of the price by column name, relative to one another; 1 for a column not named.
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
    /// Tables named by `sql.tables`.
    #[serde(skip)]
    tables: Tables,
}

/// Fields outside all sections.
const HEAD: [&str; 7] = ["dataset", "epsilon", "rho", "noise", "delta", "mode", "weights"];

/// Explains where a field belongs if written in the wrong section, or above all of them.
fn misplaced(text: &str) -> Option<String> {
    let table: toml::Table = toml::from_str(text).ok()?;
    let section = |name: &&str| table.get(*name).and_then(toml::Value::as_table);
    let in_section = ["sql", "wasm", "onnx", "loop"].into_iter().find_map(|name| {
        let field = section(&name)?.keys().find(|key| HEAD.contains(&key.as_str()))?;
        Some(format!("`{field}` is not a field of [{name}]: write it at the top of the file, above the first [section]"))
    });
    let above = || {
        let of = [("query", "[sql]"), ("keys", "[sql]"), ("module", "[wasm]"), ("model", "[onnx]"), ("rounds", "[loop]")];
        let (field, name) = of.into_iter().find(|(field, _)| table.contains_key(*field))?;
        Some(format!("`{field}` belongs to a section: write it below {name}"))
    };
    in_section.or_else(above)
}

impl JobFile {
    /// Reads a job file.
    ///
    /// # Errors
    /// [`NodeError::Corrupt`] with the line and field; [`NodeError::Refused`] for an unsuitable public table.
    pub fn read(path: &Path) -> Result<Self, NodeError> {
        Self::parse(&std::fs::read_to_string(path).map_err(|e| file_error(path, e))?, path)
    }

    /// Builds the job file of a query alone, as if written by hand; `epsilon` and `rho` are prices as in the file.
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

    /// Parses the text of a job file. `path` names the file in errors, and relative paths start from its folder.
    fn parse(text: &str, path: &Path) -> Result<Self, NodeError> {
        let mut file: Self = toml::from_str(text).map_err(|e| match misplaced(text) {
            Some(hint) => corrupt(path, format!("{e}{hint}")),
            None => corrupt(path, e),
        })?;
        file.folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        let rules = file.sql.as_ref().map_or_else(ReadRules::default, |sql| sql.read.clone());
        let rules = rules.check().map_err(|e| bad_path(path, format!("sql.{}: {}. {}", e.field, e.problem, e.fix)))?;
        for (name, path) in file.sql.iter().flat_map(|sql| &sql.tables) {
            let path = file.folder.join(path);
            let (schema, batches) = public_rows(&path, &rules)?;
            file.tables.add(name, &schema, &batches)?;
        }
        Ok(file)
    }

    /// Rebuilds as much of a query's job file as its answer needs, from the job and its attachment; `None` for other programs.
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

    /// Returns the job file of one round of a training run, starting from `weights`.
    #[must_use]
    pub fn with_weights(&self, weights: &[f64]) -> Self {
        Self { weights_now: weights.to_vec(), ..self.clone() }
    }

    /// Admits the query by the owner's own code; `None` for other programs.
    pub fn query(&self, policy: &Policy, schema: &SchemaRef) -> Option<Result<Query, Refusal>> {
        let sql = self.sql.as_ref()?;
        let asked = Asked { text: sql.query.trim(), keys: sql.keys.as_deref(), tables: &self.tables };
        Some(admit_query(&asked, schema, policy))
    }

    /// Returns the program's id for binding a grant ([`Job::bound`]); neither dataset nor policy is part of the id.
    ///
    /// # Errors
    /// [`NodeError::JobFile`] naming the field, or for a training run, whose parameters differ in each round.
    pub fn bound(&self) -> Result<ContentHash, NodeError> {
        if self.training.is_some() {
            return Err(wrong("loop", "a grant cannot be bound to a loop, because its parameters differ in each round"));
        }
        self.says_no_day()?;
        let (program, _) = self.program()?;
        Ok(self.unpriced(program).bound())
    }

    fn unpriced(&self, program: Program) -> Job {
        let (dataset, mode, weights) = (ContentHash([0; 32]), self.mode, self.weights.clone());
        Job { version: 1, request: String::new(), dataset, cost: Cost::default(), created: 0, program, mode, weights }
    }

    /// Returns the program and its attachment.
    fn program(&self) -> Result<(Program, Vec<u8>), NodeError> {
        if self.training.is_some() && self.wasm.is_none() {
            return Err(wrong("wasm", "a loop needs [wasm], a component that computes gradients"));
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
                    let weights = training.start_or(&self.weights_now, training.weights(self.wasm.as_ref())?)?;
                    params = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
                }
                let path = self.folder.join(&wasm.module);
                let mut bytes = std::fs::read(&path).map_err(|e| file_error(&path, e))?;
                // A core module, from a compiler that knows nothing of components, is made a component, unless it is a row
                // function.
                if component::is_core(&bytes) && !tidegate_sandbox::wasm::has_row(&bytes) {
                    bytes = component::componentize(&bytes).map_err(|e| corrupt(&path, e))?;
                }
                let module = ContentHash::of(&bytes);
                let data = match &wasm.data {
                    None => None,
                    Some(data) => {
                        let path = self.folder.join(data);
                        let read = || std::fs::read(&path).map_err(|e| file_error(&path, e));
                        let data = if wasm.infer.is_some() { model_file::read(&path)? } else { read()? };
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
                let bytes = model_file::read(&path)?;
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
            _ => return Err(wrong("sql", "write one section: [sql], [wasm] or [onnx]")),
        })
    }

    /// Builds the job and its attachment, for the dataset `id` with columns `schema` under `policy`.
    ///
    /// # Errors
    /// [`NodeError::JobFile`] naming the field.
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
        let delta_femto = FemtoDelta::ceil(delta).ok_or_else(|| wrong("delta", "delta must be in [0, 1)"))?;
        let cost = self.price(policy, delta_femto)?;
        let job = Job { request, dataset: id, cost, created, ..self.unpriced(program) };
        job.check()?;
        Ok((job, attachment))
    }

    /// Returns the offered price, per round if there are several. Rounded down: the job never costs more.
    pub(crate) fn price(&self, policy: &Policy, delta: FemtoDelta) -> Result<Cost, NodeError> {
        if self.mode == Mode::Reviewed {
            return match (self.rho, self.epsilon, self.noise) {
                (None, None, Noise::Gaussian) => Ok(Cost::REVIEWED),
                _ => Err(wrong("mode", "an exact result has no privacy cost: remove epsilon, rho and noise")),
            };
        }
        let within = |field: &'static str, value: f64| match (0.0..=MicroRho::MOST).contains(&value) {
            true => Ok(value),
            false => Err(wrong(field, format!("{field} {}", out_of_range(value, MicroRho::MOST)))),
        };
        let rounds = f64::from(self.training.as_ref().map_or(1, |training| training.rounds.max(1)));
        let rho = match (self.noise, self.rho, self.epsilon) {
            (Noise::Laplace, None, Some(epsilon)) => {
                let epsilon = MicroEpsilon::floor(within("epsilon", epsilon)? / rounds).unwrap_or_default();
                return Ok(Cost::pure(epsilon, delta));
            }
            (Noise::Laplace, ..) => {
                return Err(wrong("noise", "the cost of Laplace noise is an epsilon: give epsilon, and remove rho"));
            }
            (Noise::Gaussian, Some(rho), None) => within("rho", rho)?,
            (Noise::Gaussian, None, Some(epsilon)) => tidegate_gate::rho_of(epsilon, policy.delta_femto.delta())
                .map_err(|e| wrong("epsilon", format!("epsilon: {e}")))?,
            _ => return Err(wrong("epsilon", "give either epsilon or rho")),
        };
        Ok(Cost::dp(MicroRho((rho / rounds * 1e6).floor().max(0.0) as u64), delta))
    }
}

#[cfg(test)]
mod tests;
