//! Every access is an entry of the owner's log, made before it happens: grants, refusals, copies, parts of files, new versions.

use crate::common::{self, World};
use serde_json::Value;

/// What the owner's log says, in order.
fn entries(world: &World) -> Vec<Value> {
    let said = world.ok("owner", &["receipts", "list", "--json"]);
    said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["statement"]["predicate"].clone()).collect()
}

fn kinds(world: &World) -> Vec<String> {
    entries(world).iter().map(|entry| entry["entry"].as_str().unwrap().to_owned()).collect()
}

/// An auditor who remembers nothing, and one who goes on from what it saw before, find the same.
fn audited(world: &World, address: &str) -> Value {
    let report = world.audit(address);
    let anew: Value = serde_json::from_str(&world.ok("buyer", &["audit", "--peer", address, "--json", "--anew"])).unwrap();
    for field in ["entries", "intents", "outcomes", "refusals", "grants", "copies", "fetches", "findings", "spent"] {
        assert_eq!(report[field], anew[field], "{field}");
    }
    assert_eq!(anew["known"], 0);
    assert_eq!(report["findings"], Value::Array(vec![]), "{report}");
    report
}

#[test]
fn a_revoked_grant_is_good_for_nothing_from_then_on() {
    let world = World::new();
    let (job, grant) = (world.count_job(), world.text("grant"));
    let node = world.serve(None);
    world.ok("buyer", &world.run_args(&job, &node.address, &grant));
    audited(&world, &node.address);
    // Issued and revoked beside a running node, which has the ledger.
    let buyer = world.ok("buyer", &["id"]).trim().to_owned();
    let second = world.text("second");
    world.ok("owner", &["grant", "towns", "--to", &buyer, "--out", &second]);
    world.ok("owner", &["revoke", &grant]);
    let said = world.fails("buyer", &world.run_args(&job, &node.address, &grant));
    assert!(said.contains("revoked this grant"), "{said}");
    world.ok("buyer", &world.run_args(&job, &node.address, &second));
    let listed = world.ok("owner", &["grants"]);
    assert_eq!(listed.lines().map(|line| line.contains("revoked")).collect::<Vec<_>>(), [true, false], "{listed}");
    // Both name the dataset.
    assert!(listed.lines().all(|line| line.contains("  towns: compute for ")), "{listed}");
    let entries = world.ok("owner", &["receipts", "list"]);
    for word in ["published ", "granted ", "intent ", "released "] {
        assert!(entries.lines().any(|line| line.contains(word) && line.contains(" towns ")), "{word}: {entries}");
    }
    assert!(world.fails("owner", &["revoke", "ffff"]).contains("no grant"));
    let expected = ["publication", "grant", "intent", "outcome", "grant", "revocation", "intent", "outcome"];
    assert_eq!(kinds(&world), expected);
    let report = audited(&world, &node.address);
    assert_eq!((&report["known"], &report["entries"]), (&4.into(), &8.into()), "it went on from what it had seen");
    drop(node);
    // With others' tools: SQL here, Parquet for elsewhere.
    let query = "SELECT buyer, SUM(rho) AS rho, COUNT(*) AS jobs FROM receipts WHERE entry = 'intent' GROUP BY buyer";
    let out = world.text("spent.json");
    world.ok("owner", &["receipts", "sql", query, "--out", &out]);
    let line: Value = serde_json::from_str(std::fs::read_to_string(&out).unwrap().trim()).unwrap();
    assert_eq!((&line["buyer"], &line["jobs"]), (&buyer.into(), &2.into()));
    assert!((line["rho"].as_f64().unwrap() - 0.2).abs() < 1e-12, "{line}");
    let all = world.path("all.parquet");
    world.ok("owner", &["receipts", "sql", "--out", &all.display().to_string()]);
    let ends = world.ok("owner", &["receipts", "sql", "SELECT entry FROM receipts WHERE expires > '2026'"]);
    assert!(ends.contains("grant"), "a grant's end is a column: {ends}");
    let (schema, rows) = tidegate_fixtures::second::read_parquet(&all).unwrap();
    assert_eq!(rows.iter().map(|chunk| chunk.len()).sum::<usize>(), 8);
    assert!(schema.fields.iter().any(|f| f.name == "statement"));
    // It answers questions, and does nothing else.
    let stolen = world.path("stolen.csv");
    let copy = format!("COPY receipts TO '{}'", stolen.display());
    let table = format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{}'", world.text("policy.toml"));
    for (bad, why) in [("DROP TABLE receipts", "DDL"), (copy.as_str(), "DML"), (table.as_str(), "DDL")] {
        let said = world.fails("owner", &["receipts", "sql", bad]);
        assert!(said.contains(why), "{bad}: {said}");
    }
    assert!(!stolen.exists());
    let whole = world.ok("owner", &["log", "fsck"]);
    assert!(whole.contains("the log is complete and matches the ledger"), "{whole}");
}

