//! The guest's side of the wall: the imports of the world and nothing else.

use wasmtime::StoreLimits;

#[allow(missing_docs, unreachable_pub, clippy::all)]
pub(super) mod bindings {
    wasmtime::component::bindgen!({ path: "../guest/wit", world: "job" });
}

/// Longest line a guest may log, and most lines kept, in rehearsal.
const LINE_BYTES: usize = 1024;
const LINES: usize = 1000;

/// One call's state.
pub(super) struct Call {
    pub(super) limits: StoreLimits,
    pub(super) params: std::sync::Arc<Vec<u8>>,
    /// Kept in rehearsal only.
    pub(super) lines: Option<Vec<String>>,
}

impl bindings::tidegate::job::types::Host for Call {}

impl bindings::tidegate::job::host::Host for Call {
    fn params(&mut self) -> Vec<u8> {
        self.params.to_vec()
    }

    fn log(&mut self, message: String) {
        if let Some(lines) = &mut self.lines
            && lines.len() < LINES
        {
            lines.push(message.chars().take(LINE_BYTES).collect());
        }
    }
}
