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

/// Names the library with NVIDIA's provider by hand.
pub const CUDA_VARIABLE: &str = "TIDEGATE_ORT_CUDA_DYLIB";
/// Folders of CUDA's own libraries, separated by colons, where the system's linker does not know them.
pub const CUDA_LIBRARIES: &str = "TIDEGATE_CUDA_LIBRARIES";
/// What must lie beside the library.
const PROVIDER: &str = "libonnxruntime_providers_cuda.so";

/// What to do when there is none for GPUs.
pub const HOW_TO_CUDA: &str = "Run `python3 scripts/fetch_ort.py --cuda` in the checkout, or set TIDEGATE_ORT_CUDA_DYLIB to libonnxruntime.so of the GPU wheel";

/// Finds the library with NVIDIA's provider: `TIDEGATE_ORT_CUDA_DYLIB`, then `.ort-cuda/` in a folder above this program, then beside the other.
pub fn find_cuda() -> Option<PathBuf> {
    let whole = |path: &PathBuf| path.is_file() && path.with_file_name(PROVIDER).is_file();
    if let Some(path) = std::env::var_os(CUDA_VARIABLE) {
        return Some(PathBuf::from(path)).filter(whole);
    }
    let program = std::env::current_exe().ok()?;
    let project = program.ancestors().skip(1).map(|folder| folder.join(".ort-cuda").join(NAME));
    project.chain(find()).find(whole)
}

/// Where a runner on a GPU looks for libraries, as the system's linker wants it: beside the runtime, and where the owner says.
pub fn cuda_path(library: &Path) -> std::ffi::OsString {
    let mut path = library.parent().map(Path::as_os_str).unwrap_or_default().to_owned();
    if let Some(others) = std::env::var_os(CUDA_LIBRARIES) {
        path.push(":");
        path.push(others);
    }
    path
}

/// The library's name and version, as its file is called, and its build.
pub(crate) fn version(library: &Path) -> String {
    let path = library.canonicalize().unwrap_or_else(|_| library.to_owned());
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let version = name.split_once(".so.").map(|(_, version)| format!(" {version}")).unwrap_or_default();
    let commit = ort::info().split("git-commit-id=").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or("unknown");
    format!("ONNX Runtime{version} ({commit})")
}

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
