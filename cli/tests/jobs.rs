//! Jobs in hand: the owner sees them and stops one; a buyer who leaves is not charged; the others wait their turn.

use crate::common;
use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::common::{POLICY, World};

/// A job of some hours' fuel. Its defaults are far from what it would return: that it was not run to its end shows.
const SLOW: &str = r#"
    rho = 0.3
    [wasm]
    module = "moments.wasm"
    select = "SELECT spend * 1.0 AS once, spend * 2.0 AS twice FROM dataset"
    params = "plain 4000000000"
    split = { blocks = 20 }
    outputs = [
      { name = "mean", lo = 0, hi = 100, reducer = "mean", default = 100 },
      { name = "variance", lo = 0, hi = 1000, reducer = "mean", default = 0 },
      { name = "covariance", lo = 0, hi = 1000, reducer = "mean", default = 0 },
    ]
"#;

/// An owner whose policy lets a job take hours.
fn patient() -> World {
    let world = World::new();
    let buyer = world.ok("buyer", &["id"]).trim().to_owned();
    let policy = POLICY.replace("BUYER", &buyer).replace("slot = \"8s\"", "slot = \"100000s\"");
    let policy = policy.replace("fuel = 100000000", "fuel = 1000000000000000");
    std::fs::write(world.path("policy.toml"), policy.replace("rho = 1.0", "rho = 2.0")).unwrap();
    std::fs::write(world.path("moments.wasm"), tidegate_fixtures::guest("moments").unwrap()).unwrap();
    let rows: String = (0..120).map(|row| format!("{},{},north\n", row / 2, row % 40)).collect();
    std::fs::write(world.path("slow.csv"), format!("person,spend,city\n{rows}")).unwrap();
    world.publish("slow.csv", &["--name", "slow"]);
    world.ok("owner", &["grant", "slow", "--to", &buyer, "--rho", "1", "--out", &world.text("slow-grant")]);
    world
}

fn job(world: &World, name: &str, body: &str) -> String {
    std::fs::write(world.path(name), format!("dataset = \"slow\"\n{body}")).unwrap();
    world.text(name)
}

