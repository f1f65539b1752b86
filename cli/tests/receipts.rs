//! What entries say: all kinds fit the published schema, and nothing in them depends on a row.

use std::path::Path;

use crate::common::{self, World};
use serde_json::Value;

fn statements(world: &World) -> Vec<Value> {
    statements_of(world, "owner")
}

fn statements_of(world: &World, who: &str) -> Vec<Value> {
    let said = world.ok(who, &["receipts", "list", "--json"]);
    said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["statement"].take()).collect()
}

const REVIEWED: &str =
    "[reviewed]\njobs = 2\nmin_units = 10\ndominance = { units = 2, percent = 85 }\np_percent = 10\nround_to = 5\n";

#[test]
fn every_kind_of_entry_fits_the_published_schema_and_nothing_else_does() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/receipts.schema.json");
    let schema: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("https://tidegate.dev/receipts.schema.json", schema.clone()).unwrap();
    let compiled = compiler.compile("https://tidegate.dev/receipts.schema.json", &mut schemas).unwrap();

    let world = World::new();
    let buyer = world.ok("buyer", &["id"]).trim().to_owned();
    let open = common::POLICY
        .replace("BUYER", &buyer)
        .replace("replicate = \"nobody\"", "replicate = \"granted\"\nreplay = \"granted\"\nhold = \"granted\"");
    std::fs::write(world.path("open.toml"), open.replace("[access]", &format!("{REVIEWED}[access]"))).unwrap();
    let (file, policy, copy, grant) = (world.text("data2.csv"), world.text("open.toml"), world.text("copy"), world.text("all"));
    std::fs::write(&file, std::fs::read_to_string(world.path("data.csv")).unwrap() + "70,3,north\n").unwrap();
    let publish = ["publish", &file, "--name", "open", "--unit", "person", "--policy", &policy, "--json"];
    let first: Value = serde_json::from_str(&world.ok("owner", &publish)).unwrap();
    let mut next = publish.to_vec();
    next.extend(["--version-of", first["dataset"].as_str().unwrap()]);
    world.ok("owner", &next);
    world.ok("owner", &["grant", "open", "--to", &buyer, "--action", "compute,replicate,replay", "--out", &grant]);
    let node = world.serve(None);
    let job = |name: &str, body: &str| {
        std::fs::write(world.path(name), format!("dataset = \"open\"\n{body}")).unwrap();
        world.text(name)
    };
    let plain = job("plain.toml", "rho = 0.1\n[sql]\nquery = \"SELECT city, COUNT(*) AS n FROM dataset GROUP BY city\"\n");
    let mut args = world.run_args(&plain, &node.address, &grant);
    args.push("--countersign");
    let said: Value = serde_json::from_str(&world.ok("buyer", &args)).unwrap();
    assert_eq!(said["countersigned"].as_u64(), said["receipt"]["index"].as_u64().map(|index| index + 1));
    let receipt = said["receipt"]["index"].to_string();
    let refused = job("refused.toml", "rho = 0.1\n[sql]\nquery = \"SELECT spend FROM dataset\"\n");
    world.fails("buyer", &world.run_args(&refused, &node.address, &grant));
    let listed = world.ok("owner", &["receipts", "list"]);
    assert!(listed.lines().any(|line| line.contains("refused ") && line.ends_with(", by the policy")), "{listed}");
    let exact = job("exact.toml", "mode = \"reviewed\"\n[sql]\nquery = \"SELECT COUNT(DISTINCT person) AS n FROM dataset\"\n");
    world.fails("buyer", &world.run_args(&exact, &node.address, &grant));
    let waiting: Value = serde_json::from_str(world.ok("owner", &["pending", "--json"]).trim()).unwrap();
    world.ok("owner", &["approve", waiting["job"].as_str().unwrap()]);
    world.ok("buyer", &["fetch", "open", "--to", &node.address, "--grant", &grant, "--out", &copy]);
    std::fs::rename(world.path("copy/data2.csv"), world.path("data2.csv")).unwrap();
    world.ok("buyer", &["replay", &receipt, "--to", &node.address, "--grant", &grant, "--data", &world.text("")]);
    // A part of the budget goes to another, who spends of it and gives the rest back.
    let (holder, holds) = (world.ok("holder", &["init"]).trim().to_owned(), world.text("holds"));
    world.ok("owner", &["grant", "open", "--to", &holder, "--action", "hold", "--rho", "0.2", "--out", &holds]);
    let (to, folder) = (&node.address, world.text(""));
    world.ok("holder", &["hold", "begin", "open", "--to", to, "--grant", &holds, "--data", &folder, "--rho", "0.2"]);
    let holding = world.serve_by("holder", &[]);
    let args = world.run_args(&plain, &holding.address, &grant);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !world.try_run("buyer", &args).status.success() {
        assert!(std::time::Instant::now() < until, "no lease came");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(std::process::Command::new("kill").args(["-TERM", &holding.pid().to_string()]).status().unwrap().success());
    assert!(holding.wait().success());
    world.ok("owner", &["revoke", &grant]);
    world.ok("owner", &["retire", "towns", "--all"]);

    assert_eq!(world.audit(&node.address)["countersigned"], 1);
    let mut kinds = std::collections::BTreeSet::new();
    for statement in statements(&world).into_iter().chain(statements_of(&world, "holder")) {
        if let Err(e) = schemas.validate(&statement, compiled) {
            panic!("{e:#}\n{statement}");
        }
        kinds.insert(statement["predicateType"].as_str().unwrap().to_owned());
        // A field more, a field less, a version more: each is another thing than the schema describes.
        let fields: Vec<_> = statement["predicate"].as_object().unwrap().keys().cloned().collect();
        let optional = [
            "columns",
            "policy_newest",
            "versions",
            "previous",
            "changes",
            "approval",
            "inference",
            "owner",
            "settlement",
            "signature",
            "lease",
        ];
        for field in fields.iter().filter(|field| !optional.contains(&field.as_str())) {
            let mut less = statement.clone();
            less["predicate"].as_object_mut().unwrap().remove(field);
            assert!(schemas.validate(&less, compiled).is_err(), "without {field}");
        }
        let mut more = statement.clone();
        more["predicate"]["rows"] = 60.into();
        assert!(schemas.validate(&more, compiled).is_err());
        let mut newer = statement.clone();
        newer["predicateType"] = statement["predicateType"].as_str().unwrap().replace("/v1", "/v2").into();
        assert!(schemas.validate(&newer, compiled).is_err());
    }
    let all: Vec<_> =
        schema["oneOf"].as_array().unwrap().iter().map(|one| &one["properties"]["predicateType"]["const"]).collect();
    let missing: Vec<_> = all.iter().filter(|kind| !kinds.contains(kind.as_str().unwrap())).collect();
    assert!(missing.is_empty(), "{missing:?} of {kinds:?}");
}

