//! A program looked at before it is sent: by the code that an owner admits it with, without running it.

use std::path::Path;

use serde::Serialize;
use tidegate_guest::component;
use tidegate_sandbox::{onnx, wasm};
pub use tidegate_sandbox::{
    onnx::{Inspection as ModelSeen, Verdict},
    wasm::{Inspection as ComponentSeen, Proof, RowFunction},
};

use crate::{NodeError, file_error, model};

/// What was seen of a program.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Seen {
    /// A component, or a core module with a row function.
    Component(ComponentSeen),
    /// An ONNX model.
    Model(ModelSeen),
}

impl Seen {
    /// Whether an owner's node would take it: a model, for one of its outputs at least.
    pub fn is_taken(&self) -> bool {
        match self {
            Self::Component(seen) => seen.refused.is_none(),
            Self::Model(seen) => seen.best != Verdict::Reject,
        }
    }
}

/// How every WebAssembly binary begins.
const WASM: &[u8] = b"\0asm";

/// Inspects the program at `path`: a component, for instances of `memory` bytes, or a model.
///
/// # Errors
/// [`NodeError::File`] where it cannot be read.
pub fn inspect(path: &Path, memory: usize) -> Result<Seen, NodeError> {
    let mut bytes = std::fs::read(path).map_err(|e| file_error(path, e))?;
    if !bytes.starts_with(WASM) && path.extension().is_none_or(|name| name != "wasm") {
        return Ok(Seen::Model(match model::whole(path, &bytes) {
            Ok(whole) => onnx::inspect(whole.as_deref().unwrap_or(&bytes)),
            // What it is without them is said, and why they are not to be had.
            Err(refusal) => ModelSeen { refused: Some(refusal), ..onnx::inspect(&bytes) },
        }));
    }
    // As it would be sent.
    if component::is_core(&bytes)
        && !wasm::has_row(&bytes)
        && let Ok(component) = component::componentize(&bytes)
    {
        bytes = component;
    }
    Ok(Seen::Component(wasm::inspect(&bytes, memory)))
}
