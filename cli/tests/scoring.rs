//! ONNX jobs over real processes. They need ONNX Runtime's library (`make ort`); without it they say so, and fail under REQUIRE_ORT=1.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::World;

fn job(world: &World) -> String {
    std::fs::copy(tidegate_fixtures::path("models/heavy_user.onnx"), world.path("model.onnx")).unwrap();
    let select = "SELECT spend, spend + 1, spend + 2, spend + 3, spend + 4 FROM dataset";
    let outputs = "outputs = [{ name = \"risk\", lo = 0, hi = 1, reducer = \"sum\", default = 0 }]";
    let body = format!(
        "rho = 0.1\n[onnx]\nmodel = \"model.onnx\"\nselect = \"{select}\"\noutput = \"score\"\nreduce = \"max\"\n{outputs}\n"
    );
    world.job("score.toml", &body)
}

fn runtime_is_here() -> bool {
    let here = tidegate_gpu_runner::library::find().is_some();
    if !here {
        assert!(std::env::var_os("REQUIRE_ORT").is_none(), "ONNX Runtime is required and not here");
        eprintln!("SKIPPED: no ONNX Runtime. {}", tidegate_gpu_runner::library::HOW_TO);
    }
    here
}

/// Without the library an ONNX job is refused before anything is charged, and the refusal says what to do; others run.
#[test]
fn without_the_runtime_an_onnx_job_says_what_to_do() {
    let world = World::new();
    let node = world.serve_with(&[("TIDEGATE_ORT_DYLIB", "/nowhere/libonnxruntime.so")]);
    let (score, count, grant) = (job(&world), world.count_job(), world.text("grant"));
    let said = world.fails("buyer", &world.run_args(&score, &node.address, &grant));
    assert!(said.contains("no ONNX Runtime") && said.contains("fetch_ort.py"), "{said}");
    assert_eq!(world.spent(), 0);
    world.ok("buyer", &world.run_args(&count, &node.address, &grant));
}

/// Scores of a runner in a process of its own come back as one bounded, noised sum.
#[test]
fn a_model_scores_beside_the_data() {
    if !runtime_is_here() {
        return;
    }
    let world = World::new();
    let node = world.serve(None);
    let (score, grant) = (job(&world), world.text("grant"));
    let value: serde_json::Value =
        serde_json::from_str(&world.ok("buyer", &world.run_args(&score, &node.address, &grant))).unwrap();
    let risk = value["result"]["rows"][0]["cells"][0]["value"].as_f64().unwrap();
    // Sixty people, each between 0 and 1, Δ = 1, ρ = 0.1: σ = √5. Eight σ is never seen.
    assert!((-18.0..=78.0).contains(&risk), "{risk}");
}

/// A runner that is killed in mid-job harms neither node nor buyer: noise over the default comes back, and the next job runs.
#[test]
fn a_killed_runner_is_not_seen_by_the_buyer() {
    if !runtime_is_here() {
        return;
    }
    let world = World::new();
    let node = world.serve(None);
    let (score, grant) = (job(&world), world.text("grant"));
    let args = world.run_args(&score, &node.address, &grant);
    let mut buyer = world.command("buyer").args(&args).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut killed = false;
    while !killed && buyer.try_wait().unwrap().is_none() {
        for pid in common::children(node.pid()) {
            let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if line.split('\0').nth(1) == Some("runner") {
                killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success();
                break;
            }
        }
    }
    assert!(killed, "the runner was never seen: the test proves nothing");
    let output = buyer.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", common::text(&output));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["result"]["rows"].as_array().unwrap().len(), 1);
    world.ok("buyer", &args);
}