/// What a receipt says of a job on data with and without one person, who is an outlier in every way.
fn entries_on(data: &str, keys: &World) -> Vec<Value> {
    let world = World { dir: tempfile::tempdir().unwrap() };
    // The same parties: what differs is the data's.
    for who in ["owner", "buyer"] {
        std::fs::create_dir(world.path(who)).unwrap();
        std::fs::copy(keys.path(&format!("{who}/key")), world.path(&format!("{who}/key"))).unwrap();
    }
    let buyer = world.ok("buyer", &["id"]).trim().to_owned();
    std::fs::write(
        world.path("policy.toml"),
        common::POLICY.replace("BUYER", &buyer).replace("slot = \"8s\"", "slot = \"1500ms\""),
    )
    .unwrap();
    std::fs::write(world.path("data.csv"), data).unwrap();
    world.publish("data.csv", &["--name", "towns"]);
    world.ok("owner", &["grant", "towns", "--to", &buyer, "--out", &world.text("grant")]);
    std::fs::write(world.path("heavy.wasm"), tidegate_fixtures::guest("heavy").unwrap()).unwrap();
    let output = |name: &str| format!("{{ name = \"{name}\", lo = 0, hi = 1, reducer = \"mean\", default = 0 }}");
    let jobs = [
        "rho = 0.1\n[sql]\nquery = \"SELECT city, COUNT(*) AS n, SUM(spend) AS s FROM dataset GROUP BY city\"\n".to_owned(),
        "rho = 0.1\n[sql]\nquery = \"SELECT COUNT(*) AS n FROM dataset WHERE 100 / spend > 3\"\n".to_owned(),
        format!(
            "rho = 0.1\n[wasm]\nmodule = \"heavy.wasm\"\nselect = \"SELECT spend FROM dataset\"\noutputs = [{}, {}]\n",
            output("a"),
            output("b")
        ),
    ];
    let (node, grant) = (world.serve(None), world.text("grant"));
    for (i, body) in jobs.iter().enumerate() {
        let job = world.job(&format!("{i}.toml"), body);
        world.ok("buyer", &world.run_args(&job, &node.address, &grant));
    }
    drop(node);
    statements(&world)
}

