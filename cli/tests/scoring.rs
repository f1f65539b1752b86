//! ONNX jobs over real processes. They need ONNX Runtime's library (`make ort`); without it they say so, and fail under REQUIRE_ORT=1.

use crate::common;
use crate::common::{World, runtime_is_here};
use tidegate_fixtures::models::{Attr, Graph, elem::F32};

fn job(world: &World) -> String {
    std::fs::copy(tidegate_fixtures::path("models/heavy_user.onnx"), world.path("model.onnx")).unwrap();
    let select = "SELECT spend, spend + 1, spend + 2, spend + 3, spend + 4 FROM dataset";
    let outputs = "outputs = [{ name = \"risk\", lo = 0, hi = 1, reducer = \"sum\", default = 0 }]";
    let body = format!(
        "rho = 0.1\n[onnx]\nmodel = \"model.onnx\"\nselect = \"{select}\"\noutput = \"score\"\nreduce = \"max\"\n{outputs}\n"
    );
    world.job("score.toml", &body)
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
        "dataset = \"cancer\"\nrho = 0.4\n[onnx]\nmodel = \"malignancy.onnx\"\nselect = \"SELECT {select} FROM dataset\"\n\
         output = \"score\"\nreduce = \"last\"\n{outputs}\n"
    );
    std::fs::write(world.path("cancer-job.toml"), job).unwrap();
    let (job, node) = (world.text("cancer-job.toml"), world.serve(None));
    let value: serde_json::Value =
        serde_json::from_str(&world.ok("buyer", &world.run_args(&job, &node.address, &grant))).unwrap();
    let ill = |value: &serde_json::Value| value["result"]["rows"][0]["cells"][0]["value"].as_f64().unwrap();
    // 212 of 569 are: 0.3726. Two lanes of ρ = 0.2: σ of the centred sum 0.8, of the count 1.6; over 569 that is below 0.004.
    assert!((ill(&value) - 212.0 / 569.0).abs() < 0.03, "{value}");
    // The same as a program: the standard component, which has the model run through WASI-NN. First on the owner's mock rows, with what it says.
    std::fs::write(world.path("scoring.wasm"), tidegate_fixtures::guest("scoring").unwrap()).unwrap();
    let program = |params: &str| {
        format!(
            "dataset = \"cancer\"\nrho = 0.4\n[wasm]\nmodule = \"scoring.wasm\"\ndata = \"malignancy.onnx\"\ninfer = \"score\"\n\
             select = \"SELECT {select} FROM dataset\"\nparams = \"\"\"{params}\"\"\"\n{outputs}\n"
        )
    };
    std::fs::write(world.path("wrong.toml"), program("input f32 29 features\ntake 0 1")).unwrap();
    let said = world.ok("buyer", &["rehearse", &world.text("wrong.toml"), "--mock", &data, "--policy", &policy]);
    assert!(said.contains("the model takes [30]"), "{said}");
    std::fs::write(world.path("program.toml"), program("rows 64\ninput f32 30 features\nreduce last\ntake 0 1")).unwrap();
    let job = world.text("program.toml");
    let value: serde_json::Value =
        serde_json::from_str(&world.ok("buyer", &world.run_args(&job, &node.address, &grant))).unwrap();
    assert!((ill(&value) - 212.0 / 569.0).abs() < 0.03, "{value}");
}

