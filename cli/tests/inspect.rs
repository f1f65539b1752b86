//! `tidegate inspect`: what an owner would say to a component, and why.

use std::{path::Path, process::Command};

fn inspect(file: &Path) -> (bool, serde_json::Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate")).arg("inspect").arg(file).arg("--json").output().unwrap();
    (output.status.success(), serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn a_component_is_looked_at_without_running_it() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    for guest in ["heavy", "gradient", "trap", "hoard"] {
        let (fine, seen) = inspect(&write("guest.wasm", &tidegate_fixtures::guest(guest).unwrap()));
        assert!(fine && seen["refused"].is_null(), "{guest}: {seen}");
        assert!(seen["exports"].as_array().unwrap().iter().any(|e| e == "contribute"), "{seen}");
        assert_eq!(seen["hash"].as_str().unwrap().len(), 64, "{seen}");
    }
    let component = |text: &str| wat::parse_str(text).unwrap();
    let memory = component("(component (core module $m (memory 4096)) (core instance (instantiate $m)))");
    let relaxed = component(
        "(component (core module (func (param v128 v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 1)))))",
    );
    let threads = component("(component (core module (memory 1 1 shared)))");
    for (bytes, why) in [
        (component(r#"(component (import "wasi:sockets/tcp@0.2.0" (instance)))"#), "imports wasi:sockets/tcp"),
        (component("(component)"), "world tidegate:job"),
        (memory, "memory"),
        (relaxed, "relaxed SIMD"),
        (threads, "threads"),
        (component("(module)"), "no function row"),
        (b"MZ".to_vec(), "not a WebAssembly component"),
    ] {
        let (fine, seen) = inspect(&write("bad.wasm", &bytes));
        assert!(!fine && seen["refused"]["message"].as_str().unwrap().contains(why), "{why}: {seen}");
    }
    // What is proven of a row function, and why not.
    let row = |body: &str| component(&format!(r#"(module (memory 1) (func (export "row") (param f64) (result f64) {body}))"#));
    for (body, proof) in [
        ("(f64.sqrt (local.get 0))", serde_json::json!({ "bounded": 3 })),
        ("(loop (br_if 0 (i32.const 0))) (local.get 0)", serde_json::json!("stateless")),
        ("(f64.store (i32.const 0) (local.get 0)) (local.get 0)", serde_json::json!({ "unproven": "F64Store" })),
    ] {
        let (fine, seen) = inspect(&write("row.wasm", &row(body)));
        assert!(fine && seen["row"]["proof"] == proof && seen["functions"] == 1, "{proof}: {seen}");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate")).args(["inspect", "/no/such/file"]).output().unwrap();
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("/no/such/file"));
}
