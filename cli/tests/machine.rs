//! Faults of the machine under a node: a binary that is replaced, no descriptors, damaged files. No job is charged for noise because of them.

use std::{path::Path, process::Command, time::Duration};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::Value;

use crate::common::{self, World};

/// At this price noise is small beside the number of rows.
fn world() -> World {
    let world = World::new();
    let policy = std::fs::read_to_string(world.path("policy.toml")).unwrap();
    let policy = policy
        .replace("rho = 1.0", "rho = 900000")
        .replace("_rho = 0.9", "_rho = 900000")
        .replace("slot = \"8s\"", "slot = \"2s\"");
    std::fs::write(world.path("policy.toml"), policy).unwrap();
    let buyer = world.ok("buyer", &["id"]).split_whitespace().find(|w| w.starts_with("did:key:")).unwrap().to_owned();
    std::fs::write(world.path("rich.csv"), (0..60).fold("person,spend,city\n".to_owned(), |t, p| t + &format!("{p},50,north\n")))
        .unwrap();
    world.publish("rich.csv", &["--name", "rich"]);
    world.ok("owner", &["grant", "rich", "--to", &buyer, "--rho", "900000", "--out", &world.text("all")]);
    std::fs::write(
        world.path("rich.toml"),
        "dataset = \"rich\"\nrho = 1000\n[sql]\nquery = \"SELECT COUNT(*) AS n, SUM(spend) AS s FROM dataset\"\n",
    )
    .unwrap();
    world
}

/// The right answer, or what was said instead.
fn ask(world: &World, address: &str) -> Result<(), String> {
    let (job, grant) = (world.text("rich.toml"), world.text("all"));
    let output = world.try_run("buyer", &world.run_args(&job, address, &grant));
    if !output.status.success() {
        return Err(common::text(&output));
    }
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let cell = |at: usize| said["result"]["rows"][0]["cells"][at]["value"].as_f64().unwrap();
    assert!((cell(0) - 60.0).abs() < 2.0 && (cell(1) - 3000.0).abs() < 100.0, "{said}");
    Ok(())
}

fn spent(world: &World) -> String {
    let lines = world.ok("owner", &["budget", "--json"]);
    lines.lines().find(|line| line.contains("\"rich\"")).unwrap_or_else(|| panic!("{lines}")).to_owned()
}

#[test]
fn a_binary_that_is_replaced_under_a_running_node_does_not_stop_its_jobs() {
    let world = world();
    let binary = world.path("tidegate");
    std::fs::copy(env!("CARGO_BIN_EXE_tidegate"), &binary).unwrap();
    let node = world.serve_from(&binary);
    ask(&world, &node.address).unwrap();
    std::fs::write(world.path("next"), "#!/bin/sh\nexit 1\n").unwrap();
    std::fs::rename(world.path("next"), &binary).unwrap();
    for _ in 0..4 {
        ask(&world, &node.address).unwrap();
    }
    std::fs::remove_file(&binary).unwrap();
    ask(&world, &node.address).unwrap();
}