/// How sure and how right the same network is, by its label: a matrix, a curve and an area from one run.
#[test]
fn a_model_is_compared_with_a_label_beside_the_data() {
    if !runtime_is_here() {
        return;
    }
    let world = World::new();
    let data = tidegate_fixtures::path("data/breast_cancer.parquet");
    let (schema, _) = tidegate_fixtures::second::read_parquet(&data).unwrap();
    let names: Vec<_> = schema.fields.iter().map(|f| f.name.clone()).filter(|n| n != "patient").collect();
    let columns: String = names.iter().map(|name| format!("\"{name}\" = {{}}\n")).collect();
    let (head, _) = common::POLICY.split_once("[columns]").unwrap();
    let buyer = world.ok("buyer", &["id"]);
    let head = head.replace("\"person\"", "\"patient\"").replace("max_units = 100", "max_units = 600");
    std::fs::write(world.path("cancer.toml"), format!("{}[columns]\n{columns}", head.replace("BUYER", buyer.trim()))).unwrap();
    let (data, policy, grant) = (data.display().to_string(), world.text("cancer.toml"), world.text("cancer"));
    world.ok("owner", &["publish", &data, "--name", "cancer", "--unit", "patient", "--policy", &policy]);
    world.ok("owner", &["grant", "cancer", "--to", buyer.trim(), "--out", &grant]);
    std::fs::copy(tidegate_fixtures::path("models/malignancy.onnx"), world.path("malignancy.onnx")).unwrap();
    let select = names.iter().map(|name| format!("\\\"{name}\\\"")).collect::<Vec<_>>().join(", ");
    let job = format!(
        "dataset = \"cancer\"\nrho = 0.9\n[onnx]\nmodel = \"malignancy.onnx\"\nselect = \"SELECT {select} FROM dataset\"\n\
         label = \"malignant\"\noutput = \"score\"\nreduce = \"last\"\noutputs = [\n\
         {{ name = \"ill\", lo = 0, hi = 1, default = 0, reducer = {{ confusion = {{ classes = 2 }} }} }},\n\
         {{ name = \"score\", lo = 0, hi = 1, default = 0, reducer = {{ scores = {{ bins = 10, cut = 0.5 }} }} }},\n\
         {{ name = \"curve\", lo = 0, hi = 1, default = 0, reducer = {{ calibration = {{ bins = 2 }} }} }},\n]\n"
    );
    std::fs::write(world.path("cancer-job.toml"), job).unwrap();
    let (job, node) = (world.text("cancer-job.toml"), world.serve(None));
    let value: serde_json::Value =
        serde_json::from_str(&world.ok("buyer", &world.run_args(&job, &node.address, &grant))).unwrap();
    let columns: Vec<&str> = value["result"]["columns"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
    let cell = |name: &str| {
        let at = columns.iter().position(|c| *c == name).unwrap_or_else(|| panic!("{name}: {columns:?}"));
        value["result"]["rows"][0]["cells"][at]["value"].as_f64().unwrap()
    };
    // 357 well and 212 ill; the network was trained on them and is right for nearly all.
    assert!((cell("ill 0 as 0") - 357.0).abs() < 40.0 && (cell("ill 1 as 1") - 212.0).abs() < 40.0, "{value}");
    assert!(cell("score auc") > 0.9 && cell("score accuracy") > 0.9);
    assert!(cell("curve [0, 0.5) positive share") < 0.1 && cell("curve [0.5, 1) positive share") > 0.9);
}

/// An owner who takes proven models alone refuses another before anything is charged, and says which operator may mix; the buyer sees the same before.
#[test]
fn a_model_that_may_mix_rows_is_refused_where_the_owner_says_so() {
    if !runtime_is_here() {
        return;
    }
    let graph = Graph::new().input("x", F32, "rows,1").node("ReduceMax", &["x"], &["m"], &[("keepdims", Attr::Int(0))]);
    let model = graph.node("Sub", &["x", "m"], &["score"], &[]).output("score", F32).bytes();
    let outputs = "outputs = [{ name = \"score\", lo = -1, hi = 0, reducer = \"sum\", default = 0 }]";
    let select = "select = \"SELECT spend FROM dataset\"\noutput = \"score\"\nreduce = \"max\"";
    let body = format!("rho = 0.1\n[onnx]\nmodel = \"mixing.onnx\"\n{select}\n{outputs}\n");
    for (section, taken) in [("", true), ("[models]\nmixing = false", false)] {
        let world = World::under(section);
        std::fs::write(world.path("mixing.onnx"), &model).unwrap();
        let seen = world.ok("buyer", &["inspect", &world.text("mixing.onnx"), "--json"]);
        let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
        assert_eq!(seen["verdict"], "per-unit-only");
        assert!(seen["mixed_by"].as_str().unwrap().starts_with("ReduceMax"), "{seen}");
        let (job, grant, node) = (world.job("mixing.toml", &body), world.text("grant"), world.serve(None));
        if taken {
            world.ok("buyer", &world.run_args(&job, &node.address, &grant));
        } else {
            let said = world.fails("buyer", &world.run_args(&job, &node.address, &grant));
            assert!(said.contains("ReduceMax") && said.contains("proven not to"), "{said}");
            assert_eq!(world.spent(), 0);
        }
    }
}

/// What `inspect` says of models, and its exit codes.
#[test]
fn a_model_is_inspected_without_being_run() {
    let world = World::new();
    let model = tidegate_fixtures::path("models/heavy_user.onnx").display().to_string();
    let seen: serde_json::Value = serde_json::from_str(&world.ok("buyer", &["inspect", &model, "--json"])).unwrap();
    assert_eq!(seen["verdict"], "row-independent");
    assert!(seen["operations"].as_u64().unwrap() > 100 && seen["weights"].as_u64().unwrap() > 300, "{seen}");
    assert!(world.ok("buyer", &["inspect", &model]).contains("row-independent: proven"));
    let hostile = tidegate_fixtures::path("models/hostile_external.onnx").display().to_string();
    let output = world.try_run("buyer", &["inspect", &hostile]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("lies in a file beside the model"));
}
