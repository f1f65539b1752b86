//! The pipes' format: length-prefixed CBOR for the model and the verdict on it, then Arrow IPC streams of features one way and scores the other.

use std::io::{Read, Write};

use arrow::datatypes::{DataType, Field, Schema};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{InferenceFailed, failed};

/// Longest header in bytes: a model and its names.
const HEADER_BYTES: u32 = 80 << 20;

/// What the runner is to load.
#[derive(Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) model: Vec<u8>,
    /// Number of input features.
    pub(crate) features: u32,
    /// Name of the output.
    pub(crate) output: String,
    /// Column of an output of shape [rows, k].
    pub(crate) index: u32,
}

/// Whether it could.
#[derive(Serialize, Deserialize)]
pub(crate) enum Loaded {
    Ready,
    Refused(String),
}

pub(crate) fn write<T: Serialize>(to: &mut impl Write, value: &T) -> Result<(), InferenceFailed> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(failed)?;
    let length = u32::try_from(bytes.len()).ok().filter(|n| *n <= HEADER_BYTES).ok_or_else(|| failed("a header is too long"))?;
    to.write_all(&length.to_be_bytes()).and_then(|()| to.write_all(&bytes)).and_then(|()| to.flush()).map_err(failed)
}

pub(crate) fn read<T: DeserializeOwned>(from: &mut impl Read) -> Result<T, InferenceFailed> {
    let mut length = [0; 4];
    from.read_exact(&mut length).map_err(failed)?;
    let length = u32::from_be_bytes(length);
    if length > HEADER_BYTES {
        return Err(failed("a header is too long"));
    }
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes).map_err(failed)?;
    ciborium::from_reader(bytes.as_slice()).map_err(failed)
}

/// Features as they travel: which run a row belongs to (0, 1, 2 … within a batch), then the features.
pub(crate) fn features_schema(features: u32) -> Schema {
    let mut fields = vec![Field::new("run", DataType::UInt32, false)];
    fields.extend((0..features).map(|i| Field::new(format!("f{i}"), DataType::Float32, false)));
    Schema::new(fields)
}

/// Scores as they travel: one a row, NaN where the run failed.
pub(crate) fn scores_schema() -> Schema {
    Schema::new(vec![Field::new("score", DataType::Float32, false)])
}
