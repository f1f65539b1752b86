//! Sections of a job file: a query, a component or a model.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Deserializer, de::Error as _};
use tidegate_protocol::{
    device::On,
    job::{Key, Output, RowReduce, Split},
    policy::ReadRules,
};

use crate::NodeError;

/// `[sql]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlFile {
    /// Text of the query.
    pub query: String,
    /// Declared keys. Unlike JSON's numbers, TOML's integers and dates are taken as written.
    #[serde(default, deserialize_with = "keys")]
    pub keys: Option<Vec<Vec<Key>>>,
    /// Public tables to join to: paths relative to the job file, by name.
    #[serde(default)]
    pub tables: BTreeMap<String, PathBuf>,
    /// How text tables are read, in the form of a policy's `[read]` for the dataset's files.
    #[serde(default)]
    pub read: ReadRules,
}

/// `[wasm]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WasmFile {
    /// Path of the component, relative to the job file.
    pub module: PathBuf,
    /// Query for the component's rows.
    pub select: String,
    /// Parameters as text.
    #[serde(default)]
    pub params: String,
    /// Path of data for the component to read, such as a model's weights, relative to the job file.
    pub data: Option<PathBuf>,
    /// Model output passed to the component, if the data is an ONNX model run through WASI-NN.
    pub infer: Option<String>,
    /// Device of the model in `data`: `"cpu"`, `"cuda"` or `"cuda-tf32"`; by default whichever the owner allows.
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
    /// Path of the model, relative to the job file.
    pub model: PathBuf,
    /// Query for the features, in the model's order.
    pub select: String,
    /// Name of the model's output.
    pub output: String,
    /// Selected column used as the label rather than as a feature.
    pub label: Option<String>,
    /// Index of the output's first number used by the reducers.
    #[serde(default)]
    pub index: u32,
    /// Device of the model: `"cpu"`, `"cuda"` or `"cuda-tf32"`; by default whichever the owner allows.
    pub on: Option<On>,
    /// Reduction of the rows of a unit or block.
    pub reduce: RowReduce,
    /// Grouping of rows into contributions.
    #[serde(default = "per_unit")]
    pub split: Split,
    /// Outputs released from a unit's or block's numbers.
    pub outputs: Vec<Output>,
}

fn keys<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<Vec<Key>>>, D::Error> {
    let one = |value: toml::Value| match value {
        toml::Value::Boolean(value) => Ok(Key::Bool(value)),
        toml::Value::Integer(value) => Ok(Key::integer(value)),
        toml::Value::Float(value) if value.is_finite() => Ok(Key::Float(value)),
        // In the form in which keys are shown.
        toml::Value::Float(value) => Ok(Key::Text(value.to_string())),
        toml::Value::String(text) => Ok(Key::Text(text)),
        toml::Value::Datetime(time) => Ok(Key::Text(time.to_string())),
        toml::Value::Array(_) | toml::Value::Table(_) => Err(D::Error::custom(
            "a key must be an array of booleans, numbers, texts and dates, one for each GROUP BY expression",
        )),
    };
    let of_row = |row| match row {
        toml::Value::Array(row) => row.into_iter().map(one).collect(),
        other => Err(D::Error::custom(format!(
            "`keys` has {other}, and each key must be an array: write [{other}] for one GROUP BY expression"
        ))),
    };
    Vec::<toml::Value>::deserialize(from)?.into_iter().map(of_row).collect::<Result<_, _>>().map(Some)
}

fn per_unit() -> Split {
    Split::Unit
}

/// Builds the error of a field of a job file.
pub(crate) fn wrong(field: &'static str, why: impl Into<String>) -> NodeError {
    NodeError::JobFile { field, why: why.into() }
}
