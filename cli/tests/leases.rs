//! Several nodes that answer jobs over one dataset: a buyer's job goes to any, and the budget is spent once, whoever is cut off or lost.

use std::time::Duration;

use crate::common::{self, Serving, World, until};
use serde_json::Value;

struct Shared {
    world: World,
    /// The version that was published first.
    first: String,
    keys: std::collections::BTreeMap<&'static str, String>,
}

/// Stops a process, or lets it go on: to the others it is as if the network were cut.
fn signal(node: &Serving, signal: &str) {
    assert!(std::process::Command::new("kill").args([signal, &node.pid().to_string()]).status().unwrap().success());
}

impl Shared {
    /// An owner of `shared`, who grants a buyer jobs, and two others to hold it; both have the rows.
    fn new() -> Self {
        let world = World::new();
        let mut keys = std::collections::BTreeMap::new();
        for who in ["owner", "buyer", "north", "south"] {
            keys.insert(who, world.ok(who, &["init"]).trim().to_owned());
        }
        let policy = common::POLICY
            .replace("BUYER", &keys["buyer"])
            .replace("replicate = \"nobody\"", "replicate = \"granted\"\nhold = \"granted\"")
            .replace("slot = \"8s\"", "slot = \"4s\"");
        std::fs::write(world.path("shared.toml"), policy).unwrap();
        let mut shared = Self { world, keys, first: String::new() };
        shared.first = shared.publish(&[]);
        shared.grant("buyer", "compute", "1");
        for who in ["north", "south"] {
            shared.grant(who, "hold,replicate", "0.4");
        }
        shared
    }

    fn publish(&self, more: &[&str]) -> String {
        let (file, policy) = (self.world.text("shared.csv"), self.world.text("shared.toml"));
        let rows: String = (0..60 + more.len()).map(|person| format!("{person},{},north\n", person % 50)).collect();
        std::fs::write(&file, format!("person,spend,city\n{rows}")).unwrap();
        let mut args = vec!["publish", &file, "--name", "shared", "--unit", "person", "--policy", &policy, "--json"];
        args.extend(more);
        let published: Value = serde_json::from_str(&self.world.ok("owner", &args)).unwrap();
        published["dataset"].as_str().unwrap().to_owned()
    }

    fn grant(&self, who: &str, action: &str, rho: &str) {
        let out = self.world.text(&format!("{who}.grant"));
        let args = ["grant", "shared", "--to", &self.keys[who], "--action", action, "--rho", rho, "--out", &out];
        self.world.ok("owner", &args);
    }

    fn begin(&self, who: &str, owner: &str, rho: &str) {
        let (grant, data) = (self.world.text(&format!("{who}.grant")), self.world.text(&format!("rows of {who}")));
        self.world.ok(who, &["fetch", "shared", "--to", owner, "--grant", &grant, "--out", &data]);
        let args = ["hold", "begin", "shared", "--to", owner, "--grant", &grant, "--data", &data, "--rho", rho];
        self.world.ok(who, &args);
    }

    /// A job of this price; `n` makes it another.
    fn job(&self, n: u32, rho: &str) -> String {
        let job = format!("rho = {rho}\n[sql]\nquery = \"SELECT COUNT(*) AS n{n} FROM dataset\"\n");
        let path = self.world.path(&format!("job {n}.toml"));
        std::fs::write(&path, format!("dataset = \"shared\"\n{job}")).unwrap();
        path.display().to_string()
    }

    fn run(&self, n: u32, rho: &str, at: &str) -> Result<Value, String> {
        let (job, grant) = (self.job(n, rho), self.world.text("buyer.grant"));
        let args = [&self.world.run_args(&job, at, &grant)[..], &["--wait", "0s"]].concat();
        let done = self.world.try_run("buyer", &args);
        if !done.status.success() {
            return Err(common::text(&done));
        }
        Ok(serde_json::from_slice(&done.stdout).unwrap())
    }

