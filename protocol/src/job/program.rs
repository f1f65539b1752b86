//! What a job runs.

use serde::{Deserialize, Serialize};

use super::{Key, Output, Split};
use crate::{
    ContentHash,
    device::On,
    policy::JobKind,
    refusal::{Code, Refusal},
};

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

/// Bytes that come with a component: what is sent ends with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// BLAKE3 of them.
    pub hash: ContentHash,
    /// How many.
    pub bytes: u64,
}

impl Data {
    /// Names `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self { hash: ContentHash::of(bytes), bytes: bytes.len() as u64 }
    }
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
        /// Bytes beside the component that the guest can read: the weights of a model, a table.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<Data>,
        /// The data is an ONNX model, which the component runs through WASI-NN: the output that it gets of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        infer: Option<String>,
        /// Where that model is to run; wherever the owner lets it if nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on: Option<On>,
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
        /// Column of the select that is the label, and no feature: what the model's output is compared with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label: Option<String>,
        /// Name of the model's output.
        output: String,
        /// From which of that output's numbers on the reducers take theirs.
        #[serde(default)]
        index: u32,
        /// Where it is to run; wherever the owner lets it if nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on: Option<On>,
        /// Rows → unit or block, number by number.
        reduce: RowReduce,
        /// Whose rows make one contribution.
        #[serde(default = "Split::unit", skip_serializing_if = "Split::is_unit")]
        split: Split,
        /// Reducers over those numbers (several views of one may be asked).
        outputs: Vec<Output>,
    },
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

    /// The bytes beside the program.
    pub fn data(&self) -> Option<Data> {
        if let Self::Wasm { data, .. } = self { *data } else { None }
    }

    /// What was sent with the job, taken apart: the program's own bytes, and those beside it.
    ///
    /// # Errors
    /// A [`Refusal`] where they are not what the job names.
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

    /// Whether it runs a model.
    pub fn infers(&self) -> bool {
        matches!(self, Self::Onnx { .. } | Self::Wasm { infer: Some(_), .. })
    }

    /// Where its model is to run.
    pub fn on(&self) -> Option<On> {
        match self {
            Self::Sql { .. } => None,
            Self::Wasm { on, .. } | Self::Onnx { on, .. } => *on,
        }
    }

    /// BLAKE3 of its canonical JSON (RFC 8785): text, keys and all. What names it to others is [`Job::bound`](crate::Job::bound).
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
