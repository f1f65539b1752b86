//! Where models run: as owner and job say, or not at all; the receipt names it.

use crate::common::{World, runtime_is_here};

fn job(world: &World, on: &str) -> String {
    std::fs::copy(tidegate_fixtures::path("models/heavy_user.onnx"), world.path("model.onnx")).unwrap();
    let select = "SELECT spend, spend + 1, spend + 2, spend + 3, spend + 4 FROM dataset";
    let outputs = "outputs = [{ name = \"risk\", lo = 0, hi = 1, reducer = \"sum\", default = 0 }]";
    let body = format!(
        "rho = 0.1\n[onnx]\nmodel = \"model.onnx\"\nselect = \"{select}\"\noutput = \"score\"\nreduce = \"max\"\n{on}\n{outputs}\n"
    );
    world.job("score.toml", &body)
}

/// What runs a model is in the receipt: the runtime's version, its provider, the device's name.
#[test]
fn the_receipt_says_what_ran_the_model() {
    if !runtime_is_here() {
        return;
    }
    let world = World::under("[models]\ndevice = \"cpu\"");
    let (node, grant) = (world.serve(None), world.text("grant"));
    for on in ["", "on = \"cpu\""] {
        let said = world.ok("buyer", &world.run_args(&job(&world, on), &node.address, &grant));
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        let inference = &said["receipt"]["statement"]["predicate"]["facts"]["inference"];
        assert_eq!(inference["provider"], "cpu");
        assert!(inference["runtime"].as_str().unwrap().starts_with("ONNX Runtime 1."), "{inference}");
        assert!(!inference["device"].as_str().unwrap().is_empty(), "{inference}");
    }
    let said = world.ok("buyer", &world.run_args(&world.count_job(), &node.address, &grant));
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(said["receipt"]["statement"]["predicate"]["facts"].get("inference").is_none());
}

/// Walls that a policy wants: where one does not stand, no job runs and nothing is charged, also where the node serves without.
#[test]
fn a_policy_says_which_walls_must_stand() {
    for (section, refused) in [("", false), ("walls = [\"calls\", \"landlock\"]", true)] {
        let world = World::under(section);
        let grant = world.text("grant");
        let node = world.serve(Some("no-walls"));
        let args = (world.count_job(), node.address.clone());
        let args = world.run_args(&args.0, &args.1, &grant);
        if refused {
            let said = world.fails("buyer", &args);
            assert!(said.contains("lacks: calls"), "{said}");
            assert_eq!(world.spent(), 0);
        } else {
            world.ok("buyer", &args);
        }
        drop(node);
        // On this machine they stand, or the node would not serve.
        let node = world.serve(None);
        world.ok("buyer", &world.run_args(&world.count_job(), &node.address, &grant));
    }
}

/// A job that asks for a GPU is not run elsewhere: where there is none, or the owner has models on the processor, it is refused before anything is charged.
#[test]
fn a_job_for_a_gpu_runs_on_no_processor() {
    if !runtime_is_here() {
        return;
    }
    let none = [("TIDEGATE_ORT_CUDA_DYLIB", "/nowhere/libonnxruntime.so")];
    for (section, on, says) in [
        ("[models]\ndevice = \"cpu\"", "on = \"cuda\"", "only on the CPU"),
        ("", "on = \"cuda\"", "has no GPU available for models"),
        ("", "on = \"cuda-tf32\"", "has no GPU available for models"),
        ("[models]\ndevice = \"cuda:0\"", "", "has no cuda:0 available now"),
        ("[models]\ndevice = \"cuda:0\"", "on = \"cpu\"", "models only on cuda:0"),
    ] {
        let world = World::under(section);
        let (node, grant) = (world.serve_with(&none), world.text("grant"));
        let said = world.fails("buyer", &world.run_args(&job(&world, on), &node.address, &grant));
        assert!(said.contains(says), "{section} {on}: {said}");
        assert_eq!(world.spent(), 0);
        // Others run all the same.
        world.ok("buyer", &world.run_args(&world.count_job(), &node.address, &grant));
    }
    // What the policy says of it the buyer hears without asking the owner.
    let world = World::under("[models]\ndevice = \"cpu\"");
    let (data, policy) = (world.text("data.csv"), world.text("policy.toml"));
    let said = world.fails("buyer", &["check", &job(&world, "on = \"cuda\""), "--rows", &data, "--policy", &policy]);
    assert!(said.contains("only on the CPU"), "{said}");
    let said = world.fails("buyer", &["check", &job(&world, "on = \"gpu\""), "--rows", &data, "--policy", &policy]);
    assert!(said.contains("cuda-tf32"), "{said}");
}
