//! `tidegate check` answers as the owner would, without owner, data, network or charge.

use crate::common;
use crate::common::World;

fn verdict(world: &World, who: &str, args: &[&str]) -> (bool, serde_json::Value) {
    let output = world.try_run(who, &[&["check"], args, &["--json"]].concat());
    (output.status.success(), serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", common::text(&output))))
}

#[test]
fn a_check_gives_the_owners_verdict_and_the_jobs_own_noise() {
    let world = World::new();
    let node = world.serve(None);
    let offers = world.ok("buyer", &["list", "--to", &node.address, "--json"]);
    std::fs::write(world.path("offers.json"), offers).unwrap();
    let (count, grant, offers) = (world.count_job(), world.text("grant"), world.text("offers.json"));
    let rows = world.job("rows.toml", "rho = 0.1\n[sql]\nquery = \"SELECT spend FROM dataset\"\n");
    let run: serde_json::Value =
        serde_json::from_str(&world.ok("buyer", &world.run_args(&count, &node.address, &grant))).unwrap();
    let refused = world.fails("buyer", &world.run_args(&rows, &node.address, &grant));
    drop(node);
    let (data, policy) = (world.text("data.csv"), world.text("policy.toml"));
    for (who, against) in
        [("buyer", vec!["--offers", &offers]), ("buyer", vec!["--rows", &data, "--policy", &policy]), ("owner", vec![])]
    {
        let (accepted, said) = verdict(&world, who, &[&[count.as_str()], &against[..]].concat());
        assert!(accepted && said["verdict"] == "accept", "{said}");
        assert_eq!(said["mechanism"], run["receipt"]["statement"]["predicate"]["facts"]["mechanism"], "as the receipt states it");
        assert_eq!(said["cost"], run["result"]["cost"]);
        let split = &said["split"];
        let all: f64 = split["columns"].as_array().unwrap().iter().map(|rho| rho.as_f64().unwrap()).sum();
        assert!((all + split["threshold"].as_f64().unwrap_or(0.0) - 0.1).abs() < 1e-9, "{split}");
        let (accepted, said) = verdict(&world, who, &[&[rows.as_str()], &against[..]].concat());
        assert!(!accepted && said["verdict"] == "reject", "{said}");
        assert!(refused.contains(said["reason"].as_str().unwrap()), "{said} is not {refused}");
    }
    assert_eq!(world.spent(), 100_000, "the one job that ran");
}

/// Releases drawn again and again have the spread that the receipt would state, around the true count; nothing is charged for them.
#[test]
fn sampled_releases_have_the_stated_spread() {
    let world = World::new();
    let (job, data, policy) = (world.count_job(), world.text("data.csv"), world.text("policy.toml"));
    let args = ["gate", "sample", &job, "--data", &data, "--policy", &policy, "--runs", "2000"];
    let lines = world.ok("auditor", &[&args[..], &["--json"]].concat());
    let counts: Vec<f64> = lines
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["rows"][0]["cells"][0]["value"].as_f64().unwrap())
        .collect();
    assert_eq!(counts.len(), 2000);
    let (_, said) = verdict(&world, "owner", &[&job]);
    let sigma = said["mechanism"]["columns"][0]["noise_scale"][0].as_f64().unwrap();
    let mean = counts.iter().sum::<f64>() / 2000.0;
    let deviation = (counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / 1999.0).sqrt();
    // Six standard errors: of the mean σ/√n, of the deviation σ/√(2n).
    assert!((mean - 120.0).abs() < 6.0 * sigma / 2000f64.sqrt(), "{mean}");
    assert!((deviation / sigma - 1.0).abs() < 6.0 / 4000f64.sqrt(), "{deviation} is not {sigma}");
    let shown = world.ok("auditor", &args);
    assert!(shown.contains("in 2000 of 2000") && shown.contains("noise"), "{shown}");
    assert_eq!(world.spent(), 0);
    let left: Vec<_> = std::fs::read_dir(world.path("auditor")).into_iter().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}