/// Whatever number of descriptors is left, a job is answered rightly or turned away uncharged.
#[test]
fn without_descriptors_jobs_are_turned_away_and_not_charged() {
    let world = world();
    let node = world.serve(None);
    ask(&world, &node.address).unwrap();
    let pid = Pid::from_raw(node.pid() as i32).unwrap();
    let before = getrlimit(Resource::Nofile);
    let open = || std::fs::read_dir(format!("/proc/{}/fd", node.pid())).unwrap().count() as u64;
    let limit = |current: Option<u64>| {
        prlimit(Some(pid), Resource::Nofile, Rlimit { current, maximum: before.maximum }).unwrap();
    };
    let (mut answered, mut refused) = (0, 0);
    for more in (0..24).step_by(2) {
        limit(Some(open() + more));
        let charged = spent(&world);
        match ask(&world, &node.address) {
            Ok(()) => answered += 1,
            Err(said) => {
                refused += 1;
                assert_eq!(spent(&world), charged, "{more}: {said}");
            }
        }
    }
    assert!(refused > 0, "{answered} were answered");
    limit(before.current);
    ask(&world, &node.address).unwrap();
    // A node that would not have enough does not begin.
    drop(node);
    let script = format!("ulimit -n 300; exec {} --home {} serve --jobs 4", env!("CARGO_BIN_EXE_tidegate"), world.text("owner"));
    let output = Command::new("timeout").args(["60", "sh", "-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("need") && said.contains("LimitNOFILE"), "{said}");
}

/// A job can be planned and then lack what its run needs, which is taken before the charge: with fewer descriptors than a run holds, and enough for the ledger.
#[test]
fn a_planned_job_whose_run_lacks_descriptors_is_not_charged() {
    let world = world();
    let node = world.serve(Some("descriptors-left:12"));
    let charged = spent(&world);
    let said = ask(&world, &node.address).unwrap_err();
    assert!(said.contains("lacks resources for this job"), "{said}");
    assert_eq!(spent(&world), charged);
}

/// A node whose ledger cannot be written ends and says so to whoever started it; started again it goes on, and nothing was charged for nothing.
#[test]
fn a_node_ends_whose_ledger_cannot_be_written() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = world();
    let script = format!("#!/bin/sh\ntrap '' XFSZ\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_tidegate"));
    std::fs::write(world.path("node"), script).unwrap();
    std::fs::set_permissions(world.path("node"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let node = world.serve_from(&world.path("node"));
    ask(&world, &node.address).unwrap();
    let charged = spent(&world);
    // As on a full disk: no file of it may grow, nor be written beyond its first page.
    let pid = Pid::from_raw(node.pid() as i32);
    let before = getrlimit(Resource::Fsize);
    prlimit(pid, Resource::Fsize, Rlimit { current: Some(4096), maximum: before.maximum }).unwrap();
    let address = node.address.clone();
    let mut asking = world.command("buyer");
    asking.args(world.run_args(&world.text("rich.toml"), &address, &world.text("all")));
    let mut asking = asking.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    assert!(!node.wait().success(), "it ends, and not as if all were well");
    drop((asking.kill(), asking.wait()));
    assert!(!world.try_run("buyer", &["ping", &address]).status.success());
    // There is room again.
    let node = world.serve(None);
    ask(&world, &node.address).unwrap();
    let report = world.audit(&node.address);
    assert!(report["findings"].as_array().unwrap().is_empty() && report["open"].as_array().unwrap().is_empty(), "{report}");
    assert_eq!(report["intents"], report["outcomes"], "{report}");
    assert_ne!(spent(&world), charged);
}

/// The file that jobs on `rich` read.
fn computed(world: &World) -> std::path::PathBuf {
    let folder = world.path("owner/datasets");
    let records = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let records = records.filter(|path| path.extension().is_some_and(|e| e == "json"));
    let read = |path: std::path::PathBuf| serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap();
    let of = |record: &Value| record["files"][0].as_str().unwrap().ends_with("rich.csv");
    let record = records.map(read).find(of).unwrap();
    // Paths within the home are from the home on.
    world.path("owner").join(record["compute"][0].as_str().unwrap())
}

/// Turns a bit in the middle over, and gives the file the time of change that it had.
fn flip(path: &Path) {
    let time = std::fs::metadata(path).unwrap().modified().unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
    std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn no_job_is_answered_or_charged_over_a_damaged_file() {
    let world = world();
    let (node, file) = (world.serve(None), computed(&world));
    ask(&world, &node.address).unwrap();
    let charged = spent(&world);
    flip(&file);
    for _ in 0..2 {
        let said = ask(&world, &node.address).unwrap_err();
        assert!(said.contains("differ from the published files"), "{said}");
    }
    assert_eq!(spent(&world), charged);
    // As it was: jobs run again.
    flip(&file);
    ask(&world, &node.address).unwrap();
}

/// What breaks a worker over a damaged file is not the program's fault, nor its buyer's.
#[test]
fn a_worker_that_broke_over_a_damaged_file_puts_nothing_into_quarantine() {
    let world = world();
    let file = computed(&world);
    let node = world.serve(Some("worker-breaks"));
    let (job, grant) = (world.text("rich.toml"), world.text("all"));
    world.ok("buyer", &world.run_args(&job, &node.address, &grant));
    assert!(!world.ok("owner", &["quarantine", "list"]).contains("nothing"), "it is set apart at first");
    flip(&file);
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !world.ok("owner", &["quarantine", "list"]).contains("nothing") {
        assert!(std::time::Instant::now() < deadline, "{}", world.ok("owner", &["quarantine", "list"]));
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A library that is there and does not load is not well, and why it does not is said.
#[test]
fn doctor_loads_the_runtime_as_jobs_do() {
    let world = World::new();
    let doctor = |library: &Path| {
        let output = world.command("owner").env("TIDEGATE_ORT_DYLIB", library).args(["doctor", "--json"]).output().unwrap();
        let said: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
        let one = said.into_iter().find(|check| check["what"] == "ONNX Runtime").unwrap();
        (one["well"].as_bool().unwrap(), one["seen"].as_str().unwrap().to_owned())
    };
    let broken = world.path("libonnxruntime.so");
    std::fs::write(&broken, "not a library").unwrap();
    let (well, seen) = doctor(&broken);
    assert!(!well && seen.contains("libonnxruntime.so cannot be loaded") && seen.contains("fetch_ort.py"), "{seen}");
    assert!(seen.contains("dlopen failed"), "why is not said: {seen}");
    if crate::common::runtime_is_here() {
        let good = tidegate_gpu_runner::library::find().unwrap();
        let (well, seen) = doctor(&good);
        assert!(well && seen == good.display().to_string(), "{seen}");
        let bytes = std::fs::read(&good).unwrap();
        std::fs::write(&broken, &bytes[..bytes.len() / 2]).unwrap();
        let (well, seen) = doctor(&broken);
        assert!(!well && seen.contains("cannot be loaded"), "{seen}");
    }
}
