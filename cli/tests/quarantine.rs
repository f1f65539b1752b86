//! What broke a worker is not run again, and nobody but the owner can tell.

use crate::common;
use crate::common::{Serving, World};

/// Asks for a sum that is 1444, at a deviation of 14: whether it or nothing was released is plain.
fn ask(world: &World, node: &Serving, query: &str) -> (f64, serde_json::Value) {
    ask_as("buyer", world, node, query)
}

fn ask_as(who: &str, world: &World, node: &Serving, query: &str) -> (f64, serde_json::Value) {
    let path = world.path("sum.toml");
    std::fs::write(&path, format!("dataset = \"dear\"\nrho = 100\n[sql]\nquery = \"{query}\"\n")).unwrap();
    let (job, grant) = (path.display().to_string(), world.text(&format!("{who} pass")));
    let said: serde_json::Value = serde_json::from_str(&world.ok(who, &world.run_args(&job, &node.address, &grant))).unwrap();
    (said["result"]["rows"][0]["cells"][0]["value"].as_f64().unwrap(), said["receipt"]["statement"]["predicate"].clone())
}

#[test]
fn what_broke_a_worker_gives_noise_until_the_owner_lifts_it() {
    let world = World::new();
    let buyer = world.ok("buyer", &["id"]).split_whitespace().find(|w| w.starts_with("did:key:")).unwrap().to_owned();
    let policy = common::POLICY.replace("BUYER", &buyer).replace("rho = 1.0", "rho = 900").replace("_rho = 0.9", "_rho = 900");
    std::fs::write(world.path("dear.toml"), policy).unwrap();
    // A row more, of nothing: the same files would be the same people.
    std::fs::write(world.path("own.csv"), std::fs::read_to_string(world.path("data.csv")).unwrap() + "99,0,north\n").unwrap();
    let (file, policy, pass) = (world.text("own.csv"), world.text("dear.toml"), world.text("buyer pass"));
    world.ok("owner", &["publish", &file, "--name", "dear", "--unit", "person", "--policy", &policy]);
    world.ok("owner", &["grant", "dear", "--to", &buyer, "--rho", "100", "--out", &pass]);
    let (rival, pass) = (world.ok("rival", &["init"]).trim().to_owned(), world.text("rival pass"));
    world.ok("owner", &["grant", "dear", "--to", &rival, "--rho", "100", "--out", &pass]);
    let is = |value: f64, truth: f64| assert!((value - truth).abs() < 140.0, "{value} is not {truth}");

    let node = world.serve(Some("worker-breaks"));
    let (value, broken) = ask(&world, &node, "SELECT SUM(spend) AS s FROM dataset WHERE spend >= 0");
    is(value, 0.0);
    drop(node);
    let listed = world.ok("owner", &["quarantine", "list", "--json"]);
    let listed: Vec<serde_json::Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [listed, counted] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!(listed["pattern"], "select sum ( spend ) as s from dataset where spend >= ?");
    assert!(listed["why"].as_str().unwrap().contains("broken by a test"), "{listed}");

    // The worker is well again. What broke it is not run, whatever its literals; other queries are.
    let node = world.serve(None);
    let (value, quarantined) = ask(&world, &node, "select sum(spend) as s from dataset where spend >= -1");
    is(value, 0.0);
    // Who knows how to break a worker spoils nobody else's question.
    is(ask_as("rival", &world, &node, "SELECT SUM(spend) AS s FROM dataset WHERE spend >= 0").0, 1444.0);
    let (value, sound) = ask(&world, &node, "SELECT SUM(spend) AS s FROM dataset");
    is(value, 1444.0);
    // The log is open to all: it tells the three apart by nothing but what was asked, and when.
    let shown = |receipt: &serde_json::Value| {
        let mut facts = receipt["facts"].clone();
        for field in ["job", "buyer_signature", "program", "slot_start", "slot_end"] {
            facts[field] = "".into();
        }
        // It follows from the query.
        facts["mechanism"]["rows_read"] = 0.into();
        for field in ["sequence", "previous", "job"] {
            facts["ledger"][field] = "".into();
        }
        (facts, receipt["outcome"].clone(), receipt["mode"].clone())
    };
    assert_eq!(shown(&broken), shown(&sound));
    assert_eq!(shown(&quarantined), shown(&sound));

    let id = listed["id"].as_str().unwrap();
    assert!(world.fails("owner", &["quarantine", "lift", "zz"]).contains("quarantine list"));
    world.ok("owner", &["quarantine", "lift", &id[..12]]);
    is(ask(&world, &node, "SELECT SUM(spend) AS s FROM dataset WHERE spend >= 0").0, 1444.0);
    // That it failed is counted until the owner forgets it.
    assert_eq!((&counted["stopped"], counted["failures"].as_array().map(Vec::len)), (&false.into(), Some(1)), "{counted}");
    world.ok("owner", &["quarantine", "lift", counted["id"].as_str().unwrap()]);
    assert!(world.ok("owner", &["quarantine", "list"]).contains("nothing"));
}
