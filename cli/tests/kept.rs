//! What was paid for is not lost: with a path that cannot be written, a connection, a node that ends or dies, a dataset that is withdrawn. And nobody pays twice unawares.

use std::{
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::common::{POLICY, Serving, World, children, text, until};
use serde_json::Value;

const REQUEST: &str = "0123456789abcdef0123456789abcdef";

fn signal(pid: u32, what: &str) {
    assert!(Command::new("kill").args([what, &pid.to_string()]).status().unwrap().success());
}

/// A dataset `slow` whose jobs take their whole slot, as the policy has it of whoever is not exempt.
fn slow(slot: &str) -> World {
    let world = World::new();
    let policy =
        POLICY.replace("dangerous_no_tick_for = [\"BUYER\"]", "").replace("slot = \"8s\"", &format!("slot = \"{slot}\""));
    std::fs::write(world.path("slow.toml"), policy).unwrap();
    let rows: String = (0..60).map(|person| format!("{person},{},south\n", person % 9)).collect();
    std::fs::write(world.path("slow.csv"), format!("person,spend,city\n{rows}")).unwrap();
    let (file, policy, grant) = (world.text("slow.csv"), world.text("slow.toml"), world.text("slow-grant"));
    world.ok("owner", &["publish", &file, "--name", "slow", "--unit", "person", "--policy", &policy]);
    let buyer = world.ok("buyer", &["id"]);
    world.ok("owner", &["grant", "slow", "--to", buyer.trim(), "--rho", "1", "--out", &grant]);
    std::fs::write(
        world.path("slow-job.toml"),
        "dataset = \"slow\"\nrho = 0.1\n[sql]\nquery = \"SELECT COUNT(*) AS n FROM dataset\"\n",
    )
    .unwrap();
    world
}

fn args<'a>(world: &'a World, address: &'a str, more: &[&'a str]) -> Vec<String> {
    let (job, grant) = (world.text("slow-job.toml"), world.text("slow-grant"));
    let args = ["run", &job, "--to", address, "--grant", &grant, "--json", "--again"];
    args.iter().chain(more).map(|word| (*word).to_owned()).collect()
}

