//! Any bytes as public tables: refused, or read; no length that they claim is set aside.
use std::sync::Once;

use tidegate_sandbox::sql::Tables;

/// One input.
pub fn run(bytes: &[u8]) {
    // Arrow's reader panics on some bytes, which is caught: libFuzzer's hook would end the process before.
    static QUIET: Once = Once::new();
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    if let Ok(tables) = Tables::read(bytes) {
        tables.write().expect("what was read can be written");
    }
}
