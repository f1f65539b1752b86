//! Messages on the pipes, all little-endian.
//!
//! First length-prefixed CBOR for the model and the verdict on it. Then, for each slot, its number and the rows of its runs one
//! way, and its number the other way when it is done.

use std::io::{Read, Write};

use tidegate_lockdown::Standing;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::{InferenceFailed, failed};

/// Maximum length of a header in bytes: a model and its names.
const HEADER_BYTES: u32 = 80 << 20;

/// Model to be loaded by the runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// Bytes of the model.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
    /// Inputs of the model.
    pub inputs: Vec<Input>,
    /// Name of the output.
    pub output: String,
    /// Length of the output for a row, or for a run if rows have no output of their own.
    pub numbers: u32,
    /// Whether each row has an output of its own.
    pub by_row: bool,
    /// Maximum number of rows of a slot.
    pub rows: u32,
    /// Whether each run has exactly the maximum number of rows.
    pub batched: bool,
    /// Alignment of runs: each begins at a row whose number in its slot is a multiple of this.
    pub step: u32,
    /// Maximum bytes computed by a run.
    pub working: u64,
    /// Number of runs at a time, a thread each.
    pub threads: u32,
    /// Settings to run on a GPU, the only GPU visible to this process; on the processor if `None`.
    pub cuda: Option<Cuda>,
    /// Whether to run even if the confinement around a device is incomplete.
    pub unwalled: bool,
    /// Shapes to be found in the runtime before the model counts as loaded, if they are to be looked at.
    pub intermediates: Option<Intermediates>,
}

/// Values within a model, and the shapes that they must have in a run of [`Model::rows`] rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intermediates {
    /// More of a model's bytes: appended to the model's own, they make outputs of all values that are none.
    #[serde(with = "serde_bytes")]
    pub outputs: Vec<u8>,
    /// Name and shape of each value.
    pub shapes: Vec<(String, Vec<u64>)>,
}

/// Settings for running a model on a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cuda {
    /// Maximum device memory in bytes of all sessions together.
    pub memory: u64,
    /// Whether products may be in TensorFloat-32.
    pub tf32: bool,
}

/// An input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Name of the input.
    pub name: String,
    /// Number of its type in the IR (TensorProto.DataType).
    pub elem: i32,
    /// Bytes of a value.
    pub size: u32,
    /// Shape of a row.
    pub row: Vec<u64>,
}

impl Input {
    /// Returns the number of values in a row.
    pub fn width(&self) -> usize {
        self.row.iter().product::<u64>() as usize
    }

    /// Returns the bytes of a row.
    pub fn bytes(&self) -> usize {
        self.width().saturating_mul(self.size as usize)
    }
}

/// Verdict on loading a model.
#[derive(Serialize, Deserialize)]
pub(crate) enum Loaded {
    /// Name, version and build of the runtime, and its confinement.
    Ready(String, Standing),
    Refused(String),
}

pub(crate) fn write<T: Serialize>(to: &mut impl Write, value: &T) -> Result<(), InferenceFailed> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(failed)?;
    let length = u32::try_from(bytes.len()).ok().filter(|n| *n <= HEADER_BYTES).ok_or_else(|| failed("a header is too long"))?;
    to.write_all(&length.to_le_bytes()).and_then(|()| to.write_all(&bytes)).and_then(|()| to.flush()).map_err(failed)
}

pub(crate) fn read<T: DeserializeOwned>(from: &mut impl Read) -> Result<T, InferenceFailed> {
    let length = number(from)?.ok_or_else(|| failed("the other side is gone"))?;
    if length > HEADER_BYTES {
        return Err(failed("a header is too long"));
    }
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes).map_err(failed)?;
    ciborium::from_reader(bytes.as_slice()).map_err(failed)
}

/// Reads a number. `None` if the other side ended before.
pub(crate) fn number(from: &mut impl Read) -> Result<Option<u32>, InferenceFailed> {
    let mut bytes = [0; 4];
    let mut have = 0;
    while have < 4 {
        match from.read(&mut bytes[have..]) {
            Ok(0) if have == 0 => return Ok(None),
            Ok(0) => return Err(failed("a number is truncated")),
            Ok(n) => have += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(Some(u32::from_le_bytes(bytes)))
}

/// Writes a slot's number and the rows of its runs.
pub(crate) fn write_runs(to: &mut impl Write, slot: u32, runs: &[u32]) -> Result<(), InferenceFailed> {
    let all = [slot, runs.len() as u32].into_iter().chain(runs.iter().copied());
    let bytes: Vec<u8> = all.flat_map(u32::to_le_bytes).collect();
    to.write_all(&bytes).and_then(|()| to.flush()).map_err(failed)
}
