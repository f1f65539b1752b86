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

/// The real thing: 569 patients, thirty measurements each, and a network trained on them. The mean of its scores is the share of the ill.
#[test]
fn a_model_of_malignancy_scores_the_patients_it_was_trained_for() {
    if !runtime_is_here() {
        return;
    }
    let world = World::new();
    let data = tidegate_fixtures::path("data/breast_cancer.parquet");
    let (schema, _) = tidegate_fixtures::second::read_parquet(&data).unwrap();
    let measurements: Vec<_> =
        schema.fields.iter().map(|f| f.name.clone()).filter(|n| n != "patient" && n != "malignant").collect();
    assert_eq!(measurements.len(), 30);
    let columns: String = measurements.iter().map(|name| format!("\"{name}\" = {{}}\n")).collect();
    let (head, _) = common::POLICY.split_once("[columns]").unwrap();
    let buyer = world.ok("buyer", &["id"]);
    let head = head.replace("\"person\"", "\"patient\"").replace("max_units = 100", "max_units = 600");
    let head = head.replace("BUYER", buyer.trim());
    std::fs::write(world.path("cancer.toml"), format!("{head}[columns]\n{columns}")).unwrap();
    let (data, policy, grant) = (data.display().to_string(), world.text("cancer.toml"), world.text("cancer"));
    world.ok("owner", &["publish", &data, "--name", "cancer", "--unit", "patient", "--policy", &policy]);
    world.ok("owner", &["grant", "cancer", "--to", buyer.trim(), "--out", &grant]);
    std::fs::copy(tidegate_fixtures::path("models/malignancy.onnx"), world.path("malignancy.onnx")).unwrap();
    let select = measurements.iter().map(|name| format!("\\\"{name}\\\"")).collect::<Vec<_>>().join(", ");
    let outputs = "outputs = [{ name = \"ill\", lo = 0, hi = 1, reducer = \"mean\", default = 0.5 }]";
    let job = format!(
        "dataset = \"cancer\"\nrho = 0.5\n[onnx]\nmodel = \"malignancy.onnx\"\nselect = \"SELECT {select} FROM dataset\"\n\
         output = \"score\"\nreduce = \"last\"\n{outputs}\n"
    );
    std::fs::write(world.path("cancer-job.toml"), job).unwrap();
    let (job, node) = (world.text("cancer-job.toml"), world.serve(None));
    let value: serde_json::Value =
        serde_json::from_str(&world.ok("buyer", &world.run_args(&job, &node.address, &grant))).unwrap();
    let ill = value["result"]["rows"][0]["cells"][0]["value"].as_f64().unwrap();
    // 212 of 569 are: 0.3726. Two lanes of ρ = 0.25: σ of the centred sum 0.7, of the count 1.4; over 569 that is below 0.003.
    assert!((ill - 212.0 / 569.0).abs() < 0.03, "{ill}");
}
