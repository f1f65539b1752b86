//! What goes over the pipes: length-prefixed CBOR for the model and the verdict on it; then, for each slot, its number and the rows of its runs one way, and its number the
//! other way when it is done. All little-endian.

use std::io::{Read, Write};

use tidegate_lockdown::Standing;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::{InferenceFailed, failed};

/// Longest header in bytes: a model and its names.
const HEADER_BYTES: u32 = 80 << 20;

/// What the runner is to load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The model.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
    /// Its inputs.
    pub inputs: Vec<Input>,
    /// Name of the output.
    pub output: String,
    /// Numbers of that output for a row; for a run where rows have none of their own.
    pub numbers: u32,
    /// Whether each row has its own.
    pub by_row: bool,
    /// Rows of a slot, at most.
    pub rows: u32,
    /// Whether each run has that many.
    pub batched: bool,
    /// Each run begins at a row whose number in its slot is a multiple of this.
    pub step: u32,
    /// Bytes that a run computes at most.
    pub working: u64,
    /// How many runs at a time, a thread each.
    pub threads: u32,
    /// On a GPU, the only one that this process sees; else on the processor.
    pub cuda: Option<Cuda>,
    /// Also where not all walls around a device stand.
    pub unwalled: bool,
}

/// How a model is run on a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cuda {
    /// Bytes of its memory that all sessions together may have.
    pub memory: u64,
    /// Products may be in TensorFloat-32.
    pub tf32: bool,
}

/// One input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its type's number in the IR (TensorProto.DataType).
    pub elem: i32,
    /// Bytes of a value.
    pub size: u32,
    /// Shape of a row.
    pub row: Vec<u64>,
}

impl Input {
    /// Values of a row.
    pub fn width(&self) -> usize {
        self.row.iter().product::<u64>() as usize
    }

    /// Bytes of a row.
    pub fn bytes(&self) -> usize {
        self.width().saturating_mul(self.size as usize)
    }
}

/// Whether it could.
#[derive(Serialize, Deserialize)]
pub(crate) enum Loaded {
    /// What runs it: the runtime's name, version and build. And the walls around it.
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

/// A number; nothing where the other side ended before it.
pub(crate) fn number(from: &mut impl Read) -> Result<Option<u32>, InferenceFailed> {
    let mut bytes = [0; 4];
    let mut have = 0;
    while have < 4 {
        match from.read(&mut bytes[have..]) {
            Ok(0) if have == 0 => return Ok(None),
            Ok(0) => return Err(failed("a number is cut off")),
            Ok(n) => have += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(Some(u32::from_le_bytes(bytes)))
}

/// A slot and the rows of its runs.
pub(crate) fn write_runs(to: &mut impl Write, slot: u32, runs: &[u32]) -> Result<(), InferenceFailed> {
    let all = [slot, runs.len() as u32].into_iter().chain(runs.iter().copied());
    let bytes: Vec<u8> = all.flat_map(u32::to_le_bytes).collect();
    to.write_all(&bytes).and_then(|()| to.flush()).map_err(failed)
}