fn start(world: &World, job: &str, address: &str) -> Child {
    let grant = world.text("slow-grant");
    let args = world.run_args(job, address, &grant);
    world.command("buyer").args(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The jobs on the owner's list, once they are as wanted.
fn listed(world: &World, wanted: impl Fn(&[serde_json::Value]) -> bool) -> Vec<serde_json::Value> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let said = world.ok("owner", &["jobs", "list", "--json"]);
        let jobs: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        if wanted(&jobs) {
            return jobs;
        }
        assert!(Instant::now() < deadline, "{jobs:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn runs(job: &serde_json::Value) -> bool {
    !job["slot"].is_null()
}

#[test]
fn an_owner_stops_a_job_and_a_buyer_who_leaves_is_not_charged() {
    let world = patient();
    let node = world.serve_as(&["--jobs", "1"]);
    let slow = start(&world, &job(&world, "slow.toml", SLOW), &node.address);
    let first = listed(&world, |jobs| jobs.len() == 1 && runs(&jobs[0])).remove(0);
    assert!(first["dataset"] == "slow" && first["kind"] == "wasm" && first["stopping"] == false, "{first}");
    // There is one slot: the next two wait. One of them is stopped before it began, and the buyer of the other loses patience.
    let count = job(&world, "count.toml", "rho = 0.1\n[sql]\nquery = \"SELECT COUNT(*) AS n FROM dataset\"\n");
    let leaves = start(&world, &count, &node.address);
    let waiting = |jobs: &[serde_json::Value]| jobs.iter().filter(|job| !runs(job)).count();
    listed(&world, |jobs| waiting(jobs) == 1);
    Command::new("kill").args(["-INT", &leaves.id().to_string()]).status().unwrap();
    let said = leaves.wait_with_output().unwrap();
    assert!(!said.status.success() && common::text(&said).contains("--request"), "{}", common::text(&said));
    listed(&world, |jobs| waiting(jobs) == 0);
    let turned_away = start(&world, &count, &node.address);
    let second = listed(&world, |jobs| waiting(jobs) == 1).into_iter().find(|job| !runs(job)).unwrap();
    world.ok("owner", &["jobs", "stop", second["job"].as_str().unwrap()]);
    let said = turned_away.wait_with_output().unwrap();
    assert!(!said.status.success() && common::text(&said).contains("nothing was charged"), "{}", common::text(&said));
    // Nobody but the first has paid.
    let patient = start(&world, &count, &node.address);
    listed(&world, |jobs| waiting(jobs) == 1);
    let workers = common::children(node.pid());
    assert!(!workers.is_empty());
    let stopped = world.ok("owner", &["jobs", "stop", &first["job"].as_str().unwrap()[..8]]);
    assert!(stopped.contains(first["job"].as_str().unwrap()), "{stopped}");
    // The buyer gets noise over the default, with a receipt like any other.
    let said = slow.wait_with_output().unwrap();
    assert!(said.status.success(), "{}", common::text(&said));
    let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert!(said["result"]["rows"][0]["cells"][0]["value"].as_f64().unwrap() > 50.0, "{said}");
    assert_eq!(said["receipt"]["statement"]["predicate"]["outcome"], "released");
    // Whoever waited has its turn now.
    let said = patient.wait_with_output().unwrap();
    assert!(said.status.success(), "{}", common::text(&said));
    listed(&world, <[_]>::is_empty);
    assert_eq!(world.spent_on("slow"), 400_000);
    assert!(!common::exists(&world.path("owner/quarantine")), "nothing broke");
    let report = world.audit(&node.address);
    assert!(report["findings"].as_array().unwrap().is_empty() && report["open"].as_array().unwrap().is_empty(), "{report}");
    assert!(world.fails("owner", &["jobs", "stop", "00"]).contains("no job"));
}

/// A job that is stopped stays stopped, though the node dies before it is settled.
#[test]
fn a_word_to_stop_outlives_the_node() {
    let world = patient();
    let node = world.serve_with(&[("TIDEGATE_FAULT", "after-release")]);
    let slow = start(&world, &job(&world, "slow.toml", SLOW), &node.address);
    let job = listed(&world, |jobs| jobs.len() == 1 && runs(&jobs[0])).remove(0);
    world.ok("owner", &["jobs", "stop", job["job"].as_str().unwrap()]);
    assert!(!node.wait().success(), "died by abort");
    let mut slow = slow;
    let _ = slow.kill();
    let _ = slow.wait();
    let node = world.serve(None);
    let deadline = Instant::now() + Duration::from_secs(60);
    while world.audit(&node.address)["outcomes"] != 1 {
        assert!(Instant::now() < deadline, "the job was begun anew, and runs for hours");
        std::thread::sleep(Duration::from_millis(100));
    }
    listed(&world, <[_]>::is_empty);
}

/// A worker that is killed costs its job nothing but time: what it was on is run again by others, and the buyer sees the answer; the node goes on.
#[test]
fn a_killed_worker_is_not_seen_by_the_buyer() {
    let world = patient();
    let node = world.serve(None);
    let some_seconds =
        SLOW.replace("plain 4000000000", "plain 8000000").replace("rho = 0.3", "rho = 0.3\nweights = { mean = 100 }");
    let slow = start(&world, &job(&world, "slow.toml", &some_seconds), &node.address);
    listed(&world, |jobs| jobs.len() == 1 && runs(&jobs[0]));
    // The worker that is busy is the one that has rows in hand. Others wait for tasks: they are killed too, and nobody is sent to the dead.
    let deadline = Instant::now() + Duration::from_secs(60);
    while !common::children(node.pid()).iter().any(|pid| common::processor_time(*pid) > 50) {
        assert!(Instant::now() < deadline, "no worker is busy");
        std::thread::sleep(Duration::from_millis(50));
    }
    for pid in common::children(node.pid()) {
        Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    }
    let said = slow.wait_with_output().unwrap();
    assert!(said.status.success(), "{}", common::text(&said));
    let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    // People spend 0 to 39; the default is 100, and the noise on either is about 6 wide.
    assert!(said["result"]["rows"][0]["cells"][0]["value"].as_f64().unwrap() < 60.0, "{said}");
    let (job, grant) = (world.count_job(), world.text("grant"));
    world.ok("buyer", &world.run_args(&job, &node.address, &grant));
}