/// A buyer's process whose job is charged and not settled.
fn asking(world: &World, address: &str, more: &[&str]) -> Child {
    let command = world.command("buyer").args(args(world, address, more)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    until("a charge", || world.spent_on("slow") > 0);
    command.unwrap()
}

fn listed(world: &World) -> Vec<Value> {
    world.ok("buyer", &["results", "list", "--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn json(said: &str) -> Value {
    serde_json::from_str(said).unwrap()
}

#[test]
fn where_a_result_cannot_be_written_nothing_is_charged() {
    let world = World::new();
    let node = world.serve(None);
    let (job, grant) = (world.count_job(), world.text("grant"));
    std::fs::write(world.path("mine.csv"), "not to be lost").unwrap();
    std::fs::create_dir_all(world.path("full/results")).unwrap();
    std::fs::write(world.path("full/results/count.json"), "not to be lost").unwrap();
    std::fs::create_dir_all(world.path("other")).unwrap();
    std::fs::write(world.path("other/owner.vkey"), "of somebody else").unwrap();
    for out in ["mine.csv", "mine.csv/there", "mine.csv/there.csv", "no-folder/there.csv", "full", "other"] {
        let out = world.text(out);
        let said = world.fails("buyer", &[&world.run_args(&job, &node.address, &grant)[..], &["--out", &out]].concat());
        assert!(said.contains(&format!("--out {out}")), "{out}: {said}");
    }
    // A name with an ending that is no table's is not made a folder unawares.
    for out in ["sheet.xlsx", "notes.txt"] {
        let path = world.text(out);
        let said = world.fails("buyer", &[&world.run_args(&job, &node.address, &grant)[..], &["--out", &path]].concat());
        assert!(said.contains(&format!("--out {path}")) && said.contains(".csv, .arrow, .parquet, .json"), "{out}: {said}");
        assert!(!world.path(out).exists(), "{out}");
    }
    assert_eq!(world.spent(), 0);
    assert!(listed(&world).is_empty());
    let kept = |name: &str| std::fs::read_to_string(world.path(name)).unwrap();
    assert_eq!((kept("mine.csv"), kept("full/results/count.json")), ("not to be lost".into(), "not to be lost".into()));
    let mine = world.text("mine.csv");
    let force = [&world.run_args(&job, &node.address, &grant)[..], &["--out", &mine, "--force"]].concat();
    world.ok("buyer", &force);
    assert!(kept("mine.csv").starts_with("n,"), "{}", kept("mine.csv"));
}

#[test]
fn what_was_paid_for_is_kept_whatever_becomes_of_the_file() {
    let world = World::new();
    let node = world.serve(None);
    let (job, grant, out) = (world.count_job(), world.text("grant"), world.text("full.csv"));
    std::os::unix::fs::symlink("/dev/full", &out).unwrap();
    let full = [&world.run_args(&job, &node.address, &grant)[..], &["--out", &out, "--force"]].concat();
    let output = world.try_run("buyer", &full);
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!output.status.success() && text(&output).contains("tidegate results export"), "{}", text(&output));
    let all = listed(&world);
    let [one] = &all[..] else { panic!("{all:?}") };
    let query = "SELECT COUNT(*) AS n, SUM(spend) AS s FROM dataset";
    assert_eq!((&one["state"], &one["dataset"], &one["query"]), (&"answered".into(), &"towns".into(), &query.into()));
    let id = one["request"].as_str().unwrap();
    // By its beginning, from anywhere, with no node there.
    drop(node);
    let again = json(&world.ok("buyer", &["results", "show", &id[..6], "--json"]));
    assert_eq!((&again["result"], &again["receipt"]), (&shown["result"], &shown["receipt"]));
    assert_eq!(again["query"], query);
    for words in [&["results", "list"][..], &["results", "show", id]] {
        assert!(world.ok("buyer", words).contains(query), "{words:?}");
    }
    assert!(world.fails("buyer", &["results", "show", &id[..5]]).contains("6 characters"));
    let (table, folder) = (world.text("there.csv"), world.text("there"));
    world.ok("buyer", &["results", "export", &id[..8], "--out", &table]);
    assert!(world.fails("buyer", &["results", "export", id, "--out", &table]).contains("--force"));
    world.ok("buyer", &["results", "export", id, "--out", &folder]);
    assert!(world.path(&format!("there/receipts/{id}.tlog-proof")).exists());
    let sheet = world.text("sheet.xlsx");
    assert!(world.fails("buyer", &["results", "export", id, "--out", &sheet]).contains(".csv, .arrow, .parquet, .json"));
    world.ok("buyer", &["results", "export", id, "--out", &format!("{sheet}/")]);
    assert!(world.path(&format!("sheet.xlsx/receipts/{id}.tlog-proof")).exists());
    // What was changed since is not shown for what the owner released.
    let kept = std::fs::read_dir(world.path("buyer/results")).unwrap().next().unwrap().unwrap().path().join("delivery.json");
    let mut delivery: Value = serde_json::from_slice(&std::fs::read(&kept).unwrap()).unwrap();
    delivery["delivery"]["result"] = "e30=".into();
    std::fs::write(&kept, delivery.to_string()).unwrap();
    assert!(world.fails("buyer", &["results", "show", id]).contains("another result"));
}

#[test]
fn a_node_that_is_told_to_end_finishes_what_runs_and_takes_nothing_new() {
    for how in ["-TERM", "-INT", "-HUP"] {
        let world = slow("6s");
        let node = world.serve(None);
        let first = asking(&world, &node.address, &[]);
        signal(node.pid(), how);
        std::thread::sleep(Duration::from_millis(300));
        let late = world.command("buyer").args(args(&world, &node.address, &["--wait", "0s"])).output().unwrap();
        assert!(!late.status.success() && text(&late).contains("busy"), "{how}: {}", text(&late));
        let done = first.wait_with_output().unwrap();
        assert!(done.status.success(), "{how}: {}", text(&done));
        assert!(node.wait().success(), "{how}");
        assert_eq!(world.spent_on("slow"), 100_000, "{how}");
        assert_eq!(listed(&world).len(), 1, "{how}: what was refused is not kept");
    }
}

/// What a terminal sends goes to all processes of its foreground: workers in the middle of a job are none of the node's group.
#[test]
fn a_terminal_s_signal_does_not_reach_the_workers() {
    let world = slow("3s");
    let file = world.path("address");
    let mut command = world.command("owner");
    let (args, null) = (["serve", "--address-file"], Stdio::null);
    command.args(args).arg(&file).stdout(null()).stderr(null()).process_group(0);
    let mut node = command.spawn().unwrap();
    until("its address", || std::fs::read_to_string(&file).is_ok_and(|address| !address.is_empty()));
    let first = asking(&world, &std::fs::read_to_string(&file).unwrap(), &[]);
    // Those that wait for the next jobs: this one's are done, and it waits for its slot's end.
    std::thread::sleep(Duration::from_millis(700));
    let before = children(node.id());
    assert!(!before.is_empty());
    let group = format!("-{}", node.id());
    assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
    std::thread::sleep(Duration::from_millis(300));
    let after = children(node.id());
    assert!(before.iter().all(|worker| after.contains(worker)), "{before:?} {after:?}");
    assert!(first.wait_with_output().unwrap().status.success());
    assert!(node.wait().unwrap().success());
}

#[test]
fn a_second_signal_ends_a_node_at_once_and_the_paid_bytes_are_fetched_later() {
    let world = slow("6s");
    let node = world.serve(None);
    let mut first = asking(&world, &node.address, &["--request", REQUEST]);
    signal(node.pid(), "-TERM");
    std::thread::sleep(Duration::from_millis(300));
    signal(node.pid(), "-TERM");
    assert!(!node.wait().success());
    // The buyer goes too.
    let _ = first.kill();
    let _ = first.wait();
    let all = listed(&world);
    assert_eq!((&all[0]["state"], &all[0]["request"]), (&"pending".into(), &REQUEST.into()));
    assert!(world.ok("buyer", &["results", "list"]).contains(&format!("tidegate results fetch {REQUEST}")));
    let node = world.serve(None);
    let fetched = json(&world.ok("buyer", &["results", "fetch", &REQUEST[..6], "--to", &node.address, "--json"]));
    let shown = json(&world.ok("buyer", &["results", "show", REQUEST, "--json"]));
    assert_eq!(fetched["result"], shown["result"]);
    assert_eq!(world.spent_on("slow"), 100_000);
    let report = world.audit(&node.address);
    assert_eq!((&report["intents"], &report["outcomes"]), (&1.into(), &1.into()));
}

/// Where the node is gone in the middle of a job, the buyer asks again by itself; and where that lasts, it says how the answer is had.
#[test]
fn a_buyer_asks_again_by_itself_where_the_node_went_away() {
    let world = slow("3s");
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let serve = || -> Serving { world.serve_as(&["--listen", &port]) };
    let node = serve();
    let (patient, hasty) = (asking(&world, &node.address, &["--wait", "5m"]), {
        let more = ["--request", REQUEST, "--wait", "0s"];
        world.command("buyer").args(args(&world, &node.address, &more)).stderr(Stdio::piped()).spawn().unwrap()
    });
    until("two charges", || world.spent_on("slow") == 200_000);
    signal(node.pid(), "-KILL");
    drop(node);
    let said = text(&hasty.wait_with_output().unwrap());
    assert!(said.contains(&format!("tidegate results fetch {REQUEST}")), "{said}");
    let node = serve();
    let output = patient.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(world.spent_on("slow"), 200_000);
    world.ok("buyer", &["results", "fetch", REQUEST, "--to", &node.address]);
    assert!(listed(&world).iter().all(|one| one["state"] == "answered"));
    assert_eq!(world.spent_on("slow"), 200_000);
}

#[test]
fn a_job_that_finds_the_node_busy_is_sent_again() {
    let world = slow("6s");
    let node = world.serve_as(&["--jobs", "1", "--queue", "0"]);
    let first = asking(&world, &node.address, &[]);
    let hasty = world.command("buyer").args(args(&world, &node.address, &["--wait", "0s"])).output().unwrap();
    assert!(!hasty.status.success() && text(&hasty).contains("busy"), "{}", text(&hasty));
    let second = world.command("buyer").args(args(&world, &node.address, &["--wait", "1m"])).output().unwrap();
    assert!(second.status.success(), "{}", text(&second));
    assert!(first.wait_with_output().unwrap().status.success());
}

#[test]
fn paid_bytes_are_had_after_the_dataset_is_withdrawn() {
    let world = slow("6s");
    let node = world.serve(None);
    let mut first = asking(&world, &node.address, &["--request", REQUEST]);
    let _ = first.kill();
    let _ = first.wait();
    until("its end", || world.ok("owner", &["receipts", "list"]).contains("released"));
    world.ok("owner", &["retire", "slow", "--all"]);
    let fetched = json(&world.ok("buyer", &["results", "fetch", REQUEST, "--json"]));
    assert!(fetched["result"]["rows"].is_array(), "{fetched}");
    assert_eq!(world.spent_on("slow"), 100_000);
    let anew = world.command("buyer").args(args(&world, &node.address, &[])).output().unwrap();
    assert!(!anew.status.success(), "nothing else leaves");
}

#[test]
fn who_asks_the_same_again_is_told_what_it_costs() {
    let world = World::new();
    let buyer = world.ok("buyer", &["id"]).trim().to_owned();
    let policy = POLICY.replace("BUYER", &buyer).replace("min_units = 5", "min_units = 5\nanswer_again = true");
    std::fs::write(world.path("again.toml"), policy).unwrap();
    std::fs::write(world.path("again.csv"), "person,spend,city\n1,2,north\n2,3,south\n").unwrap();
    let (file, policy, pass) = (world.text("again.csv"), world.text("again.toml"), world.text("pass"));
    world.ok("owner", &["publish", &file, "--name", "again", "--unit", "person", "--policy", &policy]);
    world.ok("owner", &["grant", "again", "--to", &buyer, "--out", &pass]);
    let node = world.serve(None);
    let (count, grant) = (world.count_job(), world.text("grant"));
    let free = std::fs::read_to_string(&count).unwrap().replace("towns", "again");
    std::fs::write(world.path("free.toml"), free).unwrap();
    let free = world.text("free.toml");
    let words = |job: &str, grant: &str, more: &[&str]| {
        let words = ["run", job, "--to", &node.address, "--grant", grant, "--json"];
        words.iter().chain(more).map(|word| (*word).to_owned()).collect::<Vec<_>>()
    };
    let said = |job: &str, grant: &str, more: &[&str]| {
        let output = world.command("buyer").args(words(job, grant, more)).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(!said(&count, &grant, &[]).contains("the same job was sent"));
    // No terminal is there to ask: what was paid for is not paid for again, and what is kept is named.
    let spent = world.spent();
    let refused = world.command("buyer").args(words(&count, &grant, &[])).output().unwrap();
    let id = listed(&world)[0]["request"].as_str().unwrap().to_owned();
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{}", text(&refused));
    for part in ["charged again", "--again", &format!("tidegate results show {id}")] {
        assert!(text(&refused).contains(part), "{part}: {}", text(&refused));
    }
    assert_eq!((world.spent(), listed(&world).len()), (spent, 1), "nothing was sent");
    assert!(!said(&count, &grant, &["--again"]).contains("the same job was sent"));
    assert_eq!(world.spent(), 2 * spent);
    assert!(!said(&free, &pass, &[]).contains("the same job was sent"));
    assert!(said(&free, &pass, &[]).contains("without a charge"));
}

/// A home that was named from where one stood is found from elsewhere, and `ping` takes --to.
#[test]
fn a_home_is_the_same_from_wherever_it_is_named() {
    let world = World::new();
    let run = |folder: &str, home: &str, words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        let output = command.current_dir(world.path(folder)).args(["--home", home]).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    std::fs::create_dir(world.path("away")).unwrap();
    std::fs::write(world.path("few.csv"), "person,spend,city\n1,2,north\n2,3,south\n").unwrap();
    let buyer = world.ok("buyer", &["id"]).trim().to_owned();
    run("", "early", &["init"]);
    run("", "early", &["publish", "few.csv", "--name", "few", "--unit", "person", "--policy", "policy.toml"]);
    run("away", "../early", &["grant", "few", "--to", &buyer, "--out", "few-grant"]);
    std::fs::rename(world.path("early"), world.path("moved")).unwrap();
    let node = world.serve_by("moved", &[]);
    std::fs::write(
        world.path("few.toml"),
        "dataset = \"few\"\nrho = 0.1\n[sql]\nquery = \"SELECT COUNT(*) AS n FROM dataset\"\n",
    )
    .unwrap();
    let (job, grant) = (world.text("few.toml"), world.text("away/few-grant"));
    world.ok("buyer", &world.run_args(&job, &node.address, &grant));
    assert!(world.ok("buyer", &["ping", "--to", &node.address, "--times", "1"]).contains("answers after"));
}

/// The owner alone learns that a job was answered with noise over the public default, and that a slot is too short for the rows.
#[test]
fn an_owner_is_told_of_jobs_that_gave_the_default_and_of_slots_that_are_too_short() {
    let world = World::new();
    let node = world.serve(Some("worker-breaks"));
    let (job, grant) = (world.count_job(), world.text("grant"));
    let said = world.ok("buyer", &world.run_args(&job, &node.address, &grant));
    for word in ["fallback", "default", "broke", "crash"] {
        assert!(!said.contains(word), "{said}");
    }
    drop(node);
    let budget = json(world.ok("owner", &["budget", "--json"]).lines().next().unwrap());
    assert_eq!(budget["fallbacks"], 1, "{budget}");
    assert!(world.ok("owner", &["budget"]).contains("1 of them"));
    assert!(world.ok("owner", &["receipts", "list"]).contains("noise over the fallback value"));
    let served = std::fs::read(world.path("owner/log/checkpoint")).unwrap();
    let served = String::from_utf8_lossy(&served);
    assert!(!served.contains("default") && !served.contains("fallback"), "{served}");
    // Rows that are read within a part of the slot, and rows that are not.
    let rows: String = (0..200_000).map(|row| format!("{row},{},north\n", row % 90)).collect();
    std::fs::write(world.path("many.csv"), format!("person,spend,city\n{rows}")).unwrap();
    let buyer = world.ok("buyer", &["id"]).trim().to_owned();
    let policy = POLICY.replace("BUYER", &buyer).replace("max_units = 100", "max_units = 300000");
    for (name, slot, short) in [("brief", "100ms", true), ("long", "100s", false)] {
        std::fs::write(world.path("many.toml"), policy.replace("slot = \"8s\"", &format!("slot = \"{slot}\""))).unwrap();
        std::fs::write(
            world.path(&format!("{name}.csv")),
            format!("person,spend,city\n{}{rows}", if short { "9999999,1,north\n" } else { "" }),
        )
        .unwrap();
        let (file, policy) = (world.text(&format!("{name}.csv")), world.text("many.toml"));
        let published = world.try_run("owner", &["publish", &file, "--name", name, "--unit", "person", "--policy", &policy]);
        assert!(published.status.success(), "{}", text(&published));
        assert_eq!(text(&published).contains("warning: "), short, "{}", text(&published));
        let checks = json(&String::from_utf8(world.try_run("owner", &["doctor", "--json"]).stdout).unwrap());
        let seen = |check: &&Value| check["what"] == "slot" && check["seen"].as_str().unwrap().starts_with(name);
        assert_eq!(checks.as_array().unwrap().iter().find(seen).unwrap()["well"], !short, "{checks}");
    }
}
