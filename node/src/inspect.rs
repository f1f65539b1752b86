//! A program looked at before it is sent: by the code that an owner admits it with, without running it.

use std::path::Path;

pub use tidegate_sandbox::wasm::{Inspection, Proof, RowFunction};

use crate::{NodeError, file_error};

/// Inspects the component at `path`, for instances of `memory` bytes.
///
/// # Errors
/// [`NodeError::File`] where it cannot be read.
pub fn inspect(path: &Path, memory: usize) -> Result<Inspection, NodeError> {
    Ok(tidegate_sandbox::wasm::inspect(&std::fs::read(path).map_err(|e| file_error(path, e))?, memory))
}