#[test]
fn a_refused_job_is_an_entry_once_and_charges_nothing() {
    let world = World::new();
    let grant = world.text("grant");
    let node = world.serve(None);
    let rows = world.job("rows.toml", "rho = 0.1\n[sql]\nquery = \"SELECT spend FROM dataset\"\n");
    let dear = world.job("dear.toml", "rho = 0.95\n[sql]\nquery = \"SELECT COUNT(*) AS n FROM dataset\"\n");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().to_string();
    // The very same job twice, as a client does that tries again.
    let again = ["--request", "00112233445566778899aabbccddeeff", "--created", &now];
    let mut args = world.run_args(&rows, &node.address, &grant);
    args.extend(again);
    for _ in 0..2 {
        world.fails("buyer", &args);
    }
    world.fails("buyer", &world.run_args(&dear, &node.address, &grant));
    let all = entries(&world);
    let refusals: Vec<_> = all.iter().filter(|e| e["entry"] == "refusal").map(|e| e["outcome"].as_str().unwrap()).collect();
    assert_eq!(refusals[0], "refused-by-policy", "{all:?}");
    assert_eq!(refusals.len(), 2, "{all:?}");
    assert_eq!(world.spent(), 0);
    let report = audited(&world, &node.address);
    assert_eq!((&report["refusals"], &report["intents"]), (&2.into(), &0.into()));
}

#[test]
fn copies_and_the_parts_that_are_sent_are_entries_before_they_happen() {
    let world = World::new();
    let buyer = world.ok("buyer", &["id"]).trim().to_owned();
    let open = common::POLICY.replace("BUYER", &buyer).replace("replicate = \"nobody\"", "replicate = \"granted\"");
    std::fs::write(world.path("open.toml"), &open).unwrap();
    std::fs::write(world.path("open.csv"), "person,spend,city\n1,2,north\n2,3,south\n").unwrap();
    let (file, policy, copy, grant) = (world.text("open.csv"), world.text("open.toml"), world.text("copy"), world.text("both"));
    let publish = ["publish", &file, "--name", "shared", "--unit", "person", "--policy", &policy, "--json"];
    let first: Value = serde_json::from_str(&world.ok("owner", &publish)).unwrap();
    // A new version under another budget says what has changed.
    std::fs::write(world.path("open.toml"), open.replace("rho = 1.0", "rho = 1.5")).unwrap();
    let id = first["dataset"].as_str().unwrap();
    let mut next = publish.to_vec();
    next.extend(["--version-of", id]);
    world.ok("owner", &next);
    world.ok("owner", &["grant", "shared", "--to", &buyer, "--action", "replicate", "--out", &grant]);
    let node = world.serve(None);
    world.ok("buyer", &["fetch", "shared", "--to", &node.address, "--grant", &grant, "--out", &copy]);
    let all = entries(&world);
    let version = all.iter().rfind(|e| e["entry"] == "publication").unwrap();
    assert_eq!(version["changes"], serde_json::json!(["policy", "budget"]), "{version}");
    let copied = all.iter().find(|e| e["entry"] == "copy").unwrap();
    assert_eq!((&copied["peer"], &copied["manifest"]), (&Value::from(buyer.as_str()), &version["manifest"]));
    let sent: Vec<_> = all.iter().filter(|e| e["entry"] == "fetch").collect();
    assert!(!sent.is_empty() && sent.iter().all(|e| e["peer"] == buyer.as_str()), "{all:?}");
    assert!(sent.iter().any(|e| e["ranges"][0] == serde_json::json!([0, null])), "{sent:?}");
    let report = audited(&world, &node.address);
    // A client asks again before each file, since a long transfer may outlast a permission.
    assert!(report["copies"].as_u64() >= Some(1) && report["publications"] == 3, "{report}");
}

