//! Where ONNX Runtime's shared library is.

use std::path::{Path, PathBuf};

/// Names the library by hand.
pub const VARIABLE: &str = "TIDEGATE_ORT_DYLIB";
/// The library's file name.
const NAME: &str = "libonnxruntime.so";
/// Where a system keeps it.
const SYSTEM: [&str; 3] = ["/usr/local/lib", "/usr/lib", "/usr/lib/x86_64-linux-gnu"];

/// What a process that loads the library must have in its environment. Without it the published library starts a thread that keeps events in the user's
/// home and sends them to its makers: before any wall can be raised, and whatever the session's own option says.
pub const QUIET: (&str, &str) = ("ORT_DISABLE_TELEMETRY", "1");

/// Whether this process has it.
pub fn is_quiet() -> bool {
    std::env::var(QUIET.0).is_ok_and(|value| value == QUIET.1)
}

/// What to do when there is none.
pub const HOW_TO: &str = "Run `python3 scripts/fetch_ort.py` in the checkout, or set TIDEGATE_ORT_DYLIB to libonnxruntime.so";

/// Finds the library: `TIDEGATE_ORT_DYLIB`, then `.ort/` in a folder above this program, then the system's folders.
pub fn find() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(VARIABLE) {
        // Named by hand: nothing else is tried in its place.
        let path = PathBuf::from(path);
        return path.is_file().then_some(path);
    }
    let program = std::env::current_exe().ok()?;
    let project = program.ancestors().skip(1).map(|folder| folder.join(".ort").join(NAME));
    let system = SYSTEM.iter().map(|folder| Path::new(folder).join(NAME));
    project.chain(system).find(|path| path.is_file())
}
