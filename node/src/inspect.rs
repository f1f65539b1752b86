//! A program looked at before it is sent: by the code that an owner admits it with, without running it.

use std::path::Path;

use tidegate_guest::component;
use tidegate_sandbox::wasm;
pub use tidegate_sandbox::wasm::{Inspection, Proof, RowFunction};

use crate::{NodeError, file_error};

/// Inspects the component at `path`, for instances of `memory` bytes.
///
/// # Errors
/// [`NodeError::File`] where it cannot be read.
pub fn inspect(path: &Path, memory: usize) -> Result<Inspection, NodeError> {
    let mut bytes = std::fs::read(path).map_err(|e| file_error(path, e))?;
    // As it would be sent.
    if component::is_core(&bytes)
        && !wasm::has_row(&bytes)
        && let Ok(component) = component::componentize(&bytes)
    {
        bytes = component;
    }
    Ok(wasm::inspect(&bytes, memory))
}