/// The log as one file: what it holds is found as in the folder, without unpacking, and so is every change of it.
#[test]
fn a_bundle_is_audited_as_the_folder_is() {
    let world = World::new();
    let node = world.serve(None);
    let (job, grant, out) = (world.count_job(), world.text("grant"), world.text("out"));
    let mut args = world.run_args(&job, &node.address, &grant);
    args.extend(["--out", &out]);
    world.ok("buyer", &args);
    let bundle = world.text("log.tar");
    // Beside the running node.
    world.ok("owner", &["log", "bundle", &bundle]);
    let read = |file: &str| -> Value { serde_json::from_str(&world.ok("buyer", &["audit", file, "--json", "--anew"])).unwrap() };
    let report = read(&bundle);
    assert_eq!((&report["entries"], &report["findings"]), (&4.into(), &Value::Array(vec![])), "{report}");
    // A buyer's folder with the log, packed by hand.
    world.ok("buyer", &["audit", "--peer", &node.address, "--keep", &out]);
    let by_hand = world.text("by-hand.tar");
    let packed = std::process::Command::new("tar").args(["-cf", &by_hand, "-C", &out, "."]).status().unwrap();
    assert!(packed.success());
    assert_eq!(read(&by_hand)["receipts"], 1);
    let good = std::fs::read(&bundle).unwrap();
    for file in ["owner/log/checkpoint", "owner/log/tile/entries/000.p/4"] {
        let bytes = std::fs::read(world.path(file)).unwrap();
        let start = good.windows(bytes.len()).position(|window| window == bytes).unwrap();
        for at in (0..bytes.len()).step_by(131) {
            let mut bad = good.clone();
            bad[start + at] ^= 1;
            std::fs::write(&bundle, &bad).unwrap();
            let said = world.fails("buyer", &["audit", &bundle, "--json", "--anew"]);
            assert!(!said.contains("panicked"), "byte {at} of {file}: {said}");
        }
    }
    for wrong in [&good[..700], b"", b"no archive at all"] {
        std::fs::write(&bundle, wrong).unwrap();
        world.fails("buyer", &["audit", &bundle, "--anew"]);
    }
}

/// Entries name nobody; buyers know themselves in them, caps hold all the same, and an auditor to whom the names were opened sees who is who.
#[test]
fn parties_are_named_by_commitments_where_the_policy_says_so() {
    let world = World::under("[receipts]\nparties = \"hidden\"");
    let (buyer, owner) = (world.ok("buyer", &["id"]).trim().to_owned(), world.ok("owner", &["id"]).trim().to_owned());
    let (job, grant) = (world.count_job(), world.text("grant"));
    let node = world.serve(None);
    let run = |more: &[&str]| {
        let mut args = world.run_args(&job, &node.address, &grant);
        args.extend(more);
        serde_json::from_str::<Value>(&world.ok("buyer", &args)).unwrap()
    };
    let first = run(&["--countersign"]);
    let party = first["receipt"]["statement"]["predicate"]["facts"]["buyer"].as_str().unwrap().to_owned();
    assert!(party.starts_with("sha256:"), "{first}");
    // The same party in all of the log.
    assert_eq!(run(&[])["receipt"]["statement"]["predicate"]["facts"]["buyer"], party.as_str());
    let over = world.job("over.toml", "rho = 0.8\n[sql]\nquery = \"SELECT COUNT(*) AS n FROM dataset\"\n");
    assert!(world.fails("buyer", &world.run_args(&over, &node.address, &grant)).contains("over budget"));
    for entry in entries(&world) {
        assert!(!entry.to_string().contains(&buyer), "{entry}");
    }
    let report = audited(&world, &node.address);
    assert_eq!((&report["countersigned"], &report["refusals"]), (&1.into(), &1.into()), "{report}");
    // Opened to an auditor.
    let opened = world.ok("owner", &["receipts", "parties"]);
    let names = world.text("names");
    std::fs::write(&names, &opened).unwrap();
    let audit = |who: &str| world.ok(who, &["audit", "--peer", &node.address, "--anew", "--parties", &names]);
    assert!(audit("buyer").contains(&buyer), "{opened}");
    // Another's key opens none of them.
    std::fs::write(&names, opened.replace(&buyer, &owner)).unwrap();
    let said = world.fails("buyer", &["audit", "--peer", &node.address, "--anew", "--parties", &names]);
    assert!(said.contains("does not match this name"), "{said}");
    drop(node);
    // Without what the names come from a buyer would have a new one, and a cap anew.
    std::fs::rename(world.path("owner/party-salts"), world.path("kept")).unwrap();
    let said = world.fails("owner", &["grant", "towns", "--to", &buyer]);
    assert!(said.contains("caps would be counted anew"), "{said}");
    world.fails("owner", &["serve"]);
    std::fs::rename(world.path("kept"), world.path("owner/party-salts")).unwrap();
    // Versions of one dataset name parties alike: else a buyer would have a cap under each name.
    let policy = std::fs::read_to_string(world.path("policy.toml")).unwrap();
    std::fs::write(world.path("policy.toml"), policy.replace("parties = \"hidden\"", "")).unwrap();
    let dataset = first["receipt"]["statement"]["predicate"]["facts"]["dataset"].as_str().unwrap().to_owned();
    let (file, policy) = (world.text("data.csv"), world.text("policy.toml"));
    let publish = ["publish", &file, "--name", "towns", "--unit", "person", "--policy", &policy, "--version-of", &dataset];
    assert!(world.fails("owner", &publish).contains("receipts.parties"));
}