/// The names of fields at which two values differ, or that one of them lacks.
fn differences(one: &Value, other: &Value, at: &str, found: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().for_each(|(key, value)| differences(value, &b[key], &format!("{at}.{key}"), found));
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).for_each(|(a, b)| differences(a, b, at, found));
        }
        _ if one == other => {}
        // The same length: not even that tells.
        (Value::String(a), Value::String(b)) if a.len() == b.len() || at.contains("slot") || at.contains("expires") => {
            found.push(at.into())
        }
        _ => found.push(format!("{at} in length or kind: {one} {other}")),
    }
}

#[test]
fn receipts_of_neighbouring_data_differ_in_the_data_s_hash_and_in_time_alone() {
    let keys = World::new();
    let mut data = String::from("person,spend,city\n");
    for person in 0..60 {
        data.push_str(&format!("{person},{},north\n{person},{},south\n", person % 50, person % 7));
    }
    let with = data.clone() + "99,9000000000000000,nowhere\n99,0,elsewhere\n99,-5,north\n";
    let (one, other) = (entries_on(&data, &keys), entries_on(&with, &keys));
    assert_eq!(one.len(), other.len());
    let mut found = Vec::new();
    for (one, other) in one.iter().zip(&other) {
        differences(one, other, "", &mut found);
    }
    found.sort();
    found.dedup();
    // Ids are hashes of signed documents, of which the first is the manifest with the content's hash; results are noised.
    let hashes = [
        ".predicate.buyer_signature",
        // Salted with a secret of the owner's for each job: the same rows asked twice commit differently too (`replay.rs`).
        ".predicate.commitment",
        ".predicate.dataset",
        ".predicate.dataset_sha256",
        ".predicate.scope.expires",
        ".predicate.facts.buyer_signature",
        ".predicate.facts.dataset",
        ".predicate.facts.dataset_sha256",
        ".predicate.facts.grant",
        ".predicate.facts.grant_ids",
        ".predicate.facts.job",
        ".predicate.facts.ledger.job",
        ".predicate.facts.ledger.population",
        ".predicate.facts.ledger.previous",
        ".predicate.facts.slot_end",
        ".predicate.facts.slot_start",
        ".predicate.grant",
        ".predicate.grant_ids",
        ".predicate.job",
        ".predicate.ledger.job",
        ".predicate.ledger.population",
        ".predicate.ledger.previous",
        ".predicate.manifest",
        ".predicate.population",
        ".predicate.slot_end",
        ".predicate.slot_start",
        ".subject.digest.sha256",
        ".subject.name",
    ];
    let others: Vec<_> = found.iter().filter(|field| !hashes.contains(&field.as_str())).collect();
    assert!(others.is_empty(), "{others:#?}");
    assert!(found.iter().any(|f| f == ".predicate.dataset"), "the data did not differ: the test proves nothing");
}
