//! Arbitrary bytes as public tables: refused, or read; no memory is allocated for a claimed length.
use std::sync::Once;

use tidegate_sandbox::sql::Tables;

/// Runs an input.
pub fn run(bytes: &[u8]) {
    // Arrow's reader panics on some inputs, which is caught: libFuzzer's hook would end the process first.
    static QUIET: Once = Once::new();
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    if let Ok(tables) = Tables::read(bytes) {
        tables.write().expect("what was read can be written");
    }
}
