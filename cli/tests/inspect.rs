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
        ("(f64.sqrt (local.get 0))", serde_json::json!({ "bounded": 13 })),
        ("(loop (br_if 0 (i32.const 0))) (local.get 0)", serde_json::json!("stateless")),
        ("(f64.store (i32.const 0) (local.get 0)) (local.get 0)", serde_json::json!({ "unproven": "F64Store" })),
    ] {
        let (fine, seen) = inspect(&write("row.wasm", &row(body)));
        assert!(fine && seen["row"]["proof"] == proof && seen["functions"] == 1, "{proof}: {seen}");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate")).args(["inspect", "/no/such/file"]).output().unwrap();
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("/no/such/file"));
}

/// Weights beside a model come from the model's own folder alone, from within the file that they are said to be in.
#[test]
fn what_lies_beside_a_model_is_read_from_its_folder_alone() {
    let source = tidegate_fixtures::path("models/exported");
    let (root, name) = (tempfile::tempdir().unwrap(), "torch_default.onnx.data");
    let folder = root.path().join("models");
    std::fs::create_dir(&folder).unwrap();
    let (model, beside) = (folder.join("torch_default.onnx"), folder.join(name));
    let bytes = std::fs::read(source.join("torch_default.onnx")).unwrap();
    let weights = std::fs::read(source.join(name)).unwrap();
    std::fs::write(&model, &bytes).unwrap();
    let refused = |why: &str| {
        let (fine, seen) = inspect(&model);
        let said = seen["refused"]["message"].as_str().unwrap();
        assert!(!fine && said.contains("lies in a file beside the model") && said.contains(why), "{why}: {said}");
    };
    refused("No such file");
    std::fs::write(&beside, &weights).unwrap();
    let (fine, seen) = inspect(&model);
    assert!(fine && seen["verdict"] == "row-independent" && seen["weights"].as_u64().unwrap() > 512, "{seen}");
    // Cut short; a link that leads elsewhere.
    std::fs::write(&beside, &weights[..weights.len() - 1]).unwrap();
    refused("are needed");
    std::fs::remove_file(&beside).unwrap();
    std::fs::write(root.path().join("elsewhere"), &weights).unwrap();
    std::os::unix::fs::symlink("../elsewhere", &beside).unwrap();
    refused("not a file in the model's folder");
    // A name that does, of as many letters.
    for other in ["../models/..//elsewhere", "/////////////etc/passwd", "a/../../../../etc/passw"] {
        let at = bytes.windows(name.len()).position(|part| part == name.as_bytes()).unwrap();
        let mut changed = bytes.clone();
        changed[at..at + name.len()].copy_from_slice(other.as_bytes());
        std::fs::write(&model, &changed).unwrap();
        refused("is outside the model's folder");
    }
}

/// Each output has its own verdict; the model's is that of the worst, and it is of use where one is.
#[test]
fn a_model_is_judged_by_its_worst_output_and_taken_for_its_best() {
    let model = tidegate_fixtures::path("models/exported/sk_rf_text_zip.onnx");
    let (fine, seen) = inspect(&model);
    assert!(
        fine && seen["verdict"] == "reject" && seen["best"] == "row-independent" && seen["worst"] == "output_label",
        "{seen}"
    );
    assert!(seen["outputs"][0]["refused"].as_str().unwrap().contains("this output is texts"), "{seen}");
    assert_eq!(seen["outputs"][1]["numbers"], 3, "{seen}");
    let said = Command::new(env!("CARGO_BIN_EXE_tidegate")).arg("inspect").arg(&model).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(
        said.contains("at worst, of output output_label: reject") && said.contains("checked by the outputs that it names"),
        "{said}"
    );
    let (fine, seen) = inspect(&tidegate_fixtures::path("models/exported/ct_ohe_text.onnx"));
    assert!(fine && seen["inputs"][2] == "region text [rows, 1]", "{seen}");
}
