//! Receipts run again by an auditor who has the rows: same sums, or caught.

use serde_json::Value;

use crate::common::{self, POLICY, Serving, World, runtime_is_here};

const QUERIES: [&str; 5] = [
    // Nobody declared the cities: κ, ℓ and τ choose.
    "SELECT city, COUNT(*) AS n, SUM(spend) AS s, COUNT(DISTINCT person) AS people FROM dataset GROUP BY city",
    "SELECT APPROX_PERCENTILE_CONT(spend, 0.5) AS middle FROM dataset WHERE spend > 3",
    "SELECT COUNT(*) AS n, AVG(spend) AS mean FROM dataset",
    // What is computed from released numbers is no part of what is summed.
    "WITH t AS (SELECT city, COUNT(*) AS n FROM dataset GROUP BY city) SELECT city, n / SUM(n) OVER () AS share FROM t UNION ALL SELECT 'all', SUM(n) FROM t",
    // The name is the manifest's, there as here.
    "SELECT COUNT(p.spend) AS n, AVG(people.spend) AS mean FROM people JOIN people p ON people.person = p.person",
];

/// Rows in an order that the owner's node does not run them in, more of each person than count.
fn rows() -> String {
    let row =
        |i: u32| format!("{},{}.25,{}\n", (i * 7) % 50, (i * 13) % 90, ["north", "south", "east", "west"][(i % 4) as usize]);
    format!("person,spend,city\n{}", (0..400).map(row).collect::<String>())
}

/// An owner whose receipts may be replayed, a buyer, and an auditor who has the rows and a grant.
fn world(access: &str) -> World {
    let world = World::new();
    let (buyer, auditor) = (world.ok("buyer", &["id"]).trim().to_owned(), world.ok("auditor", &["init"]).trim().to_owned());
    let policy = POLICY.replace("BUYER", &buyer).replace("replicate = \"nobody\"", &format!("replicate = \"nobody\"\n{access}"));
    let policy = policy.replace("rho = 1.0", "rho = 9.0").replace("per_buyer_rho = 0.9", "per_buyer_rho = 8.0");
    let exact = "[reviewed]\njobs = 9\nmin_units = 3\ndominance = { units = 2, percent = 90 }\np_percent = 5\nround_to = 1\n";
    // Names that are commitments are in nobody's way.
    let exact = format!("[receipts]\nparties = \"hidden\"\n{exact}");
    std::fs::write(world.path("policy.toml"), policy.replace("[access]", &format!("{exact}[access]"))).unwrap();
    std::fs::create_dir(world.path("rows")).unwrap();
    std::fs::write(world.path("rows/people.csv"), rows()).unwrap();
    world.publish("rows/people.csv", &["--name", "people"]);
    world.ok("owner", &["grant", "people", "--to", &buyer, "--rho", "9", "--out", &world.text("to-buyer")]);
    world.ok("owner", &["grant", "people", "--to", &auditor, "--action", "replay", "--out", &world.text("to-auditor")]);
    world
}

/// The receipt's entry, of a job that is run.
fn run(world: &World, node: &Serving, name: &str, body: &str) -> String {
    std::fs::write(world.path(name), format!("dataset = \"people\"\n{body}")).unwrap();
    let (job, grant) = (world.text(name), world.text("to-buyer"));
    let said = world.ok("buyer", &world.run_args(&job, &node.address, &grant));
    serde_json::from_str::<Value>(&said).unwrap()["receipt"]["index"].to_string()
}

fn arguments(world: &World, node: &Serving, entry: &str, more: &[&str]) -> Vec<String> {
    let (grant, data) = (world.text("to-auditor"), world.text("rows"));
    let fixed = ["replay", entry, "--to", &node.address, "--grant", &grant, "--data", &data, "--json"];
    fixed.iter().chain(more).map(ToString::to_string).collect()
}

fn replay(world: &World, node: &Serving, entry: &str) -> Value {
    let args = arguments(world, node, entry, &[]);
    let output = world.try_run("auditor", &args.iter().map(String::as_str).collect::<Vec<_>>());
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", common::text(&output)));
    assert_eq!(output.status.success(), said["verdict"] != "different", "{said}");
    said
}

