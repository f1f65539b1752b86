//! What can be seen from outside, and when: nothing of a job before its public slot ends, however quickly it is done.

use crate::common;
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, SystemTime},
};

use crate::common::World;
use tidegate_exchange::{Address, ask, bind};
use tidegate_node::home::Home;
use tidegate_protocol::{
    Cost, Job, MicroRho, Signed,
    cost::FemtoDelta,
    frame::{Reply, Request},
    job::Program,
    manifest::Manifest,
    receipt::{Predicate, Statement},
};

/// A buyer who sends the same job again and again, and reads the log meanwhile, learns its slot and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn neither_the_log_nor_a_repeated_request_tells_when_a_job_was_done() {
    let world = World::new();
    let held = common::POLICY.replace("dangerous_no_tick_for = [\"BUYER\"]\n", "").replace("slot = \"8s\"", "slot = \"4s\"");
    std::fs::write(world.path("held.toml"), held).unwrap();
    std::fs::write(world.path("held.csv"), "person,spend,city\n1,2,north\n2,3,south\n").unwrap();
    let (file, policy) = (world.text("held.csv"), world.text("held.toml"));
    world.ok("owner", &["publish", &file, "--name", "held", "--unit", "person", "--policy", &policy]);
    let buyer = Home::at(world.path("buyer")).identity().unwrap();
    world.ok("owner", &["grant", "held", "--to", &buyer.id().to_string(), "--out", &world.text("held-grant")]);
    let grant = std::fs::read_to_string(world.path("held-grant")).unwrap();
    let node = world.serve(None);
    let to: Address = node.address.trim().parse().unwrap();
    let endpoint = bind(&buyer, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    let Reply::Listings(listings) = ask(&endpoint, &to, &Request::Listings { grant: String::new() }, &[]).await.unwrap() else {
        panic!("no listings")
    };
    let manifests = listings.into_iter().map(|l| Signed::<Manifest>::open(l.manifest).unwrap());
    let dataset = manifests.into_iter().find(|m| m.body().name == "held").unwrap().id();
    let job = Job {
        version: 1,
        request: "a".repeat(32),
        dataset,
        cost: Cost::dp(MicroRho(100_000), FemtoDelta(0)),
        created: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64,
        weights: Default::default(),
        mode: Default::default(),
        program: Program::Sql { query: "SELECT COUNT(*) AS n FROM dataset".into(), keys: None, tables: None },
    };
    let job = Signed::sign(job, &buyer).unwrap().envelope().clone();
    let request = Request::Submit { job, grant, attachment_bytes: 0 };
    let submit = |after: Duration| {
        let (endpoint, to, request) = (endpoint.clone(), to.clone(), request.clone());
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let reply = ask(&endpoint, &to, &request, &[]).await.unwrap();
            let Reply::Delivered(delivery) = reply else { panic!("{reply:?}") };
            (SystemTime::now(), *delivery)
        })
    };
    let replies: Vec<_> = [0, 700, 1400, 2800].into_iter().map(|ms| submit(Duration::from_millis(ms))).collect();
    let (mut changes, mut last) = (Vec::new(), Vec::new());
    while !replies.iter().all(|r| r.is_finished()) {
        let Reply::LogFile(checkpoint) = ask(&endpoint, &to, &Request::LogFile { path: "checkpoint".into() }, &[]).await.unwrap()
        else {
            panic!("no checkpoint")
        };
        if checkpoint.as_bytes() != last {
            changes.push(SystemTime::now());
            last = checkpoint.into_bytes();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut results = Vec::new();
    let mut slot_end = None;
    for reply in replies {
        let (at, delivery) = reply.await.unwrap();
        let receipt = Signed::<Statement>::open(delivery.receipt).unwrap();
        let Predicate::Outcome { facts, .. } = &receipt.body().predicate else { panic!("no outcome") };
        let end = SystemTime::from(facts.slot_end.parse::<jiff::Timestamp>().unwrap());
        // Replies wait for a tick some time after the slot: a late fsync must not show.
        assert!(at >= end + Duration::from_millis(300), "a reply left too early: {:?} to the slot's end", end.duration_since(at));
        slot_end = Some(end);
        results.push(delivery.result);
    }
    results.dedup();
    assert_eq!(results.len(), 1, "the same bytes for all");
    // As it was, with the intent, with the outcome: the last after the slot.
    assert_eq!(changes.len(), 3, "the log changed at other times");
    assert!(changes[2] >= slot_end.unwrap() && changes[1] < slot_end.unwrap(), "{changes:?}");
    assert_eq!(world.spent_on("held"), 100_000);
    endpoint.close().await;
}

/// A program that spins if, and only if, the one it looks for is there: result and reply are of the same form, and neither comes before its public time.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_spins_for_one_person_tells_nobody() {
    let world = World::new();
    let policy = common::POLICY.replace("dangerous_no_tick_for = [\"BUYER\"]\n", "").replace("slot = \"8s\"", "slot = \"4s\"");
    std::fs::write(world.path("held.toml"), policy).unwrap();
    let guest = tidegate_fixtures::hostile().unwrap().into_iter().find(|one| one.name == "spin_if").unwrap().component;
    std::fs::write(world.path("spin.wasm"), guest).unwrap();
    let buyer = world.ok("buyer", &["id"]).trim().to_owned();
    for (name, spend) in [("quiet", 19_000), ("found", 21_000)] {
        let rows: String =
            (0..40).map(|person| format!("{person},{},north\n", if person == 7 { spend } else { person })).collect();
        std::fs::write(world.path(&format!("{name}.csv")), format!("person,spend,city\n{rows}")).unwrap();
        let (file, policy) = (world.text(&format!("{name}.csv")), world.text("held.toml"));
        world.ok("owner", &["publish", &file, "--name", name, "--unit", "person", "--policy", &policy]);
        world.ok("owner", &["grant", name, "--to", &buyer, "--out", &world.text(name)]);
    }
    let node = world.serve_as(&["--jobs", "2", "--jobs-per-buyer", "2"]);
    let start = |name: &str| {
        let outputs =
            ["a", "b"].map(|n| format!("{{ name = \"{n}\", lo = 0, hi = 1, reducer = \"sum\", default = 0 }}")).join(", ");
        let select = "SELECT spend * 1.0 AS spend FROM dataset";
        let job = format!(
            "dataset = \"{name}\"\nrho = 0.1\n[wasm]\nmodule = \"spin.wasm\"\nselect = \"{select}\"\noutputs = [{outputs}]\n"
        );
        let path = world.path(&format!("{name}.toml"));
        std::fs::write(&path, job).unwrap();
        let (path, grant) = (path.display().to_string(), world.text(name));
        let args = world.run_args(&path, &node.address, &grant);
        world.command("buyer").args(&args).stdout(std::process::Stdio::piped()).spawn().unwrap()
    };
    let mut shapes = Vec::new();
    for buyer in [start("quiet"), start("found")] {
        let output = buyer.wait_with_output().unwrap();
        let now = SystemTime::now();
        assert!(output.status.success(), "{}", common::text(&output));
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let facts = &said["receipt"]["statement"]["predicate"]["facts"];
        let end = SystemTime::from(facts["slot_end"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap());
        assert!(now >= end + Duration::from_millis(300), "a reply left too early");
        let result = &said["result"];
        shapes.push((result["columns"].clone(), result["rows"].as_array().unwrap().len(), facts["mechanism"].clone()));
    }
    assert_eq!(shapes[0], shapes[1]);
}
