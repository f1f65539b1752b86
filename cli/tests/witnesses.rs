//! Witnesses as real processes, over iroh and over HTTP: what they saw cannot be taken back, nor told differently to others.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Serving, World, text};
use serde_json::Value;

/// Starts a node that must not come up; what it said.
fn does_not_serve(world: &World) -> String {
    let mut command = world.command("owner");
    let mut child = command.arg("serve").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("it serves");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    text(&output)
}

struct Witnessing {
    child: Child,
    /// Over iroh, over HTTP.
    places: Vec<String>,
}

impl Drop for Witnessing {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Witnessing {
    fn key(&self) -> &str {
        self.places[0].split_once('@').unwrap().0
    }
}

fn key(world: &World, who: &str) -> String {
    world.ok(who, &["init"]);
    world.ok(who, &["witness", "--key"]).trim().to_owned()
}

fn witness(world: &World, who: &str, owner: &str) -> Witnessing {
    witness_with(world, who, owner, &[])
}

fn witness_with(world: &World, who: &str, owner: &str, more: &[&str]) -> Witnessing {
    let file = world.path(&format!("{who}.places"));
    let _ = std::fs::remove_file(&file);
    let mut command = world.command(who);
    command.args(["witness", "--for", owner, "--http", "127.0.0.1:0", "--address-file"]).arg(&file).args(more);
    // Ended when it is dropped.
    let mut witnessing =
        Witnessing { child: command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(), places: vec![] };
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Ok(places) = std::fs::read_to_string(&file)
            && !places.is_empty()
        {
            witnessing.places = places.lines().map(str::to_owned).collect();
            return witnessing;
        }
        assert!(Instant::now() < deadline, "the witness did not start");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An owner whose policy wants two witnesses of three.
fn world() -> (World, [String; 3]) {
    let mut keys = None;
    let world = World::prepared(|world| {
        let made = ["w0", "w1", "w2"].map(|who| key(world, who));
        let rule = format!("[witnesses]\nkeys = {made:?}\nquorum = 2");
        keys = Some(made);
        rule
    });
    (world, keys.unwrap())
}

fn audit(world: &World, node: &Serving, keys: &[String], quorum: &str) -> std::process::Output {
    let mut args = vec!["audit", "--peer", &node.address, "--json", "--quorum", quorum];
    for key in keys {
        args.extend(["--witness", key]);
    }
    world.try_run("buyer", &args)
}

#[test]
fn a_result_leaves_when_a_quorum_has_seen_its_receipt() {
    let (world, keys) = world();
    let owner = world.ok("owner", &["id"]).trim().to_owned();
    let (job, grant) = (world.count_job(), world.text("grant"));
    // One over iroh, and another over HTTP as a witness that was not written here.
    let (one, two) = (witness(&world, "w0", &owner), witness(&world, "w1", &owner));
    assert_eq!([one.key(), two.key()], [keys[0].as_str(), keys[1].as_str()]);
    let node = world.serve_as(&["--witness", &one.places[0], "--witness", &two.places[1]]);
    let said: Value = serde_json::from_str(&world.ok("buyer", &world.run_args(&job, &node.address, &grant))).unwrap();
    assert_eq!(said["receipt"]["statement"]["predicate"]["outcome"], "released");
    let audited = audit(&world, &node, &keys, "2");
    assert!(audited.status.success(), "{}", text(&audited));
    let report: Value = serde_json::from_slice(&audited.stdout).unwrap();
    assert_eq!(report["witnesses"].as_array().unwrap().len(), 2, "{report}");
    let short = text(&audit(&world, &node, &keys, "3"));
    assert!(short.contains("2 of the 3 witnesses cosigned, and 3 are needed"), "{short}");
    drop((node, two));

    // With one of them gone there is no quorum: the result is kept, not handed out, and comes with the same receipt when the witness is back.
    let node = world.serve(None);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().to_string();
    let mut args = world.run_args(&job, &node.address, &grant);
    args.extend(["--request", "00112233445566778899aabbccddeeff", "--created", &now]);
    let said = world.fails("buyer", &args);
    assert!(said.contains("fewer than 2 of the policy's witnesses"), "{said}");
    assert_eq!(world.spent(), 200_000, "it was charged, once");
    drop(node);
    let two = witness(&world, "w1", &owner);
    let node = world.serve_as(&["--witness", &two.places[0]]);
    let mut args = world.run_args(&job, &node.address, &grant);
    args.extend(["--request", "00112233445566778899aabbccddeeff", "--created", &now]);
    world.ok("buyer", &args);
    assert_eq!(world.spent(), 200_000);
}

/// A machine is set back to a snapshot: the ledger and all that lies beside it. The witnesses remember.
#[test]
fn a_node_set_back_to_a_snapshot_does_not_serve() {
    let (world, _) = world();
    let owner = world.ok("owner", &["id"]).trim().to_owned();
    let (job, grant) = (world.count_job(), world.text("grant"));
    let (one, two) = (witness(&world, "w0", &owner), witness(&world, "w1", &owner));
    let places = ["--witness", &one.places[0], "--witness", &two.places[1]];
    drop(world.serve_as(&places));
    let copy = |from: &str, to: &str| {
        let done = std::process::Command::new("cp").arg("-a").args([world.path(from), world.path(to)]).status().unwrap();
        assert!(done.success());
    };
    copy("owner", "snapshot");
    let node = world.serve_as(&places);
    world.ok("buyer", &world.run_args(&job, &node.address, &grant));
    drop(node);
    std::fs::rename(world.path("owner"), world.path("after")).unwrap();
    copy("snapshot", "owner");
    // Whether the witness that tells is asked, or the one that only speaks C2SP's protocol.
    for place in [&one.places[0], &two.places[1]] {
        std::fs::write(world.path("owner/witnesses"), place).unwrap();
        let said = does_not_serve(&world);
        assert!(said.contains("older than the published log") && said.contains("log restore"), "{said}");
    }
    // Another history of the same length is no way out.
    std::fs::remove_file(world.path("owner/witnesses")).unwrap();
    let buyer = world.ok("buyer", &["id"]).trim().to_owned();
    for _ in 0..2 {
        world.ok("owner", &["grant", "towns", "--to", &buyer]);
    }
    for place in [&one.places[0], &two.places[1]] {
        std::fs::write(world.path("owner/witnesses"), place).unwrap();
        let said = does_not_serve(&world);
        assert!(said.contains("another history"), "{said}");
    }
    // The witness that was shown both has what convinces others.
    let found: Value = serde_json::from_str(world.fails("w1", &["audit", "--evidence", "--json"]).trim()).unwrap();
    assert!(found["wrong"].is_null() && found["evidence"]["log"].as_str().unwrap().contains(&owner), "{found}");
}

/// An owner shows the auditor one history and then another.
#[test]
fn an_auditor_who_saw_one_history_takes_no_other() {
    let world = World::new();
    let (job, grant) = (world.count_job(), world.text("grant"));
    let copy = |from: &str, to: &str| {
        let done = std::process::Command::new("cp").arg("-a").args([world.path(from), world.path(to)]).status().unwrap();
        assert!(done.success());
    };
    copy("owner", "fork");
    let node = world.serve(None);
    world.ok("buyer", &world.run_args(&job, &node.address, &grant));
    world.audit(&node.address);
    drop(node);
    std::fs::rename(world.path("owner"), world.path("first")).unwrap();
    std::fs::rename(world.path("fork"), world.path("owner")).unwrap();
    let node = world.serve(None);
    let cut = world.fails("buyer", &["audit", "--peer", &node.address]);
    assert!(cut.contains("it was truncated, or is another log"), "{cut}");
    for _ in 0..3 {
        world.ok("buyer", &world.run_args(&job, &node.address, &grant));
    }
    let forked = world.fails("buyer", &["audit", "--peer", &node.address]);
    assert!(forked.contains("history was rewritten") && forked.contains("The evidence is in"), "{forked}");
    let shown = world.fails("buyer", &["audit", "--evidence"]);
    let owner = world.ok("owner", &["id"]).trim().to_owned();
    assert!(shown.contains(&owner) && shown.contains("signed two histories"), "{shown}");
}

/// An owner shows two witnesses two histories, and they tell each other: of the same length, and where one is longer.
#[test]
fn witnesses_that_were_told_different_histories_find_it_between_them() {
    for jobs in [1, 3] {
        let world = World::new();
        let (job, grant) = (world.count_job(), world.text("grant"));
        let owner = world.ok("owner", &["id"]).trim().to_owned();
        key(&world, "w0");
        key(&world, "w1");
        let copied = std::process::Command::new("cp").arg("-a").args([world.path("owner"), world.path("fork")]).status().unwrap();
        assert!(copied.success());
        let first = witness(&world, "w0", &owner);
        let node = world.serve_as(&["--witness", &first.places[0]]);
        world.ok("buyer", &world.run_args(&job, &node.address, &grant));
        let deadline = Instant::now() + Duration::from_secs(60);
        let seen =
            |who: &str| std::fs::read_dir(world.path(&format!("{who}/witness"))).is_ok_and(|mut files| files.next().is_some());
        let size = || {
            let files = std::fs::read_dir(world.path("w0/witness")).unwrap();
            let text = files.map(|f| std::fs::read_to_string(f.unwrap().path()).unwrap()).next().unwrap_or_default();
            text.lines().nth(1).unwrap_or_default().to_owned()
        };
        while !seen("w0") || size() != "4" {
            assert!(Instant::now() < deadline, "w0 does not cosign: {}", size());
            std::thread::sleep(Duration::from_millis(100));
        }
        drop(node);
        std::fs::rename(world.path("owner"), world.path("first")).unwrap();
        std::fs::rename(world.path("fork"), world.path("owner")).unwrap();
        let node = world.serve(None);
        for _ in 0..jobs {
            world.ok("buyer", &world.run_args(&job, &node.address, &grant));
        }
        // It knows where the owner is, and where the other witness is.
        let second = witness_with(&world, "w1", &node.address, &["--with", &first.places[0]]);
        let deadline = Instant::now() + Duration::from_secs(90);
        let found =
            || ["w0", "w1"].into_iter().find(|who| !world.try_run(who, &["audit", "--evidence", "--json"]).status.success());
        while found().is_none() {
            assert!(Instant::now() < deadline, "nobody finds the fork, {jobs} jobs on");
            std::thread::sleep(Duration::from_millis(500));
        }
        let shown: Value =
            serde_json::from_str(world.fails(found().unwrap(), &["audit", "--evidence", "--json"]).trim()).unwrap();
        assert!(shown["wrong"].is_null() && shown["evidence"]["log"].as_str().unwrap().contains(&owner), "{shown}");
        assert_eq!(shown["evidence"]["prefix"].is_null(), jobs == 1, "{shown}");
        drop((second, node));
    }
}

/// The log's folder as any static web server serves it.
#[test]
fn a_log_is_audited_from_a_plain_web_server() {
    let world = World::new();
    let (job, grant) = (world.count_job(), world.text("grant"));
    let node = world.serve(None);
    world.ok("buyer", &world.run_args(&job, &node.address, &grant));
    drop(node);
    // Python says on its first line which port it was given.
    let mut server = std::process::Command::new("python3")
        .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"])
        .arg(world.path("owner/log"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stdout.take().unwrap()), &mut line).unwrap();
    let port = line.split_whitespace().skip_while(|word| *word != "port").nth(1).unwrap_or_else(|| panic!("{line}"));
    let (url, owner) = (format!("http://127.0.0.1:{port}"), world.ok("owner", &["id"]).trim().to_owned());
    let keep = world.text("copy");
    let audited = world.try_run("buyer", &["audit", "--url", &url, "--owner", &owner, "--keep", &keep, "--json"]);
    // Another owner's log it is not.
    let buyer = world.ok("buyer", &["id"]).trim().to_owned();
    let other = world.try_run("buyer", &["audit", "--url", &url, "--owner", &buyer, "--json"]);
    let _ = server.kill();
    let _ = server.wait();
    assert!(audited.status.success(), "{}", text(&audited));
    let report: Value = serde_json::from_slice(&audited.stdout).unwrap();
    assert_eq!((&report["entries"], &report["outcomes"]), (&4.into(), &1.into()));
    assert!(!other.status.success() && text(&other).contains("is not signed by"), "{}", text(&other));
    // What was kept is a log again, whole also where another audit had verified it before, and nothing was kept then.
    let folder = world.ok("buyer", &["audit", &keep]);
    assert!(folder.contains("every signature"), "{folder}");
    let node = world.serve(None);
    let second = world.text("second");
    world.ok("buyer", &["audit", "--peer", &node.address, "--keep", &second]);
    let spent = world.ok("buyer", &["receipts", "sql", "SELECT COUNT(*) AS n FROM receipts", "--folder", &second]);
    assert!(spent.contains('4'), "{spent}");
    assert!(
        std::fs::read(world.path("copy/log/checkpoint")).unwrap() == std::fs::read(world.path("owner/log/checkpoint")).unwrap()
    );
}
