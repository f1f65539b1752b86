//! The owner's node dies between each pair of steps of a job, and is started again: nothing lost, nothing charged twice, nothing released twice.

use crate::common;
use crate::common::World;

const REQUEST: &str = "00112233445566778899aabbccddeeff";

fn crash_at(fault: &str) {
    let world = World::new();
    let job = world.count_job();
    crash_with(&world, fault, &job);
}

fn crash_with(world: &World, fault: &str, job: &str) {
    let grant = world.text("grant");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().to_string();
    let again = ["--request", REQUEST, "--created", &now];
    let run = |address: &str| {
        let mut args = world.run_args(job, address, &grant);
        args.extend(again);
        world.try_run("buyer", &args)
    };
    let node = world.serve(Some(fault));
    let mut args = world.run_args(job, &node.address, &grant);
    args.extend(again);
    let mut first = world.command("buyer").args(&args).stdout(std::process::Stdio::null()).spawn().unwrap();
    assert!(!node.wait().success(), "{fault}: died by abort");
    // Nothing can have been revealed; the buyer need not wait until its connection times out.
    assert!(first.try_wait().unwrap().is_none(), "{fault}: the buyer was answered");
    let _ = first.kill();
    let _ = first.wait();
    let node = world.serve(None);
    let answers: Vec<_> = (0..2).map(|_| run(&node.address)).collect();
    let results: Vec<serde_json::Value> = answers
        .iter()
        .map(|a| {
            assert!(a.status.success(), "{fault}: {}", common::text(a));
            serde_json::from_slice(&a.stdout).unwrap()
        })
        .collect();
    assert_eq!(results[0]["result"], results[1]["result"], "{fault}: the same bytes twice");
    assert_eq!(results[0]["receipt"]["index"], results[1]["receipt"]["index"], "{fault}: one receipt");
    let report = world.audit(&node.address);
    assert_eq!((&report["intents"], &report["outcomes"]), (&1.into(), &1.into()), "{fault}: {report}");
    assert!(
        report["open"].as_array().unwrap().is_empty() && report["findings"].as_array().unwrap().is_empty(),
        "{fault}: {report}"
    );
    assert_eq!(world.spent(), 100_000, "{fault}: charged once");
}

/// A program lies on the owner's disk from its reservation to its result, and no longer.
#[test]
fn a_program_is_kept_until_its_job_is_done() {
    let world = World::new();
    let component = tidegate_fixtures::guest("heavy").unwrap();
    std::fs::write(world.path("heavy.wasm"), &component).unwrap();
    let output = |name: &str| format!("{{ name = \"{name}\", lo = 0, hi = 1, reducer = \"mean\", default = 0 }}");
    let body = format!(
        "rho = 0.1\n[wasm]\nmodule = \"heavy.wasm\"\nselect = \"SELECT spend FROM dataset\"\noutputs = [{}, {}]",
        output("a"),
        output("b")
    );
    crash_with(&world, "after-reserve", &world.job("heavy.toml", &body));
    let left = || std::fs::read_dir(world.path("owner/programs")).unwrap().count();
    assert_eq!(left(), 0);
    // What is refused is not kept either: no budget, or no program.
    let node = world.serve(None);
    let run =
        |body: &str| world.fails("buyer", &world.run_args(&world.job("no.toml", body), &node.address, &world.text("grant")));
    assert!(run(&body.replace("rho = 0.1", "rho = 0.85")).contains("budget"), "more than is left");
    std::fs::write(world.path("heavy.wasm"), &component[..100]).unwrap();
    run(&body);
    assert_eq!(left(), 0);
}

#[test]
fn before_the_budget_is_reserved() {
    crash_at("before-reserve");
}

#[test]
fn after_the_budget_is_reserved_before_a_row_is_read() {
    crash_at("after-reserve");
}

#[test]
fn after_noise_is_drawn_before_it_is_durable() {
    crash_at("after-release");
}

#[test]
fn after_the_result_is_durable_before_the_log_is_exported() {
    crash_at("after-finish");
}

#[test]
fn after_the_log_is_exported_before_the_reply() {
    crash_at("after-export");
}