    /// As soon as there is a lease that it can be charged to.
    fn run_soon(&self, n: u32, rho: &str, at: &str) -> Value {
        let mut done = None;
        until("a lease", || match self.run(n, rho, at) {
            Ok(value) => {
                done = Some(value);
                true
            }
            Err(why) => {
                // Until its lease is there, it offers nothing.
                assert!(why.contains("this node is a replica of the dataset") || why.contains("shows no lease"), "{why}");
                false
            }
        });
        done.unwrap()
    }

    fn leases(&self) -> Vec<Value> {
        self.world.ok("owner", &["leases", "--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn spent(&self) -> u64 {
        self.world.spent_on("shared")
    }

    /// The audit of the owner's log and of those that hold for it; none finds anything.
    fn audit(&self, owner: &str, holders: &[&str]) -> Vec<Value> {
        let mut args = vec!["audit", "--peer", owner, "--json"];
        args.extend(holders.iter().flat_map(|holder| ["--holder", holder]));
        let said = self.world.ok("buyer", &args);
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn a_job_goes_to_whoever_holds_the_dataset_and_the_budget_is_spent_once() {
    let shared = Shared::new();
    let world = &shared.world;
    let owner = world.serve(None);
    shared.begin("north", &owner.address, "0.3");
    shared.begin("south", &owner.address, "0.2");
    let (north, south) = (world.serve_by("north", &[]), world.serve_by("south", &[]));
    let first = shared.run_soon(1, "0.05", &north.address);
    assert!(first["receipt"]["statement"]["predicate"]["facts"]["lease"].is_string(), "{first}");
    // Of 0.3 this buyer has spent 0.05 there.
    assert_eq!(first["remaining"]["rho_micro"], 250_000);
    shared.run_soon(2, "0.1", &south.address);
    // What is out counts as spent, of all and of each buyer.
    assert_eq!(shared.spent(), 500_000);
    let here = shared.run(3, "0.1", &owner.address).unwrap();
    assert_eq!(here["remaining"]["rho_micro"], 300_000, "of 0.9, 0.5 may be spent elsewhere and 0.1 are here");
    let refused = shared.run(4, "0.35", &owner.address).unwrap_err();
    assert!(refused.contains("this buyer's remaining budget is"), "{refused}");
    let said = shared.audit(&owner.address, &[&north.address, &south.address]);
    assert_eq!(said.len(), 3);
    // The owner is cut off: jobs go on, as far as what was handed over goes.
    signal(&owner, "-STOP");
    shared.run(5, "0.2", &north.address).unwrap();
    let refused = shared.run(6, "0.2", &north.address).unwrap_err();
    assert!(refused.contains("it is requesting another lease"), "{refused}");
    signal(&owner, "-CONT");
    // It is back, and what was asked for comes.
    shared.run_soon(7, "0.2", &north.address);
    // Each gives back what is left when it is told to stop.
    signal(&north, "-TERM");
    signal(&south, "-TERM");
    assert!(north.wait().success() && south.wait().success());
    assert!(shared.leases().iter().all(|lease| lease["state"] == "returned"), "{:?}", shared.leases());
    assert_eq!(shared.spent(), 50_000 + 100_000 + 100_000 + 200_000 + 200_000);
    let by_buyer = world.ok("owner", &["budget", "--json"]);
    let of_all =
        by_buyer.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).find(|b| b["dataset"] == "shared").unwrap();
    assert_eq!(of_all["buyers"][0]["spent"]["rho_micro"], 650_000, "{of_all}");
    shared.audit(&owner.address, &[]);
    for who in ["owner", "north", "south", "buyer"] {
        common::is_shut(&world.path(who));
    }
}

#[test]
fn a_holder_that_is_lost_takes_its_lease_with_it() {
    let shared = Shared::new();
    let world = &shared.world;
    let owner = world.serve_as(&["--leases-last", "4s"]);
    shared.begin("north", &owner.address, "0.3");
    let north = world.serve_by("north", &[]);
    shared.run_soon(1, "0.05", &north.address);
    assert_eq!(shared.spent(), 300_000);
    // Killed, it gives nothing back; started again, it goes on with what it has, once the owner has said that it may.
    drop(north);
    signal(&owner, "-STOP");
    let north = world.serve_by("north", &[]);
    let refused = shared.run(2, "0.05", &north.address).unwrap_err();
    assert!(refused.contains("shows no lease"), "{refused}");
    drop(north);
    signal(&owner, "-CONT");
    // Nothing is heard of it for twice as long as its lease lasts.
    until("the loss", || shared.leases().iter().any(|lease| lease["state"] == "lost"));
    assert_eq!(shared.spent(), 300_000);
    // It comes back: what it had is nobody's any more, and it is given another.
    let north = world.serve_by("north", &[]);
    shared.run_soon(3, "0.05", &north.address);
    assert_eq!(shared.spent(), 600_000);
    let said = shared.audit(&owner.address, &[&north.address]);
    assert_eq!(said[0]["leases"].as_object().unwrap().len(), 2);
}

#[test]
fn who_may_not_hold_does_not_and_what_is_revoked_is_not_answered() {
    let shared = Shared::new();
    let world = &shared.world;
    let owner = world.serve(None);
    shared.begin("north", &owner.address, "0.3");
    // Another's grant, one without `hold`, rows that are not what was published.
    let (north, buyers, rows) = (world.text("north.grant"), world.text("buyer.grant"), world.text("rows of north"));
    let begin = |who: &str, grant: &str, data: &str, rho: &str| {
        let args = ["hold", "begin", "shared", "--to", &owner.address, "--grant", grant, "--data", data, "--rho", rho];
        world.try_run(who, &args)
    };
    let told = |output: std::process::Output, what: &str| {
        assert!(!output.status.success() && common::text(&output).contains(what), "{}", common::text(&output))
    };
    std::fs::create_dir_all(world.path("other")).unwrap();
    std::fs::write(world.path("other/shared.csv"), "person,spend,city\n1,2,north\n").unwrap();
    told(begin("south", &world.text("south.grant"), &world.text("other"), "0.1"), "differs from the published file");
    told(begin("south", &north, &rows, "0.1"), "does not allow this party to be a replica");
    told(begin("buyer", &buyers, &rows, "0.1"), "does not allow this party to be a replica");
    // Nothing that could be asked was handed over to any of them.
    assert_eq!(shared.leases().len(), 0);
    let node = world.serve_by("north", &[]);
    shared.run_soon(1, "0.05", &node.address);
    // Exact results and copies are the owner's to give.
    let out = world.text("out");
    let copied = world.fails("buyer", &["fetch", "shared", "--to", &node.address, "--grant", &buyers, "--out", &out]);
    assert!(copied.contains("--to is"), "{copied}");
    // The buyer's grant is revoked: the holder hears of it.
    world.ok("owner", &["revoke", &buyers]);
    until("the revocation", || shared.run(2, "0.01", &node.address).is_err_and(|why| why.contains("revoked this grant")));
    shared.grant("buyer", "compute", "1");
    shared.run(3, "0.01", &node.address).unwrap();
    // The holder's own: it gives back what it has, and gets no other.
    world.ok("owner", &["revoke", &north]);
    until("the lease", || shared.leases().iter().all(|lease| lease["state"] == "returned"));
    let refused = shared.run(4, "0.01", &node.address).unwrap_err();
    assert!(refused.contains("shows no lease"), "{refused}");
    let said = shared.audit(&owner.address, &[&node.address]);
    let there = said[1]["spent"].as_object().unwrap().values().next().unwrap()["rho_micro"].as_u64().unwrap();
    assert!(there >= 60_000 && shared.spent() == there, "{there} were spent, {} are counted", shared.spent());
}

/// A later version is another thing to hold: what may be spent of the budget is spent over the rows that the owner means.
#[test]
fn another_version_is_answered_where_it_is_held_alone() {
    let shared = Shared::new();
    let world = &shared.world;
    let owner = world.serve(None);
    shared.begin("north", &owner.address, "0.3");
    let socket = owner.address.rsplit_once('@').unwrap().1.to_owned();
    drop(owner);
    shared.publish(&["--version-of", &shared.first]);
    let owner = world.serve_as(&["--listen", &socket]);
    let north = world.serve_by("north", &[]);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(shared.leases().len(), 0);
    let refused = shared.run(1, "0.05", &north.address).unwrap_err();
    assert!(refused.contains("shows no lease"), "{refused}");
    drop(north);
    shared.begin("north", &owner.address, "0.3");
    let north = world.serve_by("north", &[]);
    shared.run_soon(2, "0.05", &north.address);
    shared.audit(&owner.address, &[&north.address]);
    // Killed with a lease over a version that has gone by meanwhile, it gives that back.
    drop(north);
    drop(owner);
    let second = shared.publish(&["--version-of", &shared.first, "--description", "another"]);
    assert_ne!(second, shared.first);
    let owner = world.serve_as(&["--listen", &socket]);
    let north = world.serve_by("north", &[]);
    until("the lease's return", || shared.leases().iter().all(|lease| lease["state"] == "returned"));
    assert_eq!(shared.spent(), 50_000);
    shared.audit(&owner.address, &[&north.address]);
}

/// A holder may keep no rows but the columns that jobs have read: no more than those comes, and receipts say which they are.
#[test]
fn a_holder_of_columns_fetches_what_jobs_read_and_receipts_say_what_that_is() {
    let shared = Shared::new();
    let world = &shared.world;
    // Several columns of some size, that hardly compress.
    let noise = |n: u64| tidegate_protocol::ContentHash::of(&n.to_le_bytes()).to_string();
    let rows: String = (0..20_000u64).map(|n| format!("{},{},{},{}\n", n / 2, n % 50, noise(n), noise(n + (1 << 40)))).collect();
    std::fs::write(world.path("wide.csv"), format!("person,spend,city,other\n{rows}")).unwrap();
    let policy = std::fs::read_to_string(world.path("shared.toml")).unwrap();
    let policy = policy.replace("max_units = 100", "max_units = 50000").replace("city = {}", "city = {}\nother = {}");
    std::fs::write(world.path("wide.toml"), policy).unwrap();
    let (file, policy) = (world.text("wide.csv"), world.text("wide.toml"));
    world.ok("owner", &["publish", &file, "--name", "wide", "--unit", "person", "--policy", &policy]);
    let grant = |who: &str, action: &str| {
        let out = world.text(&format!("{who}.wide"));
        world.ok("owner", &["grant", "wide", "--to", &shared.keys[who], "--action", action, "--out", &out]);
        out
    };
    let (north, south, buyers) = (grant("north", "hold,replicate"), grant("south", "hold"), grant("buyer", "compute"));
    let owner = world.serve(None);
    let begin = |who: &str, grant: &str| {
        world.try_run(who, &["hold", "begin", "wide", "--to", &owner.address, "--grant", grant, "--rho", "0.5"])
    };
    // Who may hold and not copy has to have the rows.
    let refused = begin("south", &south);
    assert!(!refused.status.success() && common::text(&refused).contains("replicate"), "{}", common::text(&refused));
    let done = begin("north", &north);
    assert!(done.status.success(), "{}", common::text(&done));
    let node = world.serve_by("north", &[]);
    let held = std::fs::read_dir(world.path("north/held")).unwrap().next().unwrap().unwrap().path();
    let file = std::fs::read_dir(held)
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "parquet"))
        .unwrap();
    let here = || std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(&file).unwrap()) * 512;
    let whole = std::fs::metadata(&file).unwrap().len();
    assert!(here() < whole / 8, "{} of {whole}", here());
    let ask = |n: u32, query: &str, at: &str| -> Result<Value, String> {
        let job = world.path(&format!("wide {n}.toml"));
        std::fs::write(&job, format!("dataset = \"wide\"\nrho = 0.05\n[sql]\nquery = \"{query}\"\n")).unwrap();
        let job = job.display().to_string();
        let done = world.try_run("buyer", &[&world.run_args(&job, at, &buyers)[..], &["--wait", "0s"]].concat());
        if done.status.success() { Ok(serde_json::from_slice(&done.stdout).unwrap()) } else { Err(common::text(&done)) }
    };
    let columns = |said: &Value| said["receipt"]["statement"]["predicate"]["facts"]["columns"].clone();
    let count = |said: &Value| said["result"]["rows"][0]["cells"][0]["value"].as_f64().unwrap();
    let mut first = None;
    until("a lease", || ask(1, "SELECT SUM(spend) AS n FROM dataset", &node.address).map(|said| first = Some(said)).is_ok());
    let first = first.unwrap();
    assert_eq!(columns(&first), serde_json::json!(["person", "spend"]));
    // The sum over 20 000 rows; the noise is of another order.
    assert!((count(&first) - 490_000.0).abs() < 20_000.0, "{first}");
    assert!(here() < whole / 4, "{} of {whole} are here", here());
    // What is here is not fetched again: the owner may be gone.
    signal(&owner, "-STOP");
    let again = ask(2, "SELECT COUNT(*) AS n FROM dataset WHERE spend > 24", &node.address).unwrap();
    assert!((count(&again) - 10_000.0).abs() < 1000.0, "{again}");
    signal(&owner, "-CONT");
    let other = ask(3, "SELECT COUNT(*) AS n FROM dataset WHERE city < '8'", &node.address).unwrap();
    assert_eq!(columns(&other), serde_json::json!(["city", "person"]));
    assert!((count(&other) - 10_000.0).abs() < 1000.0, "{other}");
    let part = here();
    assert!(part > whole / 4 && part < whole * 3 / 4, "{part} of {whole} are here");
    // A column that is not here, and an owner who is gone.
    drop(owner);
    let refused = ask(4, "SELECT COUNT(*) AS n FROM dataset WHERE other < '8'", &node.address).unwrap_err();
    assert!(refused.contains("are not here yet"), "{refused}");
    // That it could not be had takes nothing of what is here.
    let still = ask(6, "SELECT COUNT(*) AS n FROM dataset WHERE spend > 24 AND city < '8'", &node.address).unwrap();
    assert_eq!(columns(&still), serde_json::json!(["city", "person", "spend"]));
    assert!((count(&still) - 5000.0).abs() < 1000.0, "{still}");
    // What is here was changed by somebody.
    std::fs::OpenOptions::new().append(true).open(&file).unwrap().set_len(whole + 1).unwrap();
    let refused = ask(5, "SELECT COUNT(*) AS n FROM dataset", &node.address).unwrap_err();
    assert!(refused.contains("unavailable"), "{refused}");
    assert_eq!(shared.audit(&node.address, &[]).len(), 1);
}

/// Where the owner retires what is held while its holder answers, the holder gives its lease back and answers no more.
#[test]
fn what_is_retired_is_answered_by_no_holder() {
    let shared = Shared::new();
    let world = &shared.world;
    let owner = world.serve(None);
    shared.begin("north", &owner.address, "0.3");
    let north = world.serve_by("north", &[]);
    shared.run_soon(1, "0.05", &north.address);
    world.ok("owner", &["retire", &shared.first]);
    until("the lease's return", || shared.leases().iter().all(|lease| lease["state"] == "returned"));
    let refused = shared.run(2, "0.05", &north.address).unwrap_err();
    assert!(refused.contains("shows no lease") || refused.contains("is a replica of the dataset"), "{refused}");
    assert_eq!(shared.spent(), 50_000);
    shared.audit(&owner.address, &[&north.address]);
}