fn refused(world: &World, node: &Serving, entry: &str, more: &[&str]) -> String {
    let args = arguments(world, node, entry, more);
    world.fails("auditor", &args.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn every_kind_of_job_comes_to_the_same_sums_again() {
    let world = world("replay = \"granted\"");
    for guest in ["heavy", "moments"] {
        std::fs::write(world.path(&format!("{guest}.wasm")), tidegate_fixtures::guest(guest).unwrap()).unwrap();
    }
    std::fs::copy(tidegate_fixtures::path("models/heavy_user.onnx"), world.path("model.onnx")).unwrap();
    let output = |name: &str, lo: &str, hi: &str| {
        format!("{{ name = \"{name}\", lo = {lo}, hi = {hi}, reducer = \"mean\", default = 0 }}")
    };
    let node = world.serve(None);
    let mut jobs: Vec<String> = QUERIES.iter().map(|query| format!("rho = 0.2\n[sql]\nquery = \"{query}\"\n")).collect();
    jobs.push(format!("{}keys = [[\"north\"], [\"nowhere\"]]\n", jobs[0]));
    jobs.push(format!(
        "rho = 0.1\n[wasm]\nmodule = \"heavy.wasm\"\nselect = \"SELECT spend FROM dataset\"\noutputs = [{}, {}]\n",
        output("a", "0", "1"),
        output("b", "0", "1"),
    ));
    jobs.push(format!(
        "rho = 0.1\n[wasm]\nmodule = \"moments.wasm\"\nselect = \"SELECT spend * 1.0 AS once, spend * 2.0 AS twice FROM dataset\"\nparams = \"plain \
         1\"\nsplit = {{ blocks = 20 }}\noutputs = [{}, {}, {}]\n",
        output("mean", "0", "100"),
        output("variance", "0", "1000"),
        output("covariance", "0", "1000"),
    ));
    // Each call has so little of the slot that it runs out of fuel, there as here: blocks that did are the default.
    jobs.push(format!(
        "rho = 0.1\n[wasm]\nmodule = \"moments.wasm\"\nselect = \"SELECT spend * 1.0 AS once, spend * 2.0 AS twice FROM dataset\"\nparams = \"plain \
         4000000\"\nsplit = {{ blocks = 200 }}\noutputs = [{}, {}, {}]\n",
        output("mean", "0", "100"),
        output("variance", "0", "1000"),
        output("covariance", "0", "1000"),
    ));
    if runtime_is_here() {
        let outputs = "outputs = [{ name = \"risk\", lo = 0, hi = 1, reducer = \"sum\", default = 0 }]";
        jobs.push(format!(
            "rho = 0.1\n[onnx]\nmodel = \"model.onnx\"\nselect = \"SELECT spend, spend + 1, spend + 2, spend + 3, spend + 4 FROM dataset\"\noutput = \
             \"score\"\nreduce = \"max\"\n{outputs}\n"
        ));
    }
    let mut commitments = std::collections::BTreeSet::new();
    for (i, body) in jobs.iter().enumerate() {
        let entry = run(&world, &node, &format!("{i}.toml"), body);
        let said = replay(&world, &node, &entry);
        assert_eq!((&said["verdict"], &said["made"]), (&"same".into(), &said["committed"]), "{body}: {said}");
        // The same question again: the same sums, which nobody can see from outside.
        let again = run(&world, &node, &format!("{i}.toml"), body);
        assert_eq!(replay(&world, &node, &again)["verdict"], "same");
        for said in [said, replay(&world, &node, &again)] {
            assert!(commitments.insert(said["committed"].to_string()), "two receipts commit alike: {body}");
        }
    }
    // An exact result, which the owner approved.
    let exact = "mode = \"reviewed\"\n[sql]\nquery = \"SELECT city, SUM(spend) AS s FROM dataset GROUP BY city\"\n";
    std::fs::write(world.path("exact.toml"), format!("dataset = \"people\"\n{exact}")).unwrap();
    let (job, grant) = (world.text("exact.toml"), world.text("to-buyer"));
    let waits = world.fails("buyer", &world.run_args(&job, &node.address, &grant));
    let again: Vec<_> = waits.split_once("--request ").unwrap().1.split([' ', ':', '\n']).collect();
    let waiting: Value = serde_json::from_str(world.ok("owner", &["pending", "--json"]).trim()).unwrap();
    world.ok("owner", &["approve", waiting["job"].as_str().unwrap()]);
    let mut args = world.run_args(&job, &node.address, &grant);
    args.extend(["--request", again[0], "--created", again[2]]);
    let said: Value = serde_json::from_str(&world.ok("buyer", &args)).unwrap();
    assert_eq!(replay(&world, &node, &said["receipt"]["index"].to_string())["verdict"], "same", "{said}");

    // The log says what was opened to whom, and holds.
    let report = world.audit(&node.address);
    assert!(report["findings"].as_array().unwrap().is_empty(), "{report}");
    assert!(report["replays"].as_u64().unwrap() > 2 * jobs.len() as u64, "{report}");
}

#[test]
fn only_those_who_may_learn_what_the_sums_were() {
    let world = world("replay = \"granted\"");
    let node = world.serve(None);
    let body = format!("rho = 0.2\n[sql]\nquery = \"{}\"\n", QUERIES[2]);
    let entry = run(&world, &node, "job.toml", &body);
    let with = |grant: &str| {
        let (grant, data) = (world.text(grant), world.text("rows"));
        world.fails("buyer", &["replay", &entry, "--to", &node.address, "--grant", &grant, "--data", &data])
    };
    assert!(with("to-buyer").contains("the grant allows compute, and not replay"), "a grant to compute is none to replay");
    assert!(with("to-auditor").contains("and the request is from"), "the grant is the auditor's");
    for (entry, why) in [("0", "is not the receipt of a result"), ("999999", "does not exist yet")] {
        let said = refused(&world, &node, entry, &[]);
        assert!(said.contains(why), "{said}");
    }
    // Another receipt than the one at hand.
    let other = run(&world, &node, "job.toml", &body);
    let out = world.text("out");
    let (job, grant) = (world.text("job.toml"), world.text("to-buyer"));
    let mut args = world.run_args(&job, &node.address, &grant);
    args.extend(["--out", &out]);
    world.ok("buyer", &args);
    let receipts = std::fs::read_dir(world.path("out/receipts")).unwrap();
    let held = receipts.map(|f| f.unwrap().path()).find(|p| p.to_string_lossy().ends_with(".dsse.json")).unwrap();
    let said = refused(&world, &node, &other, &["--receipt", held.to_str().unwrap()]);
    assert!(said.contains("another entry than this receipt"), "{said}");
    // Other rows than were published.
    std::fs::write(world.path("rows/people.csv"), rows().replace("49,", "48,")).unwrap();
    let said = refused(&world, &node, &entry, &[]);
    assert!(said.contains("differs from the published file"), "{said}");
    std::fs::remove_file(world.path("rows/people.csv")).unwrap();
    let said = refused(&world, &node, &entry, &[]);
    assert!(said.contains("tidegate fetch"), "{said}");
    // Once it is revoked.
    std::fs::write(world.path("rows/people.csv"), rows()).unwrap();
    world.ok("owner", &["revoke", &world.text("to-auditor")]);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !refused_or_same(&world, &node, &entry).contains("revoked") {
        assert!(std::time::Instant::now() < deadline);
    }
}

fn refused_or_same(world: &World, node: &Serving, entry: &str) -> String {
    let args = arguments(world, node, entry, &[]);
    common::text(&world.try_run("auditor", &args.iter().map(String::as_str).collect::<Vec<_>>()))
}

#[test]
fn a_policy_that_says_nothing_lets_nobody_replay() {
    let world = world("");
    let node = world.serve(None);
    let entry = run(&world, &node, "job.toml", &format!("rho = 0.2\n[sql]\nquery = \"{}\"\n", QUERIES[2]));
    let said = refused(&world, &node, &entry, &[]);
    assert!(said.contains("allows nobody to replay"), "{said}");
    assert_eq!(world.audit(&node.address)["replays"], 0);
}

/// An owner who noises something else than what the rows come to is caught, and one whose worker failed is told from it.
#[test]
fn other_sums_and_defaults_are_seen() {
    for (fault, verdict) in [("other-sums", "different"), ("worker-breaks", "public-default")] {
        let world = world("replay = \"granted\"");
        std::fs::write(world.path("moments.wasm"), tidegate_fixtures::guest("moments").unwrap()).unwrap();
        let output = |name: &str| format!("{{ name = \"{name}\", lo = 0, hi = 1000, reducer = \"mean\", default = 7 }}");
        let blocks = format!(
            "rho = 0.1\n[wasm]\nmodule = \"moments.wasm\"\nselect = \"SELECT spend * 1.0 AS once, spend * 2.0 AS twice FROM dataset\"\nparams = \
             \"plain 1\"\nsplit = {{ blocks = 20 }}\noutputs = [{}, {}, {}]\n",
            output("a"),
            output("b"),
            output("c")
        );
        let node = world.serve(Some(fault));
        let entry = run(&world, &node, "blocks.toml", &blocks);
        let said = replay(&world, &node, &entry);
        assert_eq!(said["verdict"], verdict, "{said}");
    }
}
