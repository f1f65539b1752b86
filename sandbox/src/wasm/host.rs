//! Host side of a guest's imports: the world's and nothing else, each at a price.

use std::sync::Arc;

use wasmtime::{CallHook, ResourceLimiter, Store, StoreContextMut, StoreLimits, Trap};

use super::nn::Held;
use crate::onnx::Desk;

#[allow(missing_docs, unreachable_pub, clippy::all)]
pub(super) mod bindings {
    wasmtime::component::bindgen!({ path: "../guest/wit", world: "job" });
}

/// Maximum bytes of a logged line, and maximum number of lines kept, in rehearsal.
const LINE_BYTES: usize = 1024;
const LINES: usize = 1000;
/// Maximum bytes passed from a guest to the host in a call, not counting the contribution.
pub(super) const HANDED: usize = 64 << 10;
/// Fuel of a call out of the guest, whatever its effect; part pays for the machine's own work at the crossing.
const CALL_FUEL: u64 = 100;
/// Fuel of a page of memory (64 KiB) beyond the first few, which small guests' instances have at hand; the kernel clears a page
/// when it is touched.
const PAGE_FUEL: u64 = 1000;
const PAGE: usize = 64 << 10;
const FREE_PAGES: usize = 16;

/// Data available to every call beside rows; public, as part of the job.
#[derive(Clone, Default)]
pub(super) struct Handed {
    /// Parameters signed with the job.
    pub(super) params: Arc<Vec<u8>>,
    /// Data beside the program.
    pub(super) data: Arc<Vec<u8>>,
    /// Seed of a guest's random numbers, the same in each call.
    pub(super) seed: [u8; 32],
}

/// State of a call.
pub(super) struct Call {
    pub(super) limits: StoreLimits,
    handed: Handed,
    /// Log lines, kept in rehearsal only.
    lines: Option<Vec<String>>,
    /// Beginning of the guest's current line.
    line: Vec<u8>,
    chance: Option<blake3::OutputReader>,
    /// Fuel owed for the host's work.
    owed: u64,
    /// Fuel left at the last call to the host, or at the beginning.
    left: u64,
    /// Fuel at the beginning.
    tank: u64,
    /// Number of pages in all its memories.
    pages: usize,
    /// Its model, if any.
    pub(super) nn: Option<Held>,
}

impl Call {
    /// Builds the state of a call; with `shown`, its log lines are kept.
    pub(super) fn new(limits: StoreLimits, handed: Handed, shown: bool) -> Self {
        Self {
            limits,
            handed,
            lines: shown.then(Vec::new),
            line: vec![],
            chance: None,
            owed: 0,
            left: u64::MAX,
            tank: u64::MAX,
            pages: 0,
            nn: None,
        }
    }

    /// Adds a model.
    pub(super) fn with_model(self, desk: Option<&Arc<Desk>>) -> Self {
        Self { nn: desk.map(Held::new), ..self }
    }

    /// Returns the guest's log lines.
    pub(super) fn lines(mut self) -> Vec<String> {
        if !self.line.is_empty() {
            self.say(b"\n");
        }
        self.lines.unwrap_or_default()
    }

    /// Logs a part of a line, or several lines.
    pub(super) fn say(&mut self, bytes: &[u8]) {
        self.owe(bytes.len());
        let Some(lines) = &mut self.lines else { return };
        for &byte in bytes {
            if byte == b'\n' {
                if lines.len() < LINES {
                    lines.push(String::from_utf8_lossy(&self.line).into_owned());
                }
                self.line.clear();
            } else if self.line.len() < LINE_BYTES {
                self.line.push(byte);
            }
        }
    }

    /// Fills `bytes` with random numbers.
    pub(super) fn chance(&mut self, bytes: &mut [u8]) {
        self.owe(bytes.len());
        let seed = &self.handed.seed;
        self.chance.get_or_insert_with(|| blake3::Hasher::new_keyed(seed).finalize_xof()).fill(bytes);
    }

    /// Returns a random number.
    pub(super) fn chance_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.chance(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Charges for bytes handled by the host.
    pub(super) fn owe(&mut self, bytes: usize) {
        self.owed = self.owed.saturating_add(bytes as u64);
    }

    /// Frees the call from paying for the host's work.
    pub(super) fn give(&mut self) {
        (self.left, self.tank) = (u64::MAX, u64::MAX);
    }

    /// Charges in advance for work of the host; fails if the guest cannot pay.
    pub(super) fn pay(&mut self, fuel: u64) -> wasmtime::Result<()> {
        self.owed = self.owed.saturating_add(fuel);
        if self.owed > self.left { Err(Trap::OutOfFuel.into()) } else { Ok(()) }
    }
}

/// Makes `store` pay for the host's work: whenever the guest goes on, the debt is taken from its fuel.
pub(super) fn charge(store: &mut Store<Call>, fuel: u64) {
    (store.data_mut().left, store.data_mut().tank) = (fuel, fuel);
    store.call_hook(|mut store: StoreContextMut<'_, Call>, hook| {
        let flat = match hook {
            CallHook::CallingWasm => 0,
            CallHook::ReturningFromHost => CALL_FUEL,
            CallHook::CallingHost => {
                store.data_mut().left = store.get_fuel()?;
                return Ok(());
            }
            CallHook::ReturningFromWasm => return Ok(()),
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
            // Charged at once, as the guest may not call the host again.
            self.pay(paid as u64 * PAGE_FUEL)?;
            if self.owed > self.tank / 2 {
                return Err(Trap::OutOfFuel.into());
            }
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
        self.owe(self.handed.params.len());
        self.handed.params.to_vec()
    }

    fn data_len(&mut self) -> u64 {
        self.handed.data.len() as u64
    }

    fn data(&mut self, offset: u64, len: u32) -> Vec<u8> {
        let data = self.handed.data.clone();
        let rest = usize::try_from(offset).ok().and_then(|offset| data.get(offset..)).unwrap_or_default();
        let some = &rest[..rest.len().min(len as usize)];
        self.owe(some.len());
        // A guest that cannot pay is at its end: nothing is copied for it.
        if self.owed > self.left { Vec::new() } else { some.to_vec() }
    }

    fn log(&mut self, message: String) {
        self.say(message.as_bytes());
        self.say(b"\n");
    }
}
