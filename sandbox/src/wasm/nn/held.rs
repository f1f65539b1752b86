//! Objects held by the host for a guest with a model.

use std::sync::Arc;

use wasmtime::{
    Result, bail,
    component::{Resource, ResourceTable},
};

use super::kinds::{ErrorCode, Kind};
use crate::onnx::Desk;

/// Maximum bytes of tensors, and maximum number of handles, held by the host for a guest.
const HELD: usize = 64 << 20;
const HANDLES: usize = 1000;

/// Objects held by the host for a guest.
pub(in crate::wasm) struct Held {
    pub(super) desk: Arc<Desk>,
    pub(super) table: ResourceTable,
    /// Bytes of its tensors.
    bytes: usize,
}

impl Held {
    pub(in crate::wasm) fn new(desk: &Arc<Desk>) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES);
        Self { desk: desk.clone(), table, bytes: 0 }
    }

    pub(super) fn put(&mut self, tensor: Tensor) -> Result<Resource<Tensor>> {
        self.bytes += tensor.bytes();
        if self.bytes > HELD {
            bail!("more than {HELD} bytes of tensors at a time");
        }
        Ok(self.table.push(tensor)?)
    }

    pub(super) fn take(&mut self, tensor: Resource<Tensor>) -> Result<Tensor> {
        let tensor = self.table.delete(tensor)?;
        self.bytes -= tensor.bytes();
        Ok(tensor)
    }

    pub(super) fn fails<T>(&mut self, failed: Failed) -> Result<Nn<T>> {
        Ok(Err(self.table.push(failed)?))
    }
}

/// Tensor of a guest.
pub(super) struct Tensor {
    pub(super) dimensions: Vec<u32>,
    pub(super) kind: Kind,
    pub(super) data: Vec<u8>,
}

impl Tensor {
    fn bytes(&self) -> usize {
        self.data.len() + size_of_val(self.dimensions.as_slice())
    }
}

/// Error visible to the guest.
pub(super) struct Failed {
    pub(super) code: ErrorCode,
    pub(super) says: String,
}

/// Builds an error visible to the guest.
pub(super) fn failed(code: ErrorCode, says: impl Into<String>) -> Failed {
    Failed { code, says: says.into() }
}

/// Result of a function of the package.
pub(super) type Nn<T> = std::result::Result<T, Resource<Failed>>;
