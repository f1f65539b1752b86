//! ONNX Runtime in a test.

use ort::environment::Environment;
use tidegate_gpu_runner::library;

/// The runtime, in a process that tells nobody of it. `None` where the test went on in such a process, or there is no runtime.
pub(crate) fn runtime() -> Option<Environment> {
    let Some(path) = library::find() else {
        assert!(std::env::var_os("REQUIRE_ORT").is_none(), "ONNX Runtime is required and not here");
        eprintln!("SKIPPED: no ONNX Runtime. {}", library::HOW_TO);
        return None;
    };
    if !library::is_quiet() {
        // This test alone: its thread has its name, unless it has the process to itself.
        let alone = std::thread::current().name().filter(|name| *name != "main").map(str::to_owned);
        let arguments = alone.map_or_else(|| std::env::args().skip(1).collect(), |name| vec![name, "--exact".to_owned()]);
        let again = std::process::Command::new(std::env::current_exe().unwrap())
            .args(arguments)
            .env(library::QUIET.0, library::QUIET.1)
            .status();
        assert!(again.unwrap().success());
        return None;
    }
    Some(ort::init_from(path).unwrap().with_telemetry(false).build().unwrap())
}
