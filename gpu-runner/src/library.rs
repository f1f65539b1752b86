//! Location of ONNX Runtime's shared library.

use std::path::{Path, PathBuf};

/// Environment variable with the path of the library.
pub const VARIABLE: &str = "TIDEGATE_ORT_DYLIB";
/// File name of the library.
const NAME: &str = "libonnxruntime.so";
/// System folders of the library.
const SYSTEM: [&str; 3] = ["/usr/local/lib", "/usr/lib", "/usr/lib/x86_64-linux-gnu"];

/// Environment variable, with its value, required for loading the library.
///
/// Without it the published library starts a thread that keeps events in the user's home and sends them to its makers, before any
/// confinement is possible and whatever the session's own option says.
pub const QUIET: (&str, &str) = ("ORT_DISABLE_TELEMETRY", "1");

/// Returns whether this process has the variable set.
pub fn is_quiet() -> bool {
    std::env::var(QUIET.0).is_ok_and(|value| value == QUIET.1)
}

/// Advice if the library is missing.
pub const HOW_TO: &str = "Run `python3 scripts/fetch_ort.py` in the checkout, or set TIDEGATE_ORT_DYLIB to libonnxruntime.so";

/// Environment variable with the path of the library with NVIDIA's provider.
pub const CUDA_VARIABLE: &str = "TIDEGATE_ORT_CUDA_DYLIB";
/// Environment variable with the folders of CUDA's own libraries, separated by colons, if the system's linker does not know them.
pub const CUDA_LIBRARIES: &str = "TIDEGATE_CUDA_LIBRARIES";
/// File name of the provider, which must lie beside the library.
const PROVIDER: &str = "libonnxruntime_providers_cuda.so";

/// Advice if the library for GPUs is missing.
pub const HOW_TO_CUDA: &str = "Run `python3 scripts/fetch_ort.py --cuda` in the checkout, or set TIDEGATE_ORT_CUDA_DYLIB to libonnxruntime.so of the GPU wheel";

/// Finds the library with NVIDIA's provider: `TIDEGATE_ORT_CUDA_DYLIB`, then `.ort-cuda/` in a folder above this program, then
/// beside the other library.
pub fn find_cuda() -> Option<PathBuf> {
    let whole = |path: &PathBuf| path.is_file() && path.with_file_name(PROVIDER).is_file();
    if let Some(path) = std::env::var_os(CUDA_VARIABLE) {
        return Some(PathBuf::from(path)).filter(whole);
    }
    let program = std::env::current_exe().ok()?;
    let project = program.ancestors().skip(1).map(|folder| folder.join(".ort-cuda").join(NAME));
    project.chain(find()).find(whole)
}

/// Returns the library path of a runner on a GPU in the form of the system's linker: the runtime's folder, then the owner's
/// folders.
pub fn cuda_path(library: &Path) -> std::ffi::OsString {
    let mut path = library.parent().map(Path::as_os_str).unwrap_or_default().to_owned();
    if let Some(others) = std::env::var_os(CUDA_LIBRARIES) {
        path.push(":");
        path.push(others);
    }
    path
}

/// Returns the library's name, its version as in its file name, and its build.
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
        // An explicit path: nothing else is tried in its place.
        let path = PathBuf::from(path);
        return path.is_file().then_some(path);
    }
    let program = std::env::current_exe().ok()?;
    let project = program.ancestors().skip(1).map(|folder| folder.join(".ort").join(NAME));
    let system = SYSTEM.iter().map(|folder| Path::new(folder).join(NAME));
    project.chain(system).find(|path| path.is_file())
}
