//! The guest's side of the wall: the imports of the world and nothing else, each at a price.

use std::sync::Arc;

use wasmtime::{CallHook, ResourceLimiter, Store, StoreContextMut, StoreLimits, Trap};

#[allow(missing_docs, unreachable_pub, clippy::all)]
pub(super) mod bindings {
    wasmtime::component::bindgen!({ path: "../guest/wit", world: "job" });
}

/// Longest line a guest may log, and most lines kept, in rehearsal.
const LINE_BYTES: usize = 1024;
const LINES: usize = 1000;
/// Most bytes that a guest may hand to the host in one call, its contribution apart.
pub(super) const HANDED: usize = 64 << 10;
/// Fuel of a call out of the guest, whatever it does: some of it is the machine's own work at the crossing.
const CALL_FUEL: u64 = 100;
/// Fuel of a page of memory (64 KiB) beyond the first few, which instances of small guests have in hand: the kernel clears it when it is touched.
const PAGE_FUEL: u64 = 1000;
const PAGE: usize = 64 << 10;
const FREE_PAGES: usize = 16;

/// One call's state.
pub(super) struct Call {
    pub(super) limits: StoreLimits,
    pub(super) params: Arc<Vec<u8>>,
    /// Kept in rehearsal only.
    pub(super) lines: Option<Vec<String>>,
    /// Fuel for what the host did, not yet taken.
    owed: u64,
    /// Pages of all its memories.
    pages: usize,
}

impl Call {
    pub(super) fn new(limits: StoreLimits, params: Arc<Vec<u8>>, lines: Option<Vec<String>>) -> Self {
        Self { limits, params, lines, owed: 0, pages: 0 }
    }

    /// The host handled so many bytes.
    fn owe(&mut self, bytes: usize) {
        self.owed = self.owed.saturating_add(bytes as u64);
    }
}

/// Has `store` pay for what the host does: whenever the guest goes on, what is owed is taken from its fuel.
pub(super) fn charge(store: &mut Store<Call>) {
    store.call_hook(|mut store: StoreContextMut<'_, Call>, hook| {
        let flat = match hook {
            CallHook::CallingWasm => 0,
            CallHook::ReturningFromHost => CALL_FUEL,
            CallHook::CallingHost | CallHook::ReturningFromWasm => return Ok(()),
        };
        let owed = std::mem::take(&mut store.data_mut().owed).saturating_add(flat);
        if owed == 0 {
            return Ok(());
        }
        match store.get_fuel()?.checked_sub(owed) {
            Some(left) => store.set_fuel(left),
            None => Err(Trap::OutOfFuel.into()),
        }
    });
}

impl ResourceLimiter for Call {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let granted = self.limits.memory_growing(current, desired, maximum)?;
        if granted {
            let grown = desired.saturating_sub(current).div_ceil(PAGE);
            let paid = grown.saturating_sub(FREE_PAGES.saturating_sub(self.pages));
            self.pages += grown;
            self.owed += paid as u64 * PAGE_FUEL;
        }
        Ok(granted)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.limits.memory_grow_failed(error)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.limits.table_growing(current, desired, maximum)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.limits.table_grow_failed(error)
    }

    fn instances(&self) -> usize {
        self.limits.instances()
    }

    fn tables(&self) -> usize {
        self.limits.tables()
    }

    fn memories(&self) -> usize {
        self.limits.memories()
    }
}

impl bindings::tidegate::job::types::Host for Call {}

impl bindings::tidegate::job::host::Host for Call {
    fn params(&mut self) -> Vec<u8> {
        self.owe(self.params.len());
        self.params.to_vec()
    }

    fn log(&mut self, message: String) {
        self.owe(message.len());
        if let Some(lines) = &mut self.lines
            && lines.len() < LINES
        {
            lines.push(message.chars().take(LINE_BYTES).collect());
        }
    }
}
