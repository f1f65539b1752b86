//! What errors say: the field, the value, what it may be, and what to do next.

use crate::common::{POLICY, World};

fn holds(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_price_that_is_too_large_is_said_to_be_with_the_largest() {
    let world = World::new();
    let data = world.text("data.csv");
    let publish = |from: &str, to: &str| {
        std::fs::write(world.path("wide.toml"), POLICY.replace("\"BUYER\"", "").replace(from, to)).unwrap();
        let policy = world.text("wide.toml");
        world.fails("owner", &["publish", &data, "--name", "wide", "--unit", "person", "--policy", &policy])
    };
    holds(&publish("rho = 1.0", "rho = 2000000"), &["`budget.rho`", "is 2000000, and the largest is 1000000"]);
    holds(&publish("rho = 1.0", "epsilon = 1001"), &["`budget.epsilon`", "is 1001, and the largest is 1000"]);
    holds(&publish("_rho = 0.9", "_rho = 2e6"), &["`budget.per_buyer_rho`", "is 2000000, and the largest is 1000000"]);
    holds(&publish("_rho = 0.9", "_epsilon = -1"), &["`budget.per_buyer_epsilon`", "is -1, and must be a positive number"]);
    let buyer = world.ok("buyer", &["id"]).trim().to_owned();
    let grant = |more: &[&str]| world.fails("owner", &[&["grant", "towns", "--to", &buyer], more].concat());
    holds(&grant(&["--rho", "2e9"]), &["--rho is 2000000000, and the largest is 1000000000"]);
    holds(&grant(&["--rho=-1"]), &["--rho is -1, and must be a positive number"]);
    let check = |price: &str| {
        let job = world.job("dear.toml", &format!("{price}\n[sql]\nquery = \"SELECT COUNT(*) AS n FROM dataset\"\n"));
        world.fails("owner", &["check", &job])
    };
    holds(&check("rho = 1e30"), &["rho is 1000000000000000000000000000000, and the largest is 1000000000"]);
    holds(&check("rho = -1"), &["rho is -1, and must be a positive number"]);
    holds(&check("noise = \"laplace\"\nepsilon = 2e9"), &["epsilon is 2000000000, and the largest is 1000000000"]);
}

/// A rehearsal that lacks the runtime says so, and names no file of its own making.
#[test]
fn a_rehearsal_without_the_runtime_says_what_is_missing() {
    let world = World::new();
    std::fs::copy(tidegate_fixtures::path("models/heavy_user.onnx"), world.path("model.onnx")).unwrap();
    let select = "SELECT spend, spend + 1, spend + 2, spend + 3, spend + 4 FROM dataset";
    let outputs = "outputs = [{ name = \"risk\", lo = 0, hi = 1, reducer = \"sum\", default = 0 }]";
    let job = world.job(
        "score.toml",
        &format!(
            "rho = 0.1\n[onnx]\nmodel = \"model.onnx\"\nselect = \"{select}\"\noutput = \"score\"\nreduce = \"max\"\n{outputs}\n"
        ),
    );
    let (data, policy) = (world.text("data.csv"), world.text("policy.toml"));
    for words in [
        vec!["rehearse", &job, "--mock", &data, "--policy", &policy],
        vec!["gate", "sample", &job, "--data", &data, "--policy", &policy, "--runs", "1"],
    ] {
        let output = world.command("buyer").env("TIDEGATE_ORT_DYLIB", "/nowhere/libonnxruntime.so").args(words).output().unwrap();
        let said = crate::common::text(&output);
        assert!(!output.status.success() && !said.contains("laid-out"), "{said}");
        holds(&said, &["this machine has no ONNX Runtime", "fetch_ort.py", "tidegate doctor"]);
    }
}
