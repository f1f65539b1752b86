//! Buyers, good and bad, against a real owner's process.

use crate::common;
use crate::common::World;

/// The result is right to within its stated noise, and a retry returns the same bytes at no further charge.
#[test]
fn a_job_returns_a_verified_noised_aggregate_and_a_retry_the_same_bytes() {
    let world = World::new();
    let node = world.serve(None);
    let (job, grant, out) = (world.count_job(), world.text("grant"), world.text("out"));
    let mut args = world.run_args(&job, &node.address, &grant);
    args.extend(["--request", "ffffffffffffffffffffffffffffffff", "--out", &out]);
    let value: serde_json::Value = serde_json::from_str(&world.ok("buyer", &args)).unwrap();
    let cell = &value["result"]["rows"][0]["cells"][0];
    let count = cell["value"].as_f64().unwrap();
    // Two rows a person, Δ = 2, ρ = 0.05 a column: σ = 2/√0.1 ≈ 6.3. Eight σ is never seen.
    assert!((count - 120.0).abs() < 8.0 * 6.4, "{count}");
    // Another body under the same request id.
    let other = world.job("other.toml", "rho = 0.1\n[sql]\nquery = \"SELECT COUNT(*) FROM dataset WHERE spend > 3\"\n");
    let mut args = world.run_args(&other, &node.address, &grant);
    args.extend(["--request", "ffffffffffffffffffffffffffffffff"]);
    assert!(world.fails("buyer", &args).contains("conflict"));
    assert_eq!(world.spent(), 100_000);
    // What was kept satisfies an auditor who has nothing else, and not once a byte is changed.
    world.ok("buyer", &["audit", "--peer", &node.address, "--keep", &out]);
    world.ok("buyer", &["audit", &out]);
    for file in ["results/count.json", "receipts/count.dsse.json", "receipts/count.tlog-proof", "log/checkpoint"] {
        let path = world.path("out").join(file);
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        std::fs::write(&path, bad).unwrap();
        assert!(world.fails("buyer", &["audit", &out]).contains("verification failed"), "{file}");
        std::fs::write(&path, good).unwrap();
    }
}

#[test]
fn who_has_no_right_gets_nothing_and_nothing_is_charged() {
    let world = World::new();
    let node = world.serve(None);
    world.ok("thief", &["init"]);
    let (job, grant) = (world.count_job(), world.text("grant"));
    let args = world.run_args(&job, &node.address, &grant);
    assert!(world.fails("thief", &args).contains("not granted"), "another's grant");
    assert!(world.fails("buyer", &["run", &job, "--to", &node.address]).contains("the request has no grant"));
    let out = world.text("stolen");
    let said = world.fails("buyer", &["fetch", "towns", "--to", &node.address, "--grant", &grant, "--out", &out]);
    assert!(said.contains("allows nobody to replicate"), "{said}");
    assert!(!common::exists(&world.path("stolen/data.csv")));
    for (body, word) in [
        ("rho = 0.95\n[sql]\nquery = \"SELECT COUNT(*) FROM dataset\"\n", "over budget"),
        ("rho = 0.1\n[sql]\nquery = \"SELECT spend FROM dataset\"\n", "Only aggregates leave"),
        ("rho = 0.1\n[sql]\nquery = \"SELECT COUNT(*) FROM dataset WHERE person = 3\"\n", "privacy unit"),
        ("rho = 0\n[sql]\nquery = \"SELECT COUNT(*) FROM dataset\"\n", "must be positive"),
    ] {
        let job = world.job("bad.toml", body);
        let said = world.fails("buyer", &world.run_args(&job, &node.address, &grant));
        assert!(said.contains(word), "{body}: {said}");
    }
    assert_eq!(world.spent(), 0);
    let report = world.audit(&node.address);
    assert_eq!(report["intents"], 0);
}

/// A new version shares the budget of the old one; the same people cannot be published under a fresh one.
#[test]
fn a_new_version_has_no_fresh_budget() {
    let world = World::new();
    let (job, grant) =
        (world.job("big.toml", "rho = 0.6\n[sql]\nquery = \"SELECT COUNT(*) FROM dataset\"\n"), world.text("grant"));
    {
        let node = world.serve(None);
        world.ok("buyer", &world.run_args(&job, &node.address, &grant));
    }
    let mut csv = std::fs::read_to_string(world.path("data.csv")).unwrap();
    csv.push_str("60,1,north\n");
    std::fs::write(world.path("data2.csv"), csv).unwrap();
    let (file, policy) = (world.text("data2.csv"), world.text("policy.toml"));
    let args = ["publish", &file, "--unit", "person", "--policy", &policy, "--name", "towns"];
    assert!(world.fails("owner", &args).contains("--version-of"));
    let old = world.text("data.csv");
    let args = ["publish", &old, "--unit", "person", "--policy", &policy, "--name", "renamed"];
    assert!(world.fails("owner", &args).contains("protects the same people"));
    let datasets = std::fs::read_dir(world.path("owner/datasets")).unwrap();
    let id = datasets
        .filter_map(|e| e.unwrap().file_name().to_str().unwrap().strip_suffix(".json").map(str::to_owned))
        .next()
        .unwrap();
    world.publish("data2.csv", &["--name", "towns", "--version-of", &id]);
    let node = world.serve(None);
    let said = world.fails("buyer", &world.run_args(&job, &node.address, &grant));
    assert!(said.contains("over budget") && said.contains("ρ = 0.4"), "{said}");
}

/// A buyer who hangs up loses nothing: the job goes on, and the same request is answered later.
#[test]
fn a_buyer_who_hangs_up_finds_the_result_later() {
    let world = World::new();
    let node = world.serve(None);
    let (job, grant) = (world.count_job(), world.text("grant"));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().to_string();
    let mut args = world.run_args(&job, &node.address, &grant);
    args.extend(["--request", "abababababababababababababababab", "--created", &now]);
    let mut child = world.command("buyer").args(&args).stdout(std::process::Stdio::null()).spawn().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while world.spent() == 0 && child.try_wait().unwrap().is_none() && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    world.ok("buyer", &args);
    assert_eq!(world.spent(), 100_000);
    let report = world.audit(&node.address);
    assert_eq!((&report["intents"], &report["outcomes"]), (&1.into(), &1.into()));
}
