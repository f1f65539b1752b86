//! Inspection of a program before sending, by the owner's admission code, without running the program.

use std::path::Path;

use serde::Serialize;
use tidegate_guest::component;
use tidegate_sandbox::{onnx, wasm};
pub use tidegate_sandbox::{
    onnx::{Inspection as ModelSeen, Verdict},
    wasm::{Inspection as ComponentSeen, Proof, RowFunction},
};

use crate::{NodeError, buyer::model_file, file_error};

/// Findings about a program.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Seen {
    /// A component, or a core module with a row function.
    Component(ComponentSeen),
    /// An ONNX model.
    Model(ModelSeen),
}

impl Seen {
    /// Returns whether an owner's node would accept the program; a model, for at least one of its outputs.
    pub fn is_taken(&self) -> bool {
        match self {
            Self::Component(seen) => seen.refused.is_none(),
            Self::Model(seen) => seen.best != Verdict::Reject,
        }
    }
}

/// Magic bytes of every WebAssembly binary.
const WASM: &[u8] = b"\0asm";

/// Inspects the program at `path`: a component, for instances of `memory` bytes, or a model.
///
/// # Errors
/// [`NodeError::Io`] if the file cannot be read.
pub fn inspect(path: &Path, memory: usize) -> Result<Seen, NodeError> {
    let mut bytes = std::fs::read(path).map_err(|e| file_error(path, e))?;
    if !bytes.starts_with(WASM) && path.extension().is_none_or(|name| name != "wasm") {
        return Ok(Seen::Model(match model_file::whole(path, &bytes) {
            Ok(whole) => onnx::inspect(whole.as_deref().unwrap_or(&bytes)),
            // The model is inspected without its external data, and the refusal says why that is not available.
            Err(refusal) => ModelSeen { refused: Some(refusal), ..onnx::inspect(&bytes) },
        }));
    }
    // In the form in which it would be sent.
    if component::is_core(&bytes)
        && !wasm::has_row(&bytes)
        && let Ok(component) = component::componentize(&bytes)
    {
        bytes = component;
    }
    Ok(Seen::Component(wasm::inspect(&bytes, memory)))
}
