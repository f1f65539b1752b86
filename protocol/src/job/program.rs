//! Program of a job.

use serde::{Deserialize, Serialize};

use super::{Key, Output, Split};
use crate::{
    ContentHash,
    device::On,
    policy::JobKind,
    refusal::{Code, Refusal},
};

/// Reduction of the scores of a unit's rows to a single number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowReduce {
    /// Mean over the rows.
    Mean,
    /// Largest score.
    Max,
    /// Sum.
    Sum,
    /// Last row, in file order.
    Last,
}

/// Data attached to a component: the attachment ends with these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// BLAKE3 of the bytes.
    pub hash: ContentHash,
    /// Number of bytes.
    pub bytes: u64,
}

impl Data {
    /// Describes `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self { hash: ContentHash::of(bytes), bytes: bytes.len() as u64 }
    }
}

/// Program of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Program {
    /// A query over the table `dataset`.
    Sql {
        /// Query text.
        query: String,
        /// Declared group keys, a row each: they always appear and need no threshold.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keys: Option<Vec<Vec<Key>>>,
        /// BLAKE3 of the public tables joined by the query.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tables: Option<ContentHash>,
    },
    /// A WebAssembly component of world `tidegate:job`.
    Wasm {
        /// BLAKE3 of the component.
        module: ContentHash,
        /// Rows visible to the component: `SELECT columns FROM dataset [WHERE …]`.
        select: String,
        /// Parameter bytes readable by the guest.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        params_base64: String,
        /// Data beside the component, readable by the guest: the weights of a model, a table.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<Data>,
        /// Name of the model output for the component, if the data is an ONNX model run through WASI-NN.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        infer: Option<String>,
        /// Requested device of the model; any device allowed by the owner if `None`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on: Option<On>,
        /// Grouping of rows into calls.
        split: Split,
        /// Outputs of the contribution vector.
        outputs: Vec<Output>,
    },
    /// An ONNX model.
    Onnx {
        /// BLAKE3 of the model.
        model: ContentHash,
        /// Features, in the model's order: `SELECT features FROM dataset [WHERE …]`.
        select: String,
        /// Label column of the select, which is no feature: the model's output is compared with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label: Option<String>,
        /// Name of the model's output.
        output: String,
        /// Index of the first number of the output taken by the reducers.
        #[serde(default)]
        index: u32,
        /// Requested device of the model; any device allowed by the owner if `None`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on: Option<On>,
        /// Reduction of rows to a unit or block, number by number.
        reduce: RowReduce,
        /// Grouping of rows into contributions.
        #[serde(default = "Split::unit", skip_serializing_if = "Split::is_unit")]
        split: Split,
        /// Reducers over those numbers (several views of the same number are allowed).
        outputs: Vec<Output>,
    },
}

impl Program {
    /// Returns the kind of engine.
    pub fn kind(&self) -> JobKind {
        match self {
            Self::Sql { .. } => JobKind::Sql,
            Self::Wasm { .. } => JobKind::Wasm,
            Self::Onnx { .. } => JobKind::Onnx,
        }
    }

    /// Returns the hash of the program's attachment.
    pub fn attachment(&self) -> Option<ContentHash> {
        match self {
            Self::Sql { tables, .. } => *tables,
            Self::Wasm { module, .. } => Some(*module),
            Self::Onnx { model, .. } => Some(*model),
        }
    }

    /// Returns the data beside the program.
    pub fn data(&self) -> Option<Data> {
        if let Self::Wasm { data, .. } = self { *data } else { None }
    }

    /// Splits the attachment into the program's own bytes and the data beside them.
    ///
    /// # Errors
    /// Returns a [`Refusal`] if they do not have the hashes that the job names.
    pub fn parts<'a>(&self, sent: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Refusal> {
        let bad = |what: &str, field: &str| {
            Refusal::new(Code::BadRequest, format!("{what} bytes do not have the hash the job names")).at(field)
        };
        let beside = self.data().map_or(0, |data| data.bytes);
        let beside = usize::try_from(beside).ok().and_then(|beside| sent.len().checked_sub(beside));
        let (program, data) = sent.split_at(beside.ok_or_else(|| bad("the data's", "program.data"))?);
        if self.attachment().is_some_and(|hash| ContentHash::of(program) != hash) {
            return Err(bad("the program's", "program"));
        }
        if self.data().is_some_and(|named| ContentHash::of(data) != named.hash) {
            return Err(bad("the data's", "program.data"));
        }
        Ok((program, data))
    }

    /// Returns whether the program runs a model.
    pub fn infers(&self) -> bool {
        matches!(self, Self::Onnx { .. } | Self::Wasm { infer: Some(_), .. })
    }

    /// Returns the requested device of the program's model.
    pub fn on(&self) -> Option<On> {
        match self {
            Self::Sql { .. } => None,
            Self::Wasm { on, .. } | Self::Onnx { on, .. } => *on,
        }
    }

    /// Returns the BLAKE3 of the canonical JSON (RFC 8785), text, keys and all. Others identify the program by
    /// [`Job::bound`](crate::Job::bound).
    pub fn digest(&self) -> ContentHash {
        // Any program parsed from JSON can be written as JSON.
        ContentHash::of(&serde_json_canonicalizer::to_vec(self).unwrap_or_default())
    }

    /// Returns the SQL text of the program.
    pub fn sql(&self) -> &str {
        match self {
            Self::Sql { query, .. } => query,
            Self::Wasm { select, .. } | Self::Onnx { select, .. } => select,
        }
    }
}
